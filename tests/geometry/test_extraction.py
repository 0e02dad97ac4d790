import numpy as np
import pytest
from numpy.linalg import norm

from doh3d.geometry.extraction import (
    Lattice,
    close_at_box,
    dense_values,
    sparse_values,
    surface_mesh,
)


def lipschitz(function, constant=1.0):
    """Logits and safe bounds of a function with a known Lipschitz constant."""

    def logits(points):
        return function(points.astype(np.float64)).astype(np.float32)

    def bounds(centres, half):
        value, radius = logits(centres), np.float32(constant * norm(half) * 1.0001)
        return value - radius, value + radius

    return logits, bounds


def extracted(function, half_extents, resolution, constant=1.0):
    lattice = Lattice.over_box(np.asarray(half_extents, dtype=float), resolution)
    values = sparse_values(*lipschitz(function, constant), lattice)
    close_at_box(values)
    return surface_mesh(values, lattice)


def ball(points):
    return 0.7 - norm(points, axis=1)


def thin_plate(points):
    return 0.004 - np.abs(points[:, 2] - 0.013)


def crumbs(points):
    """Many balls, some smaller than a coarse block and far from the others."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(-0.9, 0.9, (40, 3))
    radii = rng.uniform(0.005, 0.08, 40)
    distances = norm(points[:, None, :] - centres, axis=2) - radii
    return -distances.min(axis=1)


def noise(points):
    return np.sin(40 * points).prod(axis=1) / 70


@pytest.mark.parametrize("function", [ball, thin_plate, crumbs, noise])
@pytest.mark.parametrize("half_extents", [(1, 1, 1), (0.5, 1, 0.28125)])
@pytest.mark.parametrize("resolution", [8, 37, 96])
def test_sparse_evaluation_gives_the_dense_surface(function, half_extents, resolution):
    lattice = Lattice.over_box(np.asarray(half_extents, dtype=float), resolution)
    logits, bounds = lipschitz(function)
    dense = dense_values(logits, lattice)
    sparse = sparse_values(logits, bounds, lattice)
    assert np.array_equal(dense > 0, sparse > 0)
    for values in (dense, sparse):
        close_at_box(values)
    expected, found = surface_mesh(dense, lattice), surface_mesh(sparse, lattice)
    assert np.array_equal(expected.vertices, found.vertices)
    assert np.array_equal(expected.faces, found.faces)


def test_sparse_evaluation_is_sparse():
    evaluated = []
    logits, bounds = lipschitz(ball)

    def counting(points):
        evaluated.append(len(points))
        return logits(points)

    lattice = Lattice.over_box(np.ones(3), 128)
    sparse_values(counting, bounds, lattice)
    assert sum(evaluated) < 0.2 * np.prod(lattice.shape)


def test_volume_area_and_normals_of_a_ball():
    mesh = extracted(ball, (1, 1, 1), 96)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=2e-3)
    assert mesh.area == pytest.approx(4 * np.pi * 0.7**2, rel=5e-3)
    outward = (mesh.face_normals * mesh.triangles_center).sum(axis=1)
    assert (outward > 0).all()


def test_what_leaves_the_box_is_closed_inside_it():
    def half_space(points):
        return 0.1 - points[:, 0]

    mesh = extracted(half_space, (1, 0.5, 0.5), 40)
    assert mesh.is_watertight
    assert (np.abs(mesh.bounds) <= [1, 0.5, 0.5]).all()
    assert mesh.volume == pytest.approx(1.1, rel=0.15)


def test_nodes_exactly_on_the_surface_leave_it_closed():
    def diamond(points):
        return 0.5 - np.abs(points).sum(axis=1)

    mesh = extracted(diamond, (1, 1, 1), 16, constant=np.sqrt(3))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * 0.5**3, rel=0.02)


def test_a_field_that_is_outside_everywhere_gives_no_faces():
    assert len(extracted(lambda points: -1 - norm(points, axis=1), (1, 1, 1), 16).faces) == 0
