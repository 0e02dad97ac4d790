import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh3d.dataset.fetching import SourceError, fetched, source_sha256
from doh3d.dataset.names import path_for_id
from doh3d.dataset.plan import Finished, Plan
from doh3d.dataset.shard import Shard
from doh3d.dataset.sources import Source, list_sources
from doh3d.dataset.tasks import sha256
from doh3d.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    """A folder of files: a.ply, b.OBJ, notes.md, cars/c.stl, cars/old/d.ply, .hidden/e.ply."""
    for name in ("b.OBJ", "a.ply", "notes.md", "cars/c.stl", "cars/old/d.ply", "cars/.e.ply"):
        path = tmp_path / "shapes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "shapes"


def listed(collection, **options):
    return {source.id: source.path for source in list_sources(str(collection), **options)}


def test_a_folder_is_searched_for_meshes(folder, monkeypatch):
    ids = ["a.ply", "b.OBJ", "cars/c.stl", "cars/old/d.ply"]
    found = listed(folder)
    assert list(found) == ids
    assert found["cars/c.stl"] == str(folder / "cars/c.stl")
    monkeypatch.chdir(folder.parent)
    assert listed("shapes") == listed("shapes/") == listed(f"file://{folder}") == found
    monkeypatch.chdir(folder)
    assert listed(".") == found


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("*.ply", ["a.ply", "cars/old/d.ply"]),
        ("cars/*", ["cars/c.stl", "cars/old/d.ply"]),
        ("*.md", ["notes.md"]),
        ("*.glb", []),
    ],
)
def test_a_pattern_chooses_of_a_folder(folder, pattern, ids):
    assert list(listed(folder, pattern=pattern)) == ids


@pytest.mark.parametrize(
    ("glob", "ids"),
    [
        ("*.ply", ["a.ply"]),
        ("**/*.ply", ["a.ply", "cars/old/d.ply"]),
        ("c*/*.stl", ["cars/c.stl"]),
        ("cars/*.stl", ["c.stl"]),
        ("[ab].*", ["a.ply", "b.OBJ"]),
        ("nothing/*.ply", []),
    ],
)
def test_a_glob_names_shapes_from_where_it_starts(folder, glob, ids):
    found = listed(f"{folder}/{glob}")
    assert list(found) == ids
    assert all(os.path.isfile(path) for path in found.values())


def test_a_list_may_name_anything(folder):
    (folder / "list.txt").write_text("# ours\na.ply\n\n cars/c.stl \n/x/y.ply\ns3://b/z.ply\n")
    assert listed(folder / "list.txt") == {
        "a.ply": str(folder / "a.ply"),
        "cars/c.stl": str(folder / "cars/c.stl"),
        "/x/y.ply": "/x/y.ply",
        "s3://b/z.ply": "s3://b/z.ply",
    }


def test_manifests_have_a_column_of_paths(folder):
    (folder / "a.csv").write_text("id,path\none,a.ply\ntwo,cars/c.stl\n")
    expected = {"one": str(folder / "a.ply"), "two": str(folder / "cars/c.stl")}
    assert listed(folder / "a.csv") == expected
    (folder / "a.tsv").write_text("name\tmesh\nx\ta.ply\n")
    assert listed(folder / "a.tsv") == {"a.ply": str(folder / "a.ply")}
    table = pa.table({"id": ["one", "two"], "where": ["a.ply", "cars/c.stl"]})
    pq.write_table(table, folder / "a.parquet")
    assert listed(folder / "a.parquet", path_column="where") == expected
    table = pa.table({"id": [1, 2], "file": ["a.ply", "cars/c.stl"]})
    pq.write_table(table, folder / "a.parquet")
    assert list(listed(folder / "a.parquet")) == ["1", "2"]


def test_a_mesh_is_a_collection_of_one(folder):
    assert listed(folder / "a.ply") == {"a.ply": str(folder / "a.ply")}


