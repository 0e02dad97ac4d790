from __future__ import annotations

import numpy as np
import pytest

import doh3d
from doh3d.errors import ConfigError, FormatError, MeshError
from doh3d.view.comparison import Heat, load_comparison
from doh3d.view.heatmap import SignedDistance


def test_files_alone_are_measured_by_nothing(torus_files):
    _, code = torus_files
    comparison = load_comparison([code, code])
    first, _second = comparison.reconstructions
    assert comparison.reference is None
    assert first.caption == ("torus.doh", f"{code.stat().st_size:,} bytes")
    assert first.to_dict()["iou"] is None
    assert comparison.title.count("torus.doh: ") == 2
    assert len(comparison.panels(comparison.extract(16))) == 2


def test_wherever_the_original_stands_it_comes_first(torus_files):
    mesh, code = torus_files
    size, source = code.stat().st_size, mesh.stat().st_size
    for files in ([code, mesh], [mesh, code]):
        comparison = load_comparison(files)
        (shape,) = comparison.reconstructions
        assert 0.9 < shape.iou.iou < 1
        assert shape.ratio == source / size
        assert shape.caption == (
            "torus.doh",
            f"{size:,} bytes, IoU {shape.iou.iou:.3f}",
            f"{source / size:,.0f} times smaller",
        )
        said = "times smaller than torus.ply (IoU of the field, 262144 points)"
        assert comparison.title.endswith(said)
        panels = comparison.panels(comparison.extract(32))
        assert [panel.caption[0] for panel in panels] == ["torus.ply", "torus.doh"]


def test_a_grid_stands_beside_its_file(ball_file, two_balls, tmp_path):
    grid, code = ball_file
    doh3d.save_volume(two_balls, grid.lattice, tmp_path / "labels.nii.gz")
    comparison = load_comparison([code, tmp_path / "labels.nii.gz"])
    (shape,) = comparison.reconstructions
    assert shape.caption[:2] == ("ball.doh", "ball, label 2, voxels 1.5 x 2 x 3")
    assert shape.caption[2].endswith(f"bytes, Dice {shape.iou.dice:.4f}")
    assert comparison.reference.caption[1] == "label 2, voxels 1.5 x 2 x 3"
    # Its surface is the one between its voxels.
    assert comparison.reference.mesh.volume == pytest.approx(grid.volume, rel=0.1)
    assert comparison.title.endswith("times smaller than labels.nii.gz")


def test_heat_has_a_colour_for_each_vertex_of_the_reconstructions_only(torus_files):
    pytest.importorskip("matplotlib")
    comparison = load_comparison(list(torus_files))
    meshes = comparison.extract(32)
    heat = Heat.of(SignedDistance(comparison.reference.mesh), meshes)
    original, coloured = comparison.panels(meshes, heat)
    assert original.colours is None
    assert coloured.colours.shape == meshes[0].vertices.shape
    # The torus is 180 mm long, and its file keeps it to some percent.
    assert 0.01 < heat.range_percent < 10
    wide = Heat.of(SignedDistance(comparison.reference.mesh), meshes, 100.0)
    assert wide.range_percent == 100
    assert np.ptp(wide.colours[0]) < np.ptp(heat.colours[0])


def test_files_that_cannot_be_compared(torus_files, tmp_path):
    mesh, code = torus_files
    (tmp_path / "cut.doh").write_bytes(code.read_bytes()[:-3])
    (tmp_path / "text.ply").write_text("text")
    for files, error, message in (
        ([mesh], ConfigError, r"torus\.ply: not a \.doh file"),
        ([code, mesh, mesh], ConfigError, r"torus\.ply and .*torus\.ply are no \.doh files"),
        ([tmp_path / "cut.doh"], FormatError, "checksum"),
        ([tmp_path / "no.doh"], ConfigError, r"no\.doh: "),
        ([code, tmp_path / "text.ply"], MeshError, r"text\.ply"),
    ):
        with pytest.raises(error, match=message):
            load_comparison(files)
