import numpy as np
import pytest

from doh3d.geometry import filling
from doh3d.geometry.filling import fill_grid
from doh3d.geometry.voxels import VoxelLattice
from doh3d.operations.blocks import BlockSigns, blocks_lattice

HALF = np.array([0.9, 0.7, 0.5])


class Ball:
    """A ball's field, whose blocks are proved where their corners' distances say so."""

    def __init__(self, lattice, radius=0.45):
        self.shape = lattice.shape
        self.lattice, self.radius = lattice, radius
        self.bounded = 0

    def planes(self, corners, size):
        self.bounded += len(corners)
        half = size * self.lattice.spacing / 2
        centres = self.lattice.origin + self.lattice.spacing * corners + half
        distance = np.linalg.norm(centres, axis=1)
        planes = np.zeros((2, len(corners), 4), dtype=np.float32)
        planes[0, :, 0] = self.radius - distance - half * np.sqrt(3)
        planes[1, :, 0] = distance - self.radius - half * np.sqrt(3)
        return planes


def filled(lattice, scale=40.0, centre=(5.0, -3.0, 11.0)):
    """Voxels of the ball, and how many points were evaluated for them."""
    spacing = lattice.voxel_volume ** (1 / 3) / scale
    blocks = blocks_lattice(HALF, spacing, 1024)
    ball, asked = Ball(blocks), []

    def to_normalized(points):
        return (points - centre) / scale

    def inside(points):
        asked.append(len(points))
        normalized = to_normalized(points)
        within = (np.abs(normalized) <= HALF).all(axis=1)
        return within & (np.linalg.norm(normalized, axis=1) < ball.radius)

    bounds = np.array([centre - HALF * scale, centre + HALF * scale])
    found = fill_grid(lattice, HALF, bounds, to_normalized, BlockSigns.of(ball, blocks).at, inside)
    every = np.argwhere(np.ones(lattice.shape))
    expected = inside(lattice.to_world(every)).reshape(lattice.shape)
    return found, expected, sum(asked[:-1]), ball.bounded


AXES = {
    "straight": np.eye(3),
    "mirrored": np.diag([-1.0, 1, -1]),
    "permuted": np.eye(3)[[2, 0, 1]],
    "of three spacings": np.diag([0.5, 1.0, 3.0]),
    "oblique": np.array([[0.8, -0.6, 0], [0.6, 0.8, 0.2], [0, 0.1, 1]]),
}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES.keys())
def test_voxels_are_those_of_evaluating_every_centre(axes):
    shape = (56, 70, 44)
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = [5, -3, 11] - axes @ (np.array(shape) / 2)
    found, expected, asked, bounded = filled(VoxelLattice.of(shape, affine))
    np.testing.assert_array_equal(found, expected)
    assert found.any()
    # A bound costs about ten evaluations.
    assert asked + 10 * bounded < found.size / 2


def test_planes_of_very_large_grids_are_taken_in_parts(monkeypatch):
    affine = np.eye(4)
    affine[:3, 3] = -25, -25, -10
    lattice = VoxelLattice.of((60, 50, 40), affine)
    whole, expected, _, _ = filled(lattice)
    monkeypatch.setattr(filling, "_VOXELS", 99)
    parts, _, _, _ = filled(lattice)
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(whole, expected)


def test_a_grid_elsewhere_is_empty_and_nothing_is_evaluated():
    affine = np.eye(4)
    affine[:3, 3] = 500
    found, _, asked, _ = filled(VoxelLattice.of((30, 20, 10), affine))
    assert not found.any()
    assert asked == 0
