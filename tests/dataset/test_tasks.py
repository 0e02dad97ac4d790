"""What becomes of a group of sources, by real fits."""

import os
import shutil

import numpy as np
import pytest
import trimesh

import doh3d
from doh3d.dataset.batch import run_batch
from doh3d.dataset.shape_set import FailedShape
from doh3d.dataset.sources import Source
from doh3d.dataset.tasks import CompressTask
from doh3d.errors import ConfigError
from doh3d.fitting import together
from doh3d.options import CompressOptions
from doh3d.signals.shape import PreparedShape

OPTIONS = {"preset": "fast", "latent": 100, "width": 8, "depth": 1}

pytestmark = pytest.mark.usefixtures("quick")


def pear(bend):
    """A ball with a bump that has no mirror planes."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    x, y, z = mesh.vertices.T
    mesh.vertices = mesh.vertices * (1 + 0.3 * x + 0.2 * x * z + bend * y)[:, None]
    return mesh


@pytest.fixture
def meshes(tmp_path, meshes_folder):
    """Three meshes without mirror planes, one with three, one that is none and one not there."""
    for number, bend in enumerate((0.1, 0.15, 0.2)):
        pear(bend).export(tmp_path / f"pear{number}.ply")
    shutil.copy(meshes_folder / "sphere.ply", tmp_path)
    (tmp_path / "empty.stl").touch()
    return tmp_path


def compressed(folder, *names, **options):
    """Run the task over files, and return its rows by their ids."""
    task = CompressTask(CompressOptions(**(options or OPTIONS)), "cpu")
    rows = task(tuple(Source(name, str(folder / name)) for name in names))
    assert [row.id for row in rows] == list(names)
    return {row.id: row for row in rows}


def alone(path, **options):
    return doh3d.compress(path, **(options or OPTIONS), device="cpu").data


@pytest.mark.slow
def test_a_group_is_fitted_together_but_for_those_that_cannot_be(meshes):
    names = ("pear0.ply", "empty.stl", "sphere.ply", "pear1.ply", "missing.ply", "pear2.ply")
    rows = compressed(meshes, *names)
    pears = [name for name in names if name.startswith("pear")]
    together = doh3d.fit_many([meshes / name for name in pears], **OPTIONS, device="cpu")
    assert [rows[name].doh for name in pears] == [shape.data for shape in together]
    assert [rows[name].batch_fit for name in pears] == [3, 3, 3]
    assert [shape.together for shape in together] == [3, 3, 3]
    # No other has its mirror planes.
    assert rows["sphere.ply"].doh == alone(meshes / "sphere.ply")
    assert rows["sphere.ply"].batch_fit == 1
    # The group's time is its shapes' in equal parts.
    assert len({rows[name].seconds for name in (*pears, "sphere.ply")}) == 1
    for name in (*pears, "sphere.ply"):
        row = rows[name]
        assert (row.error, row.latent, row.device, row.iou_of) == (None, 100, "cpu", "field")
        assert row.bytes == len(row.doh)
        assert 0 < row.iou < 1
        assert row.seconds > 0
        assert row.measure_seconds > 0
    for name, kind in (("empty.stl", "mesh"), ("missing.ply", "unreadable")):
        row = rows[name]
        assert (row.error_kind, row.doh, row.batch_fit) == (kind, None, None)
        assert row.error.startswith(name)
        assert row.seconds > 0
    assert rows["empty.stl"].source_sha256 is not None
    assert rows["missing.ply"].source_sha256 is None


def test_every_mesh_is_read_once(meshes, monkeypatch):
    from doh3d.geometry import reading

    original, read = reading.read_mesh, []

    def read_mesh(path, **kwargs):
        read.append(path.name)
        return original(path, **kwargs)

    monkeypatch.setattr(reading, "read_mesh", read_mesh)
    # Two are fitted together, the third, which has mirror planes, alone.
    compressed(meshes, "pear0.ply", "sphere.ply", "pear1.ply")
    assert read == ["pear0.ply", "sphere.ply", "pear1.ply"]


def test_one_alone_has_the_bytes_of_compress(meshes):
    expected = alone(meshes / "pear0.ply")
    row = compressed(meshes, "pear0.ply")["pear0.ply"]
    assert (row.doh, row.batch_fit) == (expected, 1)
    # So has one that is left of its group.
    row = compressed(meshes, "pear0.ply", "empty.stl")["pear0.ply"]
    assert (row.doh, row.batch_fit) == (expected, 1)


def test_a_group_of_failures_is_no_failure_of_the_task(meshes):
    rows = compressed(meshes, "empty.stl", "missing.ply")
    assert [row.error_kind for row in rows.values()] == ["mesh", "unreadable"]


@pytest.mark.slow
def test_what_breaks_the_fit_of_many_breaks_no_shape(meshes, monkeypatch):
    def broken(*_, **__):
        raise MemoryError("too many")

    monkeypatch.setattr(together, "fit_latents", broken)
    rows = compressed(meshes, "pear0.ply", "pear1.ply")
    for name, row in rows.items():
        assert (row.doh, row.batch_fit, row.error) == (alone(meshes / name), 1, None)


def test_a_shape_that_cannot_be_sampled_costs_its_own_row(meshes, monkeypatch):
    original, count = PreparedShape.sample, len(pear(0.1).vertices)
    thin = trimesh.creation.icosphere(subdivisions=2)
    thin.vertices *= 1 + 0.1 * np.sin(3 * thin.vertices + 1)
    thin.export(meshes / "thin.ply")

    def sample(self, config):
        if len(self.mesh.vertices) < count:
            raise ConfigError("its walls are too thin")
        return original(self, config)

    monkeypatch.setattr(PreparedShape, "sample", sample)
    rows = compressed(meshes, "pear0.ply", "thin.ply", "pear1.ply")
    assert rows["thin.ply"].error == "thin.ply: its walls are too thin"
    assert rows["thin.ply"].error_kind == "fit"
    assert [rows[name].batch_fit for name in ("pear0.ply", "pear1.ply")] == [2, 2]


def test_a_shape_that_cannot_be_measured_costs_its_own_row(meshes, monkeypatch):
    from doh3d.evaluation import evaluate

    original = evaluate.field_iou

    def field_iou(mesh, field, **options):
        if mesh.mesh.bounds[1][1] > 1.3:
            raise ValueError("no number")
        return original(mesh, field, **options)

    far = pear(0.1)
    far.vertices += (0, 3, 0)
    far.export(meshes / "far.ply")
    monkeypatch.setattr(evaluate, "field_iou", field_iou)
    rows = compressed(meshes, "far.ply", "pear0.ply")
    assert rows["far.ply"].error == "far.ply: ValueError: no number"
    assert (rows["far.ply"].error_kind, rows["far.ply"].doh) == ("internal", None)
    assert (rows["pear0.ply"].batch_fit, rows["pear0.ply"].error) == (2, None)


def test_a_row_says_where_the_repair_and_the_file_differ(meshes):
    # A bar wound inside out through a block: nothing says whether it is meant to be cut out.
    bar = trimesh.creation.box((3, 0.8, 0.8))
    bar.invert()
    (trimesh.creation.box((2, 2, 2)) + bar).export(meshes / "crossed.ply")
    rows = compressed(meshes, "crossed.ply", "pear0.ply")
    row = rows["crossed.ply"]
    hidden = 2 * 0.8**2
    assert row.repair_difference == pytest.approx(hidden / (8 + 0.64 - hidden), rel=0.05)
    assert f"differs from the file's own faces in {row.repair_difference:.1%}" in row.warnings
    assert (rows["pear0.ply"].repair_difference, rows["pear0.ply"].undecided) == (0, 0)
    assert rows["pear0.ply"].warnings is None


def test_sizes_are_met_in_groups(meshes):
    rows = compressed(meshes, "pear0.ply", "pear1.ply", preset="fast", max_bytes=300)
    for row in rows.values():
        assert row.error is None
        assert 285 <= row.bytes <= 300


def test_warnings_are_of_the_shape_that_they_are_about_and_said_once(meshes):
    mesh = pear(0.1)
    lines = [f"v {x} {y} {z}\n" for x, y, z in mesh.vertices]
    lines += ["v nan 0 0\n", *(f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in mesh.faces)]
    lines.append(f"f 1 2 {len(mesh.vertices) + 1}\n")
    (meshes / "nan.obj").write_text("".join(lines))
    said = "nan.obj: 1 faces use vertices that are not finite; they are left out"
    rows = compressed(meshes, "pear0.ply", "nan.obj", "pear1.ply")
    assert [row.batch_fit for row in rows.values()] == [3, 3, 3]
    assert [row.warnings for row in rows.values()] == [None, said, None]
    assert compressed(meshes, "nan.obj")["nan.obj"].warnings == said


def test_a_name_that_is_not_utf8_costs_one_row(meshes, tmp_path, this_process):
    (meshes / "empty.stl").unlink()
    for number in (1, 2):
        (meshes / f"pear{number}.ply").unlink()
    bad = os.fsdecode(b"caf\xe9.ply")
    shutil.copy(meshes / "pear0.ply", meshes / bad)
    options = CompressOptions(**OPTIONS)
    for compressed, found in ((2, 0), (0, 2)):
        out = meshes / "out"
        task = CompressTask(options, "cpu")
        summary = run_batch(str(meshes), out, task, options, this_process, files=True)
        assert (summary.compressed, summary.found, summary.failed) == (compressed, found, 1)
        reason = r"caf\xe9.ply: the name is not UTF-8; rename the file"
        assert summary.failures == (reason,)
        shapes = doh3d.ShapeSet(out)
        assert sorted(shapes.ids()) == ["pear0.ply", "sphere.ply"]
        assert shapes.failures == [
            FailedShape(r"caf\xe9.ply", rf"{meshes}/caf\xe9.ply", "unreadable", reason)
        ]
    (meshes / bad).rename(meshes / "café.ply")
    summary = run_batch(str(meshes), out, task, options, this_process)
    assert (summary.compressed, summary.found, summary.failed) == (1, 2, 0)
