import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.dataset import journal as journal_module
from doh3d.dataset import store as store_module
from doh3d.dataset.engine import Failure
from doh3d.dataset.parts import arrow_schema
from doh3d.dataset.rows import EvaluationRow, ShapeRow, from_json, to_json
from doh3d.dataset.shard import Shard
from doh3d.dataset.sources import Source
from doh3d.dataset.store import RowStore, StoreIdentity
from doh3d.dataset.tasks import failed_row
from doh3d.errors import ConfigError
from doh3d.options import CompressOptions

IDENTITY = StoreIdentity({"config": {"latent": 100}})


def make_row(id_, data=b"\xd0OH\x00\xff"):
    row = failed_row(Source(id_, f"/{id_}"), CompressOptions(), Failure("died", "gone"))
    return dataclasses.replace(row, doh=data, bytes=len(data), error=None, error_kind=None, iou=0.9)


def make_store(path):
    return RowStore(path, ShapeRow, IDENTITY)


def ids(path):
    return [row["id"] for row in make_store(path).scan(["id"])]


@pytest.fixture
def write(tmp_path):
    """Write rows as a run does, to its end."""

    def write_rows(*names, shard=None):
        with make_store(tmp_path / "out").writer(shard or Shard()) as writer:
            for name in names:
                writer.append(make_row(name))
        return tmp_path / "out"

    return write_rows


def test_rows_come_back_as_they_were(write, tmp_path):
    out = write("a", "b")
    (part,) = (out / "shapes").iterdir()
    table = pq.read_table(part)
    assert table.schema.equals(arrow_schema(ShapeRow))
    expected = make_row("a")
    found = ShapeRow(**table.to_pylist()[0])
    assert dataclasses.replace(found, finished=expected.finished) == expected
    assert abs((found.finished - expected.finished).total_seconds()) < 10
    assert sorted(os.listdir(out)) == ["dataset.json", "journal", "shapes"]
    assert os.listdir(out / "journal") == ["lock"]


@given(
    st.builds(
        make_row,
        st.text(st.characters(exclude_categories=["Cs"])),
        st.binary(),
    )
)
@settings(max_examples=50)
def test_a_row_survives_the_journal(row):
    line = to_json(row)
    assert line.count(b"\n") == 1
    assert from_json(ShapeRow, line) == row


def test_rows_fill_parts_of_a_size(write, monkeypatch):
    monkeypatch.setattr(store_module, "PART_ROWS", 3)
    out = write(*"abcdefgh")
    assert ids(out) == list("abcdefgh")
    assert [pq.read_metadata(p).num_rows for p in sorted((out / "shapes").iterdir())] == [3, 3, 2]
    monkeypatch.setattr(store_module, "PART_ROWS", 4096)
    monkeypatch.setattr(store_module, "_PART_BYTES", 1)
    write("i", "j")
    assert len(list((out / "shapes").iterdir())) == 5


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_store import make_row, make_store
from doh3d.dataset.parts import PartFolder
from doh3d.dataset.shard import Shard
from pathlib import Path

out, moment = Path(sys.argv[2]), sys.argv[3]
real = PartFolder.write

def write(self, name, rows):
    if moment == "before the part":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, name, rows)
    os.kill(os.getpid(), signal.SIGKILL)

PartFolder.write = write
with make_store(out).writer(Shard()) as writer:
    for name in "abc":
        writer.append(make_row(name))
    if moment == "in between":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["in between", "before the part", "after the part"])
def test_rows_of_a_killed_run_are_there_once(write, tmp_path, moment):
    arguments = [os.path.dirname(__file__), tmp_path / "out", moment]
    subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    (journal,) = (tmp_path / "out" / "journal").glob("*.jsonl")
    assert len(journal.read_bytes().splitlines()) == 4
    out = write("d")
    assert sorted(ids(out)) == list("abcd")
    assert os.listdir(out / "journal") == ["lock"]


@pytest.mark.parametrize("cut", [1, 50, 10_000])
def test_half_a_line_is_no_row(write, tmp_path, cut):
    out = write("a")
    journals = out / "journal"
    writer = make_store(out).writer(Shard())
    with writer as open_writer:
        open_writer.append(make_row("b"))
        open_writer.append(make_row("c"))
        (journal,) = journals.glob("*.jsonl")
        data = journal.read_bytes()
    (journals / "part-0-000000.jsonl").write_bytes(data[: max(0, len(data) - cut)])
    write("d")
    kept = [] if cut == 10_000 else ["b"]
    assert sorted(ids(out)) == sorted(["a", "b", "c", "d", *kept])


def test_rows_that_are_dropped_are_gone_from_the_parts(write, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "PART_ROWS", 2)
    out = write(*"abcdef")
    with make_store(out).writer(Shard()) as writer:
        writer.drop({"b", "c", "d", "not there"})
        assert sorted(ids(out)) == ["a", "e", "f"]
        writer.append(make_row("b"))
    assert sorted(ids(out)) == ["a", "b", "e", "f"]
    (part, *_) = sorted((out / "shapes").iterdir())
    assert pq.read_schema(part).equals(arrow_schema(ShapeRow))


def test_two_runs_write_to_one_folder_only_as_shards(write, tmp_path):
    out = tmp_path / "out"
    with make_store(out).writer(Shard(1, 2)) as first:
        for other in (Shard(), Shard(1, 2), Shard(3, 4)):
            with pytest.raises(ConfigError, match=rf"another run \(process {os.getpid()} on"):
                write("x", shard=other)
        first.append(make_row("a"))
        # That part is live: it is not taken up by the other.
        write("b", shard=Shard(2, 2))
        assert ids(out) == ["b"]
        first.append(make_row("c"))
    assert sorted(ids(out)) == ["a", "b", "c"]


