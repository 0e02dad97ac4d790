import collections
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

import doh3d
from doh3d.dataset.batch import run_batch
from doh3d.dataset.engine import Failure, Outcome, whole
from doh3d.dataset.local import LocalEngine
from doh3d.dataset.options import config_id, config_of
from doh3d.dataset.shard import Shard
from doh3d.errors import ConfigError
from doh3d.options import CompressOptions
from doh3d.signals import shape_plan

OPTIONS = CompressOptions(preset="fast", latent=100)


@pytest.fixture
def run(stubs, tmp_path, collection, this_process):
    """Run a batch of stubs over the collection; its summary, and each shape's attempts."""
    log = tmp_path / "log"

    def run_stubs(engine=None, *, options=OPTIONS, out="out", **others):
        log.write_text("")
        summary = run_batch(
            str(collection()),
            tmp_path / out,
            stubs.StubTask(options, log),
            options,
            engine or this_process,
            **others,
        )
        return summary, collections.Counter(log.read_text().split())

    return run_stubs


def read(folder):
    return {row["id"]: row for row in pq.read_table(folder / "shapes").to_pylist()}


def test_every_shape_has_a_row_and_the_bad_their_reasons(run, collection, tmp_path):
    folder = collection(a="one", b="two", c="bad mesh", d="raise oh no")
    summary, attempts = run(LocalEngine(2, retries=1))
    assert (summary.shapes, summary.compressed, summary.found, summary.failed) == (4, 2, 0, 2)
    assert sorted(summary.failures) == ["c.ply: bad mesh", "d.ply: ValueError: oh no"]
    assert attempts == {"a.ply": 1, "b.ply": 1, "c.ply": 1, "d.ply": 1}
    rows = read(tmp_path / "out")
    assert sorted(rows) == ["a.ply", "b.ply", "c.ply", "d.ply"]
    assert (rows["a.ply"]["doh"], rows["a.ply"]["error"]) == (b"on", None)
    assert rows["a.ply"]["source"] == str(folder / "a.ply")
    assert json.loads(rows["a.ply"]["config"]) == config_of(OPTIONS)
    assert rows["a.ply"]["config_id"] == config_id(OPTIONS)
    assert (rows["c.ply"]["doh"], rows["c.ply"]["error_kind"]) == (None, "mesh")
    assert rows["d.ply"]["error_kind"] == "internal"


def test_finished_shapes_are_not_done_again(run, collection, tmp_path):
    collection(a="one", b="two", c="bad mesh")
    run()
    summary, attempts = run()
    assert not attempts
    assert (summary.compressed, summary.found, summary.failed) == (0, 2, 1)
    collection(d="new")
    summary, attempts = run()
    assert attempts == {"d.ply": 1}
    assert (summary.shapes, summary.compressed, summary.found) == (4, 1, 2)


def test_changed_sources_and_passing_failures_are_done_again(run, collection, tmp_path):
    folder = collection(a="one", b="two", c="bad mesh", d="sleep 60", e="exit 3")
    engine = LocalEngine(2, retries=0, timeout=2)
    summary, _ = run(engine)
    assert summary.failed == 3
    assert {i: row["error_kind"] for i, row in read(tmp_path / "out").items()} == {
        "a.ply": None,
        "b.ply": None,
        "c.ply": "mesh",
        "d.ply": "timeout",
        "e.ply": "died",
    }
    collection(b="new", c="good", d="quick")
    (folder / "a.ply").touch()
    summary, attempts = run(engine)
    assert attempts == {"b.ply": 1, "c.ply": 1, "d.ply": 1, "e.ply": 1}
    assert (summary.found, summary.compressed, summary.failed) == (1, 3, 1)
    rows = read(tmp_path / "out")
    assert sorted(rows) == ["a.ply", "b.ply", "c.ply", "d.ply", "e.ply"]
    assert rows["b.ply"]["doh"] == b"ne"
    # A row for each: none of the old ones is left.
    assert pq.read_table(tmp_path / "out" / "shapes").num_rows == 5


