import numpy as np
import pytest
import trimesh
from numpy.linalg import norm

from dense_extraction import dense_surface, dense_values
from doh3d.geometry.extraction import extract
from doh3d.geometry.lattice import Lattice
from doh3d.geometry.search import COARSEST_BLOCK, LEAF_BLOCK, open_cells
from doh3d.geometry.surface import closed_values


class LipschitzField:
    """A function with a known Lipschitz constant on a lattice, and safe planes around it."""

    def __init__(self, function, lattice, constant=1.0):
        self.shape = lattice.shape
        self.evaluated = 0
        self._function, self._lattice, self._constant = function, lattice, constant

    def logits(self, nodes):
        self.evaluated += len(nodes)
        return self._values(nodes)

    def planes(self, corners, size):
        values = self._values(corners + size / 2)
        radius = self._constant * size * self._lattice.spacing * np.sqrt(3) / 2 * 1.0001
        planes = np.zeros((2, len(corners), 4), dtype=np.float32)
        planes[0, :, 0], planes[1, :, 0] = values - radius, -values - radius
        return planes

    def _values(self, nodes):
        points = self._lattice.points(nodes).astype(np.float64)
        return self._function(points).astype(np.float32)


def extracted(function, half_extents, resolution, constant=1.0):
    lattice = Lattice.over_box(np.asarray(half_extents, dtype=float), resolution)
    vertices, faces = extract(LipschitzField(function, lattice, constant))
    return trimesh.Trimesh(lattice.positions(vertices), faces, process=False)


def all_open_cells(field):
    """(x, y, z) bool: the cells that the search leaves open."""
    cells = np.zeros(np.array(field.shape) - 1 + COARSEST_BLOCK, dtype=bool)
    for _, leaves in open_cells(field):
        for (i, j, k), open_ in zip(leaves.corners, leaves.cells, strict=True):
            cells[i : i + LEAF_BLOCK, j : j + LEAF_BLOCK, k : k + LEAF_BLOCK] = open_
    x, y, z = np.array(field.shape) - 1
    return cells[:x, :y, :z]


def box_nodes(shape):
    at_box = np.ones(shape, dtype=bool)
    at_box[1:-1, 1:-1, 1:-1] = False
    return at_box


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
def test_the_mesh_is_the_dense_one(function, half_extents, resolution, crossed):
    lattice = Lattice.over_box(np.asarray(half_extents, dtype=float), resolution)
    field = LipschitzField(function, lattice)
    values = dense_values(field)
    must = crossed(closed_values(values, box_nodes(values.shape)))
    assert not (must & ~all_open_cells(field)).any()
    expected_vertices, expected_faces = dense_surface(values)
    vertices, faces = extract(field)
    assert np.array_equal(faces, expected_faces)
    np.testing.assert_allclose(vertices, expected_vertices, rtol=0, atol=1e-5)


def test_few_nodes_are_evaluated():
    lattice = Lattice.over_box(np.ones(3), 128)
    field = LipschitzField(ball, lattice)
    extract(field)
    assert field.evaluated < 0.2 * np.prod(lattice.shape)


def test_planes_with_slopes_prove_more_than_their_lowest_values(crossed):
    class Tilted(LipschitzField):
        """A half-space, whose planes are exact."""

        def planes(self, corners, size):
            planes = np.zeros((2, len(corners), 4), dtype=np.float32)
            planes[0, :, 0] = self._values(corners + size / 2)
            planes[0, :, 1:] = -size * self._lattice.spacing / 2 * np.array([1, 0.5, 0.25])
            planes[1] = -planes[0]
            planes[:, :, 0] -= 1e-5
            return planes

    lattice = Lattice.over_box(np.ones(3), 64)
    field = Tilted(lambda points: 0.01 - points @ [1, 0.5, 0.25], lattice)
    must = crossed(closed_values(dense_values(field), box_nodes(field.shape)))
    found = all_open_cells(field)
    assert not (must & ~found).any()
    assert found.sum() < 1.1 * must.sum()


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


def test_a_field_that_is_inside_everywhere_is_its_box():
    mesh = extracted(lambda points: 5 - norm(points, axis=1), (1, 0.5, 0.25), 80)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(1.0, rel=0.1)


def test_nodes_exactly_on_the_surface_leave_it_closed():
    def diamond(points):
        return 0.5 - np.abs(points).sum(axis=1)

    mesh = extracted(diamond, (1, 1, 1), 16, constant=np.sqrt(3))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * 0.5**3, rel=0.02)


def test_a_field_that_is_outside_everywhere_gives_no_faces():
    assert len(extracted(lambda points: -1 - norm(points, axis=1), (1, 1, 1), 16).faces) == 0


def test_the_cells_crossed_are_counted_as_the_surface_grows(crossed):
    lattice = Lattice.over_box(np.ones(3), 64)
    field = LipschitzField(ball, lattice)
    counts = []
    extract(field, counts.append)
    values = closed_values(dense_values(field), box_nodes(field.shape))
    assert counts == sorted(counts)
    assert counts[-1] == crossed(values).sum()
