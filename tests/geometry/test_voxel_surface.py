import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.geometry import voxel_surface
from doh3d.geometry.half_edges import open_edge_count
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.voxel_surface import grid_surface, read_grid
from doh3d.geometry.voxels import VoxelGrid


def random_grid(seed, affine=None):
    generator = np.random.default_rng(seed)
    occupied = generator.random((7, 5, 6)) < 0.4
    occupied[3, 2, 3] = True
    return VoxelGrid.of(occupied, affine)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_every_centre_is_on_its_side_of_a_closed_surface(seed):
    grid = random_grid(seed)
    mesh = grid_surface(grid)
    assert open_edge_count(np.asarray(mesh.faces)) == 0
    index = np.argwhere(np.ones(np.array(grid.occupied.shape) + 2)) - 1
    inside = inside_test(mesh)(index.astype(np.float64))
    np.testing.assert_array_equal(inside, grid.at(index))


def test_a_voxel_alone_is_an_octahedron_about_its_centre(affine_of_a_scan):
    occupied = np.zeros((4, 4, 4), dtype=np.bool_)
    occupied[0, 3, 2] = True
    mesh = grid_surface(VoxelGrid.of(occupied, affine_of_a_scan))
    assert len(mesh.faces) == 8
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), affine_of_a_scan[:3] @ [0, 3, 2, 1])
    # The normals point outwards although the affine is left-handed.
    assert mesh.volume == pytest.approx(abs(np.linalg.det(affine_of_a_scan[:3, :3])) / 6)


@pytest.fixture
def affine_of_a_scan():
    affine = np.diag([-1.5, 2.0, 3.0, 1.0])
    affine[:3, 3] = 7, 8, 9
    return affine


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_slabs_give_the_surface_of_all_at_once(monkeypatch, layers):
    grid = random_grid(1)
    whole = grid_surface(grid)
    monkeypatch.setattr(voxel_surface, "_LAYERS", layers)
    parts = grid_surface(grid)
    np.testing.assert_array_equal(parts.vertices, whole.vertices)
    np.testing.assert_array_equal(parts.faces, whole.faces)


def test_nothing_is_unclear_about_a_grid():
    reading = read_grid(random_grid(2))
    assert reading.warnings == ()
    assert 0 < reading.survey.fill < 1