def test_other_rows_are_never_mixed_with_these(write, tmp_path):
    out = write("a")
    other = RowStore(out, ShapeRow, StoreIdentity({"config": {"latent": 200}}))
    with pytest.raises(ConfigError, match="with latent 100, not latent 200; name another"):
        other.check()
    (out / "dataset.json").write_text("{")
    with pytest.raises(ConfigError, match="is not the JSON of a dataset"):
        make_store(out).check()
    (out / "dataset.json").unlink()
    with pytest.raises(ConfigError, match=r"holds rows without their dataset\.json"):
        make_store(out).check()


@pytest.mark.parametrize(("row_type", "version"), [(ShapeRow, 2), (EvaluationRow, 1)])
def test_rows_of_before_are_not_continued(tmp_path, row_type, version):
    (tmp_path / "dataset.json").write_text(json.dumps({"version": version}))
    now = row_type.COLUMNS_VERSION
    with pytest.raises(
        ConfigError,
        match=rf"was begun with distances from point to point \(columns version {version}, now "
        rf"{now}\), which are read but not continued; name another folder, or move this one away",
    ):
        RowStore(tmp_path, row_type, StoreIdentity({"version": now})).check()
    # Another version still is not that.
    (tmp_path / "dataset.json").write_text(json.dumps({"version": [now + 1]}))
    with pytest.raises(ConfigError, match=rf"was begun with version \[{now + 1}\], not version"):
        RowStore(tmp_path, row_type, StoreIdentity({"version": now})).check()


def test_a_place_that_is_none_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a folder"):
        make_store(tmp_path / "file").check()
    with pytest.raises(ConfigError, match="is a URL"):
        make_store(Path("memory://x")).check()
    with pytest.raises(ConfigError, match="the name is not UTF-8"):
        make_store(tmp_path / "\udcff").check()


def test_a_part_that_is_none_is_named(write, tmp_path):
    out = write("a")
    (out / "shapes" / "part-1.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"part-1\.parquet: cannot be read as Parquet"):
        ids(out)
    pq.write_table(
        pq.read_table(next((out / "shapes").glob("*-000000.parquet"))).replace_schema_metadata(),
        out / "shapes" / "part-1.parquet",
    )
    version = ShapeRow.COLUMNS_VERSION
    with pytest.raises(ConfigError, match=f"holds no rows of shapes, version {version}"):
        ids(out)


def test_a_journal_of_other_columns_is_not_taken_up(write, tmp_path):
    out = write("a")
    header = {"columns": "shapes 0", "shard": "1/1", "process": 1, "host": "h"}
    journal = out / "journal" / "part-1-000000.jsonl"
    journal.write_bytes(json.dumps(header).encode() + b"\n{}\n")
    with pytest.raises(ConfigError, match="holds rows of another version"):
        write("b")
    header["columns"] = f"shapes {ShapeRow.COLUMNS_VERSION}"
    journal.write_bytes(json.dumps(header).encode() + b"\n{}\n")
    with pytest.raises(ConfigError, match="line 2 is damaged"):
        write("b")


def test_rows_are_on_the_disk_soon_though_no_other_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_SYNC_SECONDS", 0.05)
    synced, original = threading.Event(), os.fsync

    def sync(descriptor):
        original(descriptor)
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".jsonl"):
            size.append(os.fstat(descriptor).st_size)
            synced.set()

    size = []
    with make_store(tmp_path / "out").writer(Shard()) as writer:
        (path,) = (tmp_path / "out" / "journal").glob("*.jsonl")
        monkeypatch.setattr(os, "fsync", sync)
        for name in "abc":
            writer.append(make_row(name))
        while not size or size[-1] < path.stat().st_size:
            assert synced.wait(20)
            synced.clear()
    assert ids(tmp_path / "out") == ["a", "b", "c"]


@given(st.integers(1, 12), st.integers(1, 12))
def test_shards_share_all_ids_out(count, other_count):
    shards = [Shard(index, count) for index in range(1, count + 1)]
    names = [f"{number}.ply" for number in range(40)]
    assert all(sum(shard.holds(name) for shard in shards) == 1 for name in names)
    others = [Shard(index, other_count) for index in range(1, other_count + 1)]
    for shard in shards:
        for other in others:
            if any(shard.holds(name) and other.holds(name) for name in names):
                assert shard.overlaps(other)
            if count == other_count:
                assert shard.overlaps(other) == (shard == other)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3"])
def test_shards_that_are_none_are_named(text):
    with pytest.raises(ConfigError, match="it must be I/N"):
        Shard.parse(text)


@pytest.mark.parametrize("row_type", [ShapeRow, EvaluationRow])
def test_every_column_is_documented(row_type):
    text = (Path(__file__).parents[2] / "docs" / "collections.md").read_text()
    for field in arrow_schema(row_type):
        assert f"`{field.name}`" in text
    if row_type is ShapeRow:
        cells = re.findall(r"^\| (`\w+`[^|]*) \|", text, flags=re.MULTILINE)
        columns = re.findall(r"`(\w+)`( \*)?(?: \(([^)]+)\))?", ", ".join(cells))
        # A column is of strings unless the page says otherwise.
        table = [(name, bool(star), kind or "string") for name, star, kind in columns][
            : len(arrow_schema(ShapeRow))
        ]
        types = {"timestamp[ms, tz=UTC]": "timestamp[ms, UTC]"}
        assert table == [
            (field.name, not field.nullable, types.get(str(field.type), str(field.type)))
            for field in arrow_schema(ShapeRow)
        ]