def test_archives_and_other_urls_are_collections(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder))
    found = listed(f"zip://::{tmp_path}/all.zip")
    assert list(found) == ["a.ply", "b.OBJ", "cars/c.stl", "cars/old/d.ply"]
    assert found["cars/c.stl"] == f"zip://cars/c.stl::{tmp_path}/all.zip"
    assert list(listed(f"zip://cars/*.stl::{tmp_path}/all.zip")) == ["c.stl"]
    with fetched(found["cars/c.stl"]) as mesh:
        assert mesh.path.suffix == ".stl"
        assert mesh.path.read_text() == "cars/c.stl"
        assert (mesh.sha256, mesh.size) == (sha256(b"cars/c.stl"), 10)
    assert not mesh.path.exists()
    (folder / "list.txt").write_text("a.ply")
    assert list(listed(f"file://{folder}/list.txt")) == ["a.ply"]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("missing.txt", None, "no such file or folder"),
        ("missing", None, "no such file or folder"),
        ("notes.md", None, "is no collection"),
        ("a.csv", "name\nx\n", "has no column path or file or mesh or source, but name"),
        ("a.csv", "", "has no column path .*, but none"),
        ("a.csv", "path,id\nx,a\n,b\n", "line 3 names no path"),
        ("a.csv", "path,id\nx,\n", "line 2 has an empty id"),
        ("a.parquet", "PAR1", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_collection_is_named(folder, name, text, named):
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(ConfigError, match=named):
        listed(folder / name)


def test_options_that_do_not_fit_are_named(folder):
    with pytest.raises(ConfigError, match="is not a folder, so pattern"):
        listed(folder / "a.ply", pattern="*.ply")
    with pytest.raises(ConfigError, match="is no manifest, so path-column"):
        listed(folder, path_column="x")
    with pytest.raises(ConfigError, match="cannot be opened"):
        listed("nosuch://place")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not text in UTF-8"):
        listed(folder / "binary.txt")


def test_sources_that_cannot_be_read_are_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("doh3d.dataset.fetching._FIRST_WAIT_SECONDS", 0.0)
    with pytest.raises(SourceError, match=r"gone\.ply: cannot be read: No such file"):
        source_sha256(str(tmp_path / "gone.ply"))
    attempts = []

    def fail_once(path):
        attempts.append(path)
        if len(attempts) == 1:
            raise OSError(5, "Input/output error")
        return "digest", 3

    monkeypatch.setattr("doh3d.dataset.fetching._digest", fail_once)
    with fetched("/a.ply", retries=1) as found:
        assert (found.sha256, found.size) == ("digest", 3)
    attempts.clear()
    with pytest.raises(SourceError, match="Input/output error"), fetched("/a.ply"):
        pass


def test_a_pipe_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "a.ply")
    with pytest.raises(SourceError, match="it is a named pipe"):
        source_sha256(str(tmp_path / "a.ply"))


def test_a_plan_is_what_is_missing():
    sources = [Source(f"{number:03}", f"/{number}") for number in range(2500)]
    with Plan() as plan:
        plan.add_sources([*sources, sources[0]], Shard())
        assert plan.sources() == 2500
        done = [Finished(s.id, "d", None if int(s.id) % 4 else "mesh") for s in sources[::2]]
        plan.add_finished([*done, Finished("elsewhere", "d", None)])
        assert (plan.finished(failed=False), plan.finished(failed=True)) == (625, 625)
        assert [source for source, _ in plan.to_check()] == sources[::2]
        assert list(plan.missing()) == sources[1::2]
        plan.forget(["000", "002"])
        assert next(plan.missing()) == sources[0]
        assert plan.path_of("003") == "/3"
        assert plan.path_of("elsewhere") is None


def test_ids_are_unique_and_can_be_written():
    with Plan() as plan, pytest.raises(ConfigError, match="two shapes have the id 'a': /a and /b"):
        plan.add_sources([Source("a", "/a"), Source("a", "/b")], Shard())
    with Plan() as plan, pytest.raises(ConfigError, match=r"udcff.*the name is not UTF-8"):
        plan.add_sources([Source("\udcff", "/\udcff")], Shard())


SAFE_IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@given(SAFE_IDS, SAFE_IDS)
def test_ids_lead_to_files_below_the_folder(tmp_path_factory, one, other):
    folder = tmp_path_factory.getbasetemp()
    path = path_for_id(folder, one, ".doh")
    assert path.is_relative_to(folder)
    assert ".." not in path.parts
    assert max(len(os.fsencode(part)) for part in path.relative_to(folder).parts) <= 255
    assert (path_for_id(folder, other, ".doh") == path) == (one == other)


def test_names_of_files_are_those_of_the_sources(tmp_path):
    names = {"cars/a b.ply": "cars/a b.ply.doh", "../x": "%../x.doh", "/d/ö:1": "%/d/ö%3A1.doh"}
    for id_, name in names.items():
        assert path_for_id(tmp_path, id_, ".doh") == tmp_path / name
