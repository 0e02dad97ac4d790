import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from doh3d.errors import VolumeError
from doh3d.geometry.voxels import MOST_VOXELS, VoxelGrid, VoxelLattice

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def affines(draw):
    """Affines of any handedness, permuted, mirrored and oblique, with an inverse."""
    turned = np.linalg.qr(draw(arrays(np.float64, (3, 3), elements=st.floats(-1, 1))))[0]
    axes = draw(st.sampled_from(["permuted", "turned", "sheared"]))
    if axes == "permuted":
        turned = np.eye(3)[list(draw(st.permutations(range(3))))]
    if axes == "sheared":
        turned = turned @ np.array([[1, 0.4, -0.2], [0, 1, 0.3], [0, 0, 1]])
    spacing = draw(st.lists(st.floats(0.1, 9), min_size=3, max_size=3))
    signs = draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3))
    matrix = np.eye(4)
    matrix[:3, :3] = turned * np.array(spacing) * np.array(signs)
    matrix[:3, 3] = draw(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
    return matrix


@given(affines(), arrays(np.int64, (5, 3), elements=st.integers(-50, 50)))
def test_voxels_and_points_are_each_other_s_inverse(affine, index):
    lattice = VoxelLattice.of((4, 5, 6), affine)
    world = lattice.to_world(index)
    np.testing.assert_allclose(world, index @ affine[:3, :3].T + affine[:3, 3], atol=1e-9)
    np.testing.assert_allclose(lattice.to_index(world), index, atol=1e-8)
    assert lattice.matrix.tobytes() == affine.tobytes()


@given(affines())
def test_volume_and_handedness_are_the_determinant_s(affine):
    lattice = VoxelLattice.of((2, 3, 4), affine)
    determinant = np.linalg.det(affine[:3, :3])
    assert lattice.voxel_volume == pytest.approx(abs(determinant))
    assert lattice.mirrors == (determinant < 0)
    assert lattice.spacing == pytest.approx(np.linalg.norm(affine[:3, :3], axis=0))


@pytest.mark.parametrize(
    ("affine", "said"),
    [
        (np.eye(3), r"has shape \(3, 3\); it must be \(4, 4\)"),
        (np.diag([1.0, 1, 0, 1]), "lie in one plane"),
        (np.diag([1.0, 1, np.nan, 1]), "finite numbers"),
        (np.ones((4, 4)), "last row"),
        ("up", "must be 4 x 4 numbers"),
    ],
)
def test_what_is_no_affine_is_refused(affine, said):
    with pytest.raises(VolumeError, match=said):
        VoxelLattice.of((2, 2, 2), affine)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((2, 2), "three numbers"), ((2, 0, 2), "1 or more"), ((1024, 1024, 1024), str(MOST_VOXELS))],
)
def test_what_is_no_shape_is_refused(shape, said):
    with pytest.raises(VolumeError, match=said):
        VoxelLattice.of(shape)


def test_beyond_the_grid_is_outside():
    occupied = np.zeros((3, 4, 5), dtype=np.bool_)
    occupied[2, 1:3, 4] = True
    grid = VoxelGrid.of(occupied)
    index = np.array([[2, 1, 4], [3, 1, 4], [-1, 1, 4], [2, 1, 5], [0, 0, 0]])
    np.testing.assert_array_equal(grid.at(index), [True, False, False, False, False])
    assert grid.box == (slice(2, 3), slice(1, 3), slice(4, 5))
    assert grid.count == 2
