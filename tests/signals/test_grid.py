import numpy as np
import pytest
import torch
import trimesh

import doh3d
from doh3d.codec.container import parse
from doh3d.errors import ConfigError, VolumeError
from doh3d.geometry.voxels import VoxelGrid
from doh3d.options import CompressOptions
from doh3d.signals.grid import PreparedGrid, grid_extras, prepare_grid, prepare_source
from doh3d.signals.shape import PreparedShape

OPTIONS = CompressOptions(latent=200, preset="fast", width=16, depth=2)


@pytest.fixture
def prepared(two_balls, affine):
    return prepare_grid(VoxelGrid.of(two_balls == 2, affine))


def test_samples_are_voxels_centres_with_their_labels(prepared):
    samples = prepared.sample(prepared.config(OPTIONS))
    world = prepared.transform.to_world(samples.points)
    places = prepared.grid.lattice.to_index(world)
    index = np.rint(places).astype(int)
    at_centre = np.abs(places - index).max(axis=1) < 1e-4
    # The others are nearest to a voxel whose centre is beyond the domain, and outside.
    assert at_centre.mean() > 0.8
    assert not samples.inside[~at_centre].any()
    np.testing.assert_array_equal(samples.inside, prepared.grid.at(index))
    assert 0.1 < samples.inside.mean() < 0.9


def test_samples_are_the_same_for_the_same_seed(prepared, two_balls, affine):
    config = prepared.config(OPTIONS)
    again = prepare_grid(VoxelGrid.of(two_balls == 2, affine)).sample(config)
    np.testing.assert_array_equal(prepared.sample(config).points, again.points)
    assert prepared.sample(config) is prepared.sample(config)


def test_stairs_are_not_taken_for_flat_faces(prepared):
    as_mesh = doh3d.signals.shape.prepare(prepared.reading)
    assert prepared.flat_share == 0.0 < as_mesh.flat_share


def test_mirror_planes_are_those_of_the_voxels(prepared):
    # Of the ball the other has taken voxels, along the first axis.
    assert prepared.mirrored == (1, 2)


def test_a_file_says_where_its_grid_lay(ball_file):
    grid, path = ball_file
    extras = parse(path.read_bytes()).extras
    assert (extras.lattice, extras.label, extras.name) == (grid.lattice.shape, 2, "ball")
    field = doh3d.load(path)
    assert field.voxels == grid.lattice
    assert field.voxels.matrix.tobytes() == grid.lattice.matrix.tobytes()
    assert (field.to_grid() & grid.occupied).sum() > 0.9 * grid.count
    np.testing.assert_array_equal(
        field.to_grid(), field.to_grid(grid.lattice.shape, grid.lattice.matrix)
    )


def test_a_name_is_cut_to_what_a_file_holds(two_balls):
    grid = VoxelGrid.of(two_balls == 2)
    named = VoxelGrid(grid.occupied, grid.lattice, 2, "é" * 200 + "\x1b[0m")
    assert grid_extras(named).name == "é" * 127
    assert grid_extras(VoxelGrid(grid.occupied, grid.lattice, 2, "\n")).name is None
    with pytest.raises(VolumeError, match="cannot be kept in a file: label"):
        grid_extras(VoxelGrid(grid.occupied, grid.lattice, 2**60))


def test_checkpoints_know_grids_by_voxels_lattice_and_label(two_balls, affine):
    grid = VoxelGrid.of(two_balls == 2, affine)
    others = [
        VoxelGrid.of(two_balls == 7, affine),
        VoxelGrid.of(two_balls == 2),
        VoxelGrid(grid.occupied, grid.lattice, 2),
    ]
    known = prepare_grid(grid).identity()
    assert list(known) == ["grid"]
    assert all(prepare_grid(other).identity() != known for other in others)
    assert prepare_grid(VoxelGrid.of(two_balls == 2, affine)).identity() == known


def test_quality_is_iou_at_the_centres(ball_file):
    grid, path = ball_file
    prepared = prepare_grid(grid)
    found = doh3d.load(path, "cpu").to_grid()
    expected = (found & grid.occupied).sum() / (found | grid.occupied).sum()
    assert prepared.quality(path.read_bytes(), torch.device("cpu")) == pytest.approx(expected)


def test_anything_is_prepared_as_what_it_is(two_balls, affine, tmp_path):
    np.save(tmp_path / "labels.npy", two_balls)
    for source, options in (
        (tmp_path / "labels.npy", {"label": 2}),
        (str(tmp_path / "labels.npy#label=2"), {}),
        (two_balls, {"label": 2}),
        (VoxelGrid.of(two_balls == 2), {}),
        (prepare_grid(VoxelGrid.of(two_balls == 2)).reading, {}),
    ):
        prepared = prepare_source(source, **options)
        assert isinstance(prepared, PreparedGrid)
        np.testing.assert_array_equal(prepared.grid.occupied, two_balls == 2)
        assert prepare_source(prepared) is prepared
    box = trimesh.creation.box()
    assert type(prepare_source(box)) is PreparedShape
    with pytest.raises(ConfigError, match="label is 3; it is for voxel grids only"):
        prepare_source(box, label=3)
    with pytest.raises(ConfigError, match=r"threshold is 0\.5; it is for voxel grids only"):
        prepare_source((box.vertices, box.faces), threshold=0.5)
    with pytest.raises(VolumeError, match="grid is 5 x 5; it must have three dimensions"):
        doh3d.compress(np.ones((5, 5)))