def test_all_failures_are_done_again_when_asked_for(run, collection):
    folder = collection(a="one", b="bad mesh")
    run()
    _, attempts = run(retry_failed=True)
    assert attempts == {"b.ply": 1}
    (folder / "a.ply").write_text("changed")
    _, attempts = run(trust_sources=True)
    assert not attempts
    # What cannot be read keeps the row that it has.
    (folder / "a.ply").unlink()
    (folder / "a.ply").symlink_to("nowhere")
    summary, attempts = run()
    assert not attempts
    assert summary.found == 1


@pytest.mark.slow
def test_each_source_that_is_looked_at_has_the_time_of_a_shape(
    run, collection, tmp_path, monkeypatch, stubs
):
    folder = collection(a="one", b="two", c="three")
    run()
    (folder / "a.ply").write_text("changed")
    # Each takes most of the time that a shape has.
    monkeypatch.setattr("doh3d.dataset.batch.changed_sources", stubs.slowly_changed_sources)
    _, attempts = run(LocalEngine(1, retries=0, timeout=1))
    assert attempts == {"a.ply": 1}


def test_another_configuration_is_refused(run, collection, tmp_path):
    collection(a="one")
    run()
    with pytest.raises(ConfigError, match="with latent 100, not latent 101; name another"):
        run(options=dataclasses.replace(OPTIONS, latent=101))
    assert len(read(tmp_path / "out")) == 1


def test_shards_share_a_collection_and_a_folder(run, collection, tmp_path):
    names = [f"s{number}" for number in range(20)]
    collection(**dict.fromkeys(names, "one"))
    summaries = [run(shard=Shard(index, 3))[0] for index in (1, 2, 3)]
    assert sum(summary.shapes for summary in summaries) == 20
    assert all(summary.shapes for summary in summaries)
    assert sorted(read(tmp_path / "out")) == sorted(f"{name}.ply" for name in names)
    summary, attempts = run()
    assert not attempts
    assert summary.found == 20


def test_files_are_written_beside_and_made_up_for(run, collection, tmp_path):
    collection(a="one", b="bad mesh")
    run()
    assert not (tmp_path / "out" / "files").exists()
    collection(c="three")
    run(files=True)
    files = tmp_path / "out" / "files"
    assert {path.name: path.read_bytes() for path in files.iterdir()} == {
        "a.ply.doh": b"on",
        "c.ply.doh": b"th",
    }


def test_watchers_see_every_shape(run, collection):
    collection(a="one", b="bad mesh", c="three")
    seen = []
    run(watch=lambda progress, row: seen.append((progress, row)))
    assert [progress.done for progress, _ in seen] == [0, 1, 2, 3]
    assert seen[0][1] is None
    assert sorted(row.id for _, row in seen[1:]) == ["a.ply", "b.ply", "c.ply"]
    last = seen[-1][0]
    assert (last.shapes, last.failed, last.mean_bytes, last.mean_iou) == (3, 1, 2.0, 0.5)
    assert last.seconds_left == 0
    assert "3/3 shapes" in last.describe()
    assert "1 failed" in last.describe()
    assert seen[0][0].seconds_left is None


def test_rows_of_other_versions_are_named(run, collection, monkeypatch):
    collection(a="one")
    run()
    monkeypatch.setattr(doh3d, "__version__", "9.9")
    summary, _ = run()
    assert summary.other_versions != ()
    assert "9.9" not in summary.other_versions


def test_a_collection_of_nothing_leaves_nothing(run, collection, tmp_path):
    with pytest.raises(ConfigError, match="no meshes found"):
        run()
    with pytest.raises(ConfigError, match=r"no files that match '\*\.obj' found"):
        run(pattern="*.obj")
    assert not (tmp_path / "out").exists()


def test_shapes_are_given_out_in_groups(run, collection, tmp_path):
    collection(**{f"s{number}": "one" for number in range(7)})
    seen = []
    summary, attempts = run(batch_fit=3, watch=lambda progress, row: seen.append(progress.done))
    assert (summary.compressed, summary.failed) == (7, 0)
    assert set(attempts.values()) == {1}
    rows = read(tmp_path / "out")
    assert [rows[f"s{number}.ply"]["batch_fit"] for number in range(7)] == [3] * 6 + [1]
    assert seen == list(range(8))


