import dataclasses
import json
import os
import pickle
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import doh3d
from doh3d import cli
from doh3d.commands.engines import EngineOptions
from doh3d.dataset import store as store_module
from doh3d.dataset.batch import run_batch
from doh3d.dataset.options import config_id
from doh3d.dataset.parts import PartFolder
from doh3d.dataset.rows import EvaluationRow, ShapeRow
from doh3d.dataset.tasks import CompressTask
from doh3d.errors import ConfigError, FormatError
from doh3d.options import CompressOptions

OPTIONS = CompressOptions(preset="fast", latent=100, width=8, depth=1)


pytestmark = pytest.mark.usefixtures("quick_module")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, meshes_folder, quick_module, this_process):
    """A dataset of two shapes and a failure, in parts of one row, and the folder of its meshes."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "meshes" / "more").mkdir(parents=True)
    shutil.copy(meshes_folder / "sphere.ply", folder / "meshes")
    shutil.copy(meshes_folder / "torus.obj", folder / "meshes" / "more")
    (folder / "meshes" / "empty.stl").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "PART_ROWS", 1)
        task = CompressTask(OPTIONS, "cpu")
        run_batch(str(folder / "meshes"), folder / "out", task, OPTIONS, this_process)
    return folder / "out", folder / "meshes"


@pytest.fixture
def run(monkeypatch, capsys, this_process):
    """Run the command with tasks in this process; its exit status, output and error output."""

    monkeypatch.setattr(
        EngineOptions, "make", lambda options, device, shares_gpus=False: this_process
    )

    def run_command(*arguments):
        monkeypatch.setattr("sys.argv", ["doh3d", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run_command


def test_a_set_holds_what_succeeded(dataset):
    shapes = doh3d.ShapeSet(dataset[0])
    assert len(shapes) == 2
    assert sorted(shapes.ids()) == ["more/torus.obj", "sphere.ply"]
    assert [shape.id for shape in shapes] == list(shapes.ids())
    assert [shapes[number].id for number in (0, 1)] == list(shapes.ids())
    assert shapes[-1].id == shapes[1].id
    assert "sphere.ply" in shapes
    assert "empty.stl" not in shapes
    for missing in ("empty.stl", "nowhere"):
        with pytest.raises(KeyError, match=missing):
            shapes[missing]
    with pytest.raises(IndexError):
        shapes[2]
    (failure,) = shapes.failures
    assert (failure.id, failure.kind) == ("empty.stl", "mesh")
    assert failure.source == str(dataset[1] / "empty.stl")
    assert failure.reason == "empty.stl: the file is empty; a mesh is needed"


def test_shapes_decode_to_fields(dataset, tmp_path):
    shape = doh3d.ShapeSet(dataset[0])["more/torus.obj"]
    field = shape.field("cpu")
    assert field.occupancy(field.bounds.mean(axis=0)[None]).shape == (1,)
    shape.save(tmp_path / "torus.doh")
    assert (tmp_path / "torus.doh").stat().st_size == shape.row["bytes"] == len(shape.data)
    assert shape.row["config_id"] == config_id(OPTIONS)
    assert "doh" not in shape.row
    with pytest.raises(FormatError, match=r"network has .* weights"):
        shape.field("cpu", limits=dataclasses.replace(doh3d.Limits(), weights=1))


def test_a_set_opens_wherever_its_parts_are(dataset, tmp_path):
    out, _ = dataset
    expected = sorted(doh3d.ShapeSet(out).ids())
    for place in (out / "shapes", str(out) + "/", f"file://{out}"):
        assert sorted(doh3d.ShapeSet(place).ids()) == expected
    again = pickle.loads(pickle.dumps(doh3d.ShapeSet(out)))
    assert "sphere.ply" in again
    with pytest.raises(ConfigError, match="no such dataset; a folder made by"):
        doh3d.ShapeSet(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: is not a folder; a folder made by"):
        doh3d.ShapeSet(tmp_path / "file")
    with pytest.raises(ConfigError, match="holds no dataset"):
        doh3d.ShapeSet(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"x\.parquet: cannot be read as Parquet"):
        doh3d.ShapeSet(tmp_path)


def test_forked_readers_do_not_disturb_one_another(dataset):
    shapes = doh3d.ShapeSet(dataset[0])
    first = shapes[0]
    child = os.fork()
    if child == 0:
        for _ in range(50):
            shapes._files._kept_group.cache_clear()
            if shapes[0].data != first.data:
                os._exit(1)
        os._exit(0)
    for _ in range(50):
        shapes._files._kept_group.cache_clear()
        assert shapes[1].data != first.data
    assert os.waitpid(child, 0)[1] == 0


def test_export_writes_meshes_and_files(dataset, tmp_path, run):
    out, _ = dataset
    status, said, _ = run("batch-export", out, "-o", tmp_path / "a", "--resolution", 32, "--json")
    assert status == 0
    assert json.loads(said)["written"] == 2
    mesh = doh3d.load_mesh(tmp_path / "a" / "more" / "torus.obj.ply")
    assert mesh.is_watertight
    status, said, _ = run("batch-export", out, "-o", tmp_path / "b", "--format", "doh")
    assert status == 0
    assert said == f"{tmp_path / 'b'}: 2 files written, 0 failed\n"
    shapes = doh3d.ShapeSet(out)
    assert (tmp_path / "b" / "sphere.ply.doh").read_bytes() == shapes["sphere.ply"].data
    (tmp_path / "b" / "sphere.ply.doh").write_bytes(b"mine")
    options = ["--format", "doh", "--pattern", "s*", "--skip-existing"]
    status, said, _ = run("batch-export", out, "-o", tmp_path / "b", *options)
    assert "0 files written, 1 were there" in said
    assert (tmp_path / "b" / "sphere.ply.doh").read_bytes() == b"mine"


def test_export_names_what_it_cannot_write(dataset, tmp_path, run):
    out, _ = dataset
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "more").touch()
    status, said, _ = run("batch-export", out, "-o", tmp_path / "a", "--format", "doh")
    assert status == 4
    assert f"1 failed\n- more/torus.obj: {tmp_path}/a/more/torus.obj.doh cannot be written" in said
    for options, named in (
        (["--format", "fbx"], "format is 'fbx'; it must be one of ply, obj"),
        (["--pattern", "x*"], "holds no shape that matches 'x\\*'"),
        (["--resolution", 4], "resolution is 4"),
    ):
        status, _, err = run("batch-export", out, "-o", tmp_path / "b", *options)
        assert status == 2
        assert named.replace("\\", "") in err


def test_evaluation_measures_as_eval_does_and_only_once(dataset, tmp_path, run, monkeypatch):
    out, meshes = dataset
    quick = ["--points", 4096, "--resolution", 32]
    status, said, _ = run("batch-eval", out, *quick, "--json")
    assert status == 0
    (report,) = json.loads(said)["datasets"]
    assert (report["shapes"], report["not_compressed"], report["not_measured"]) == (2, 1, 0)
    shapes = doh3d.ShapeSet(out)
    shapes["sphere.ply"].save(tmp_path / "sphere.doh")
    alone = doh3d.evaluate(
        tmp_path / "sphere.doh", meshes / "sphere.ply", points=4096, resolution=32, device="cpu"
    )
    rows = {
        row["id"]: row for row in pq.read_table(out / "evaluation" / "measurements").to_pylist()
    }
    assert set(rows) == set(shapes.ids())
    surface = ("surface_chamfer_l1", "surface_f_score", "surface_normal_consistency")
    for metric in ("bytes", "iou", "protocol", "points", *surface):
        assert rows["sphere.ply"][metric] == getattr(alone, metric)
    assert report["iou"]["mean"] == pytest.approx(np.mean([r["iou"] for r in rows.values()]))
    assert report["worst"][0]["iou"] == min(row["iou"] for row in rows.values())
    table = (out / "evaluation" / "table.md").read_text()
    assert "| out | 2 | 1 | " in table
    assert (out / "evaluation" / "histogram.png").stat().st_size > 10_000

    def never(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr("doh3d.dataset.evaluation.EvaluateTask._measured", never)
    status, said, _ = run("batch-eval", out, *quick, "--no-figures")
    assert status == 0
    assert "sphere.ply" in said
    status, _, err = run("batch-eval", out, "--points", 512, "--resolution", 32)
    assert status == 2
    assert "was begun with points 4096, not points 512; move that folder away" in err


def as_before(folder, row_type, version):
    """Turn the rows of a folder into those of an earlier version, with its names of columns."""
    for part in (folder / row_type.FOLDER).iterdir():
        table = pq.read_table(part)
        names = [name.removeprefix("surface_") for name in table.column_names]
        metadata = {b"doh3d.columns": f"{row_type.FOLDER} {version}".encode()}
        pq.write_table(table.rename_columns(names).replace_schema_metadata(metadata), part)
    identity = json.loads((folder / "dataset.json").read_text()) | {"version": version}
    (folder / "dataset.json").write_text(json.dumps(identity))


def test_datasets_of_before_are_read_and_not_continued(dataset, tmp_path, run):
    out, meshes = tmp_path / "out", dataset[1]
    shutil.copytree(dataset[0], out, ignore=shutil.ignore_patterns("evaluation"))
    now = doh3d.ShapeSet(out)["sphere.ply"]
    as_before(out, ShapeRow, 2)
    shape = doh3d.ShapeSet(out)["sphere.ply"]
    assert shape.data == now.data
    assert shape.row["chamfer_l1"] == now.row["surface_chamfer_l1"]
    assert "surface_chamfer_l1" not in shape.row
    rows = PartFolder(out / "shapes", ShapeRow).scan(["iou", "surface_chamfer_l1"])
    assert {row["surface_chamfer_l1"] for row in rows} == {None}
    status, _, _ = run("batch-export", out, "-o", tmp_path / "files", "--format", "doh")
    assert status == 0
    quick = ["--points", 512, "--resolution", 32, "--no-figures"]
    status, _, _ = run("batch-eval", out, *quick)
    assert status == 0
    options = ["--preset", "fast", "--latent", 100, "--device", "cpu"]
    status, _, err = run("batch", meshes, "-o", out, *options)
    assert status == 2
    assert f"{out}: was begun with distances from point to point" in err
    as_before(out / "evaluation", EvaluationRow, 1)
    status, _, err = run("batch-eval", out, *quick)
    assert status == 2
    assert f"{out / 'evaluation'}: was begun with distances from point to point" in err


def test_evaluation_takes_references_by_id(dataset, tmp_path, run):
    out = tmp_path / "out"
    shutil.copytree(dataset[0], out, ignore=shutil.ignore_patterns("evaluation"))
    (tmp_path / "references").mkdir()
    shutil.copy(dataset[1] / "sphere.ply", tmp_path / "references")
    quick = ["--points", 512, "--resolution", 32, "--no-figures"]
    status, said, _ = run("batch-eval", out, "-r", tmp_path / "references", *quick)
    assert status == 4
    assert "- more/torus.obj: no mesh of id more/torus.obj" in said
    shutil.copytree(dataset[1] / "more", tmp_path / "references" / "more")
    status, said, _ = run("batch-eval", out, "-r", tmp_path / "references", *quick, "--json")
    assert status == 0
    assert json.loads(said)["datasets"][0]["not_measured"] == 0


@pytest.mark.slow
def test_configurations_are_rows_of_one_table(dataset, tmp_path, run):
    quick = ["--points", 512, "--resolution", 32]
    options = ["--preset", "fast", "--latent", 60, "--width", 8, "--depth", 1, "--device", "cpu"]
    small, large = tmp_path / "small", tmp_path / "large"
    status, _, _ = run("batch", dataset[1], "-o", small, *options)
    assert status == 4
    shutil.copytree(dataset[0], large, ignore=shutil.ignore_patterns("evaluation"))
    status, said, _ = run("batch-eval", small, large, "-o", tmp_path / "both", *quick)
    assert status == 0
    assert "small, latent 60" in said
    assert sorted(os.listdir(tmp_path / "both")) == ["histogram.png", "report.json", "table.md"]
    lines = (tmp_path / "both" / "table.md").read_text().splitlines()
    assert lines[2].startswith("| small, latent 60 | 2 | 1 |")
    assert lines[3].startswith("| large, latent 100 | 2 | 1 |")


def test_evaluation_refuses_a_source_that_has_changed(dataset, tmp_path, run):
    meshes, out = tmp_path / "meshes", tmp_path / "out"
    meshes.mkdir()
    shutil.copy(dataset[1] / "sphere.ply", meshes)
    options = ["--preset", "fast", "--latent", 60, "--width", 8, "--depth", 1, "--device", "cpu"]
    assert run("batch", meshes, "-o", out, *options)[0] == 0
    shutil.copy(dataset[1] / "more" / "torus.obj", meshes / "sphere.ply")
    status, _, err = run("batch-eval", out, "--points", 512, "--resolution", 32, "--no-figures")
    assert status == 2
    assert "is not the mesh that was compressed" in err


def test_a_batch_reports_and_logs(dataset, tmp_path, run):
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    options = ["--preset", "fast", "--latent", 60, "--width", 8, "--depth", 1, "--device", "cpu"]
    arguments = ["batch", dataset[1], "-o", out, *options, "--json-log", log]
    status, said, err = run(*arguments)
    assert (status, err) == (4, "")
    assert said.startswith(f"{out}: 2 of 3 shapes compressed, mean ")
    assert re.search(r", IoU 0\.\d{4} \(of the field, 4096 points\), ", said)
    assert said.endswith(" 1 failed\n- empty.stl: the file is empty; a mesh is needed\n")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", "shape", "shape", "failure", "end"]
    assert events[3]["error"] == "empty.stl: the file is empty; a mesh is needed"
    assert events[1]["bytes"] > 60
    assert "doh" not in events[1]
    status, said, _ = run(*arguments, "--json")
    assert status == 4
    report = json.loads(said)
    assert (report["compressed"], report["found"], report["failed"]) == (0, 2, 1)
    status, said, _ = run(*arguments)
    assert said.endswith("- 1 failed; column error has every reason, --retry-failed tries again\n")


def test_a_batch_fits_shapes_together_and_goes_on(dataset, tmp_path, run):
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    options = ["--preset", "fast", "--latent", 60, "--width", 8, "--depth", 1, "--device", "cpu"]
    arguments = ["batch", dataset[1], "-o", out, *options, "--batch-fit", 3, "--json-log", log]
    # Both are their own mirror images.
    assert run(*arguments)[0] == 4
    shapes = doh3d.ShapeSet(out)
    assert [shapes[id_].row["batch_fit"] for id_ in ("more/torus.obj", "sphere.ply")] == [2, 2]
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event.get("batch_fit") for event in events if event["event"] == "shape"] == [2, 2]
    status, said, _ = run(*arguments, "--json")
    assert (status, json.loads(said)["found"]) == (4, 2)
    status, said, err = run(*arguments[:-4], "--json-log", log)
    assert (status, said) == (2, "")
    assert 'was begun with batch_fit "2 or more", not batch_fit "1"; name another folder' in err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--max-bytes", 200], "--max-bytes is 200; it must be 300 to 64000"),
        (["--max-bytes", 600, "--min-iou", 0.9], "contradict each other"),
        (["--max-bytes", 600, "--latent", 100], "contradict each other"),
        (["--batch-fit", 0], "--batch-fit is 0; it must be 1 to 256"),
        (["--batch-fit", 257], "--batch-fit is 257; it must be 1 to 256"),
        (["--batch-fit", 2, "--min-iou", 0.9], "batch_fit 2 and min_iou contradict each other"),
        (["--preset", "slow"], "'fast', 'default' or 'best'"),
        (["--shard", "0/2"], "shard is 0/2; it must be I/N"),
        (["--device", "tpu"], "auto, cpu, cuda, mps"),
        (["--json-log", "/nowhere/log"], "/nowhere/log: cannot be written: No such file"),
    ],
)
def test_wrong_options_are_named_and_nothing_is_written(dataset, tmp_path, run, options, named):
    status, said, err = run("batch", dataset[1], "-o", tmp_path / "out", *options)
    assert (status, said) == (2, "")
    assert named in err
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_engines_take_their_options(monkeypatch):
    with pytest.raises(ConfigError, match="engine is 'dask'; it must be local or ray"):
        EngineOptions(engine="dask").make("cpu")
    with pytest.raises(ConfigError, match="--address is for --engine ray"):
        EngineOptions(address="auto").make("cpu")
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match=r"engine ray needs Ray; install doh3d\[ray\]"):
        EngineOptions(engine="ray").make("cpu")
