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
        ("a.csv", "", "has no column path .*, but none; name the one"),
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


def test_ids_are_unique():
    with Plan() as plan, pytest.raises(ConfigError, match="two shapes have the id 'a': /a and /b"):
        plan.add_sources([Source("a", "/a"), Source("a", "/b")], Shard())


BAD_NAME = os.fsdecode(b"caf\xe9.ply")


def test_names_that_are_not_utf8_are_sources_with_a_problem(folder):
    (folder / "cars" / BAD_NAME).write_text("")
    problem = "the name is not UTF-8; rename the file"
    expected = Source(r"cars/caf\xe9.ply", rf"{folder}/cars/caf\xe9.ply", problem)
    (folder / "list.txt").write_bytes(b"a.ply\ncars/caf\xe9.ply\n")
    (folder / "table.csv").write_bytes(b"path\na.ply\ncars/caf\xe9.ply\n")
    for collection in (folder, folder / "**" / "*.ply", folder / "list.txt", folder / "table.csv"):
        found = list(list_sources(str(collection)))
        assert [source for source in found if source.problem] == [expected]
        assert "a.ply" in [source.id for source in found]
    # Where the whole collection has no name, one line says so.
    for collection in (folder / "cars" / BAD_NAME, folder / BAD_NAME / "*.ply"):
        with pytest.raises(ConfigError, match=r"caf\\xe9\.ply.*: the name is not UTF-8; rename it"):
            list_sources(str(collection))


@pytest.mark.parametrize("order", [1, -1])
def test_ids_of_such_names_give_way_to_names(order):
    bad = [Source(r"\xe9", r"/\xe9", "is not UTF-8"), Source(r"\xe9~", r"/\xe9~", "is not UTF-8")]
    sources = [Source(r"\xe9", r"/\xe9"), *bad, bad[0]]
    with Plan() as plan:
        plan.add_sources(sources[::order], Shard())
        found = list(plan.missing())
        assert {source.id for source in found} == {r"\xe9", r"\xe9~", r"\xe9~~"}
        assert [source.id for source in found if not source.problem] == [r"\xe9"]


def test_links_to_folders_are_followed(folder, tmp_path, caplog):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "f.ply").write_text("")
    (outside / "deep" / "g.ply").write_text("")
    (folder / "aside").symlink_to(outside)
    (folder / "h.ply").symlink_to(outside / "f.ply")
    found = listed(folder)
    ids = ["a.ply", "b.OBJ", "h.ply", "cars/c.stl", "cars/old/d.ply"]
    assert list(found) == [*ids, "aside/f.ply", "aside/deep/g.ply"]
    assert found["aside/deep/g.ply"] == str(folder / "aside/deep/g.ply")
    assert list(listed(f"{folder}/*/*.ply")) == ["aside/f.ply"]
    assert list(listed(f"{folder}/aside/*.ply")) == ["f.ply"]
    assert listed(f"file://{folder}") == found
    assert caplog.messages == []


def test_a_folder_is_listed_once_whatever_leads_to_it(folder, tmp_path, caplog):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "g.ply").write_text("")
    (outside / "back").symlink_to(folder)
    (folder / "again").symlink_to("cars")
    (folder / "cars" / "up").symlink_to("..")
    (folder / "inner").symlink_to(outside / "deep")
    (folder / "outer").symlink_to(outside)
    (folder / "itself").symlink_to("itself")
    ids = ["a.ply", "b.OBJ", "cars/c.stl", "cars/old/d.ply"]
    assert list(listed(folder)) == [*ids, "inner/g.ply"]
    told = {
        "again": folder / "cars",
        "cars/up": folder,
        "outer/deep": outside / "deep",
        "outer/back": folder,
    }
    assert sorted(caplog.messages) == sorted(
        f"{folder}/{name}: is the folder {real}, which is listed already; passed over"
        for name, real in told.items()
    )


def test_a_folder_that_cannot_be_listed_is_told_of(folder, monkeypatch, caplog):
    real_scandir = os.scandir

    def scandir(path):
        if os.path.basename(path) == "cars":
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(listed(folder)) == ["a.ply", "b.OBJ"]
    assert caplog.messages == [f"{folder}/cars: cannot be listed (Permission denied); passed over"]


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