def test_a_group_fails_for_none_but_those_at_fault(run, collection, tmp_path):
    collection(
        a="one", b="bad mesh", c="two", d="exit 3", e="three", f="four", g="five", h="sleep 60"
    )
    summary, attempts = run(LocalEngine(2, retries=1, timeout=1), batch_fit=3)
    assert (summary.compressed, summary.failed) == (5, 3)
    rows = read(tmp_path / "out")
    kinds = {id_[0]: (row["error_kind"], row["attempts"]) for id_, row in rows.items()}
    assert kinds == {
        "a": (None, 1),
        "b": ("mesh", 1),
        "c": (None, 1),
        "d": ("died", 2),
        # What d has taken with it is done alone.
        "e": (None, 2),
        "f": (None, 2),
        "g": (None, 2),
        "h": ("timeout", 2),
    }
    assert {id_[0]: row["batch_fit"] for id_, row in rows.items() if row["error"] is None} == {
        "a": 3,
        "c": 3,
        "e": 1,
        "f": 1,
        "g": 1,
    }
    assert attempts["d.ply"] == 2
    # Those that may pass are tried again, in groups.
    collection(d="good", h="good")
    summary, attempts = run(batch_fit=3)
    assert attempts == {"d.ply": 1, "h.ply": 1}
    assert summary.failed == 1
    assert read(tmp_path / "out")["d.ply"]["batch_fit"] == 2


def test_alone_and_together_do_not_mix_but_the_number_may_change(run, collection, tmp_path):
    collection(a="one", b="two")
    run(batch_fit=2)
    with pytest.raises(ConfigError, match='batch_fit "2 or more", not batch_fit "1"; name another'):
        run()
    run(out="alone")
    with pytest.raises(ConfigError, match='batch_fit "1", not batch_fit "2 or more"; name another'):
        run(out="alone", batch_fit=8)
    collection(c="three", d="four", e="five")
    summary, attempts = run(batch_fit=3)
    assert (summary.found, set(attempts)) == (2, {"c.ply", "d.ply", "e.ply"})
    rows = read(tmp_path / "out").values()
    assert sorted(row["batch_fit"] for row in rows) == [2, 2, 3, 3, 3]


def test_groups_are_of_a_shard_and_write_files(run, collection, tmp_path):
    names = [f"s{number}" for number in range(12)]
    collection(**dict.fromkeys(names, "one"))
    summaries = [run(shard=Shard(index, 2), batch_fit=5, files=True)[0] for index in (1, 2)]
    assert sum(summary.compressed for summary in summaries) == 12
    files = sorted(path.name for path in (tmp_path / "out" / "files").iterdir())
    assert files == sorted(f"{name}.ply.doh" for name in names)
    assert sorted(read(tmp_path / "out")) == sorted(f"{name}.ply" for name in names)


def test_a_job_that_an_engine_gives_up_has_a_row(run, collection, tmp_path):
    class Broken:
        def run(self, task, jobs, split=whole):
            for job in jobs:
                yield Outcome(job, None, Failure("died", "gone"), 3)

    collection(a="one", b="two")
    summary, _ = run(Broken(), batch_fit=2)
    rows = read(tmp_path / "out")
    for id_ in ("a.ply", "b.ply"):
        row = rows[id_]
        assert (row["error_kind"], row["error"], row["attempts"]) == ("died", f"{id_}: gone", 3)
    assert summary.failures == ("a.ply: gone", "b.ply: gone")


