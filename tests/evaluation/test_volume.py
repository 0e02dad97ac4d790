import numpy as np
import pytest

import doh3d
from doh3d.errors import ConfigError, VolumeError
from doh3d.evaluation.volume import boundary_distances, evaluate_volume, overlap
from doh3d.geometry.voxels import VoxelGrid, VoxelLattice


def boxes(shift, spacing=(1.0, 1.0, 1.0)):
    """Two boxes of 6 x 5 x 4 voxels, one of them shifted along the first axis."""
    affine = np.diag([*spacing, 1.0])
    grids = []
    for first in (2, 2 + shift):
        occupied = np.zeros((16, 9, 8), dtype=np.bool_)
        occupied[first : first + 6, 2:7, 2:6] = True
        grids.append(VoxelGrid.of(occupied, affine))
    return grids


def test_boxes_that_overlap_have_known_scores():
    one, other = boxes(2, (1.5, 2.0, 3.0))
    result = evaluate_volume(other, one)
    assert result.dice == pytest.approx(2 * 4 / 12)
    assert result.iou == pytest.approx(4 / 8)
    # Whole ends are two voxels of 1.5 apart.
    assert result.hausdorff_95 == pytest.approx(3.0)
    assert 0 < result.mean_surface_distance < 3
    assert result.volume == result.reference_volume == pytest.approx(120 * 9)
    assert (result.voxels, result.spacing) == (120, (1.5, 2.0, 3.0))
    assert (result.bytes, result.ratio) == (None, None)


def test_a_grid_against_itself_is_perfect():
    one, _ = boxes(0)
    result = evaluate_volume(one, one)
    assert (result.dice, result.iou, result.hausdorff_95) == (1.0, 1.0, 0.0)
    assert result.mean_surface_distance == 0.0


def test_distances_are_those_of_every_pair(rng):
    affine = np.eye(4)
    affine[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0.2], [0, 0.1, 2]]
    grids = [rng.random((6, 7, 5)) < share for share in (0.3, 0.6)]
    lattice = VoxelLattice.of((6, 7, 5), affine)

    def boundary(occupied):
        padded = np.pad(occupied, 1)
        return [
            lattice.to_world([index])[0]
            for index in np.argwhere(occupied)
            if not all(
                padded[tuple(index + 1 + step)]
                for step in np.vstack([np.eye(3), -np.eye(3)]).astype(int)
            )
        ]

    points = [np.array(boundary(each)) for each in grids]
    pairs = np.linalg.norm(points[0][:, None] - points[1], axis=2)
    found = boundary_distances(*grids, lattice)
    np.testing.assert_allclose(np.sort(found[0]), np.sort(pairs.min(axis=1)))
    np.testing.assert_allclose(np.sort(found[1]), np.sort(pairs.min(axis=0)))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_what_is_empty_scores_nothing():
    one, _ = boxes(0)
    empty = VoxelGrid(np.zeros_like(one.occupied), one.lattice)
    result = evaluate_volume(empty, one)
    assert (result.dice, result.iou, result.hausdorff_95) == (0.0, 0.0, np.inf)
    assert result.to_dict()["hausdorff_95"] is None
    assert overlap(empty.occupied, empty.occupied) == (0.0, 0.0)


def test_lattices_must_be_the_same():
    one, _ = boxes(0)
    _, other = boxes(0, (1.0, 1.0, 2.0))
    with pytest.raises(ConfigError, match="different lattices"):
        evaluate_volume(other, one)


def test_other_things_are_no_shapes():
    one, _ = boxes(0)
    with pytest.raises(ConfigError, match="shape is of type int"):
        evaluate_volume(3, one)


def test_of_a_label_map_it_is_the_label_that_the_file_says(ball_file, two_balls, affine, tmp_path):
    grid, path = ball_file
    np.savez(tmp_path / "labels.npz", labels=two_balls, affine=affine)
    result = evaluate_volume(path, tmp_path / "labels.npz")
    assert result.label == 2
    assert result.dice == evaluate_volume(path, grid).dice > 0.9
    assert result.bytes == path.stat().st_size
    assert evaluate_volume(path, tmp_path / "labels.npz", label=7).dice < 0.5
    # A mask of its own has another number, or none.
    doh3d.save_volume(grid.occupied, grid.lattice, tmp_path / "mask.nii.gz")
    assert evaluate_volume(path, tmp_path / "mask.nii.gz").dice == result.dice
    with pytest.raises(VolumeError, match="no voxel has label 3"):
        evaluate_volume(path, tmp_path / "labels.npz", label=3)