KILLED = """
import sys
from pathlib import Path

import batch_stubs
from doh3d.dataset.batch import run_batch
from doh3d.dataset.local import LocalEngine
from doh3d.options import CompressOptions
from doh3d.interrupts import exit_on_signals

if __name__ == "__main__":
    folder, options = Path(sys.argv[1]), CompressOptions(preset="fast", latent=100)
    task = batch_stubs.StubTask(options, folder / "log")
    batch_fit, engine = int(sys.argv[2]), LocalEngine(2)
    with exit_on_signals():
        run_batch(
            str(folder / "collection"), folder / "out", task, options, engine, batch_fit=batch_fit
        )
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("batch_fit", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_stopped_run_loses_what_was_in_flight_and_nothing_else(
    run, collection, tmp_path, number, batch_fit
):
    names = [f"s{number}" for number in range(12)]
    log = tmp_path / "log"
    # After six attempts all wait, so that the run is stopped in its middle.
    collection(**dict.fromkeys(names, f"gate {log}"))
    (tmp_path / "killed.py").write_text(KILLED)
    log.write_text("")
    command = [sys.executable, tmp_path / "killed.py", tmp_path, str(batch_fit)]
    with subprocess.Popen(command) as driver:
        while len(log.read_text().split()) < 7:
            assert driver.poll() is None
            time.sleep(0.02)
        driver.send_signal(number)
    (tmp_path / "open").touch()
    tidy = number == signal.SIGTERM
    assert driver.returncode == (143 if tidy else -9)
    # One that may still clear up has put its rows into a part.
    assert (len(list((tmp_path / "out" / "journal").iterdir())) == 1) == tidy
    assert (tmp_path / "out" / "shapes").exists() == tidy
    begun = collections.Counter(log.read_text().split())
    summary, attempts = run(batch_fit=batch_fit)
    assert summary.found + summary.compressed == 12
    # Two workers: two groups in flight, and one that may have ended as the driver did.
    assert 0 <= len(begun) - summary.found <= 3 * batch_fit
    assert summary.found > 0
    assert sum(begun.values()) + sum(attempts.values()) <= 12 + 3 * batch_fit
    assert pq.read_table(tmp_path / "out" / "shapes").num_rows == 12
    assert len(read(tmp_path / "out")) == 12


@pytest.mark.slow
def test_the_bytes_are_those_of_compress_in_any_order(meshes_folder, tmp_path, quick, this_process):
    from doh3d.dataset.tasks import CompressTask

    folder = tmp_path / "meshes"
    folder.mkdir()
    for name in ("sphere.ply", "torus.obj"):
        shutil.copy(meshes_folder / name, folder)
    (folder / "empty.stl").touch()
    (folder / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    options = CompressOptions(preset="fast", latent=100, width=8, depth=1)
    task = CompressTask(options, "cpu")
    summary = run_batch(str(folder), tmp_path / "out", task, options, this_process)
    assert (summary.compressed, summary.failed) == (2, 2)
    rows = read(tmp_path / "out")
    for name in ("sphere.ply", "torus.obj"):
        alone = doh3d.compress(
            folder / name, preset="fast", latent=100, width=8, depth=1, device="cpu"
        )
        row = rows[name]
        assert row["doh"] == alone.data
        assert (row["bytes"], row["latent"], row["device"]) == (len(alone.data), 100, "cpu")
        assert (row["iou_of"], row["protocol"], row["points"]) == ("field", "bbox", 4096)
        assert 0 < row["iou"] < 1
        assert row["surface_chamfer_l1"] is None or 0 < row["surface_chamfer_l1"] < 1
        assert row["seconds"] > 0
    assert rows["empty.stl"]["error"] == "empty.stl: the file is empty; a mesh is needed"
    assert rows["flat.obj"]["error_kind"] == "mesh"
    assert rows["flat.obj"]["error"].startswith("flat.obj: ")
    assert rows["flat.obj"]["source_bytes"] == 32


@pytest.mark.slow
def test_workers_make_the_same_bytes(meshes_folder, tmp_path, stubs, monkeypatch):
    monkeypatch.setitem(shape_plan.PRESETS, "fast", shape_plan.Preset(**stubs.BRIEF))
    options = CompressOptions(preset="fast", latent=100, width=8, depth=1)
    task = stubs.BriefTask(options, "cpu")
    for workers in (1, 2):
        out = tmp_path / str(workers)
        summary = run_batch(str(meshes_folder), out, task, options, LocalEngine(workers))
        assert (summary.compressed, summary.failed) == (5, 0)
    one, two = read(tmp_path / "1"), read(tmp_path / "2")
    assert {id_: row["doh"] for id_, row in one.items()} == {
        id_: row["doh"] for id_, row in two.items()
    }
    alone = doh3d.compress(
        meshes_folder / "torus.obj", preset="fast", latent=100, width=8, depth=1, device="cpu"
    )
    assert one["torus.obj"]["doh"] == alone.data
