import base64
import json
import os
import re
import sys
from importlib import resources

import numpy as np
import pytest
import trimesh
from PIL import ImageColor

from doh3d.errors import ConfigError
from doh3d.view.report import format_cell, read_sections, write_report
from doh3d.view.report_content import MOST_POINTS, MOST_ROWS, spread
from doh3d.view.report_figures import COLOURS, histogram, level_styles
from doh3d.view.report_shapes import pack

pytest.importorskip("plotly")


def data_of(page):
    """What the page's script reads."""
    return json.loads(re.search(r'id="report-data">(.*?)</script>', page, re.DOTALL)[1])


def test_one_page_shows_all_that_a_folder_holds(run, kept_results, tmp_path, hostile):
    pytest.importorskip("open3d")
    output = tmp_path / "report.html"
    status, out, err = run("report", kept_results, "-o", output, "--json")
    assert status == 0
    report = json.loads(out)
    assert report["sections"] == [
        f"Sweep of {hostile}.ply",
        "Collections large, small",
        "Evaluations",
    ]
    assert report["bytes"] == output.stat().st_size < 10_000_000
    assert report["rows"] == 3 + 8 + 3
    # The sweep's, the hostile one and three of a collection, the evaluations'.
    assert report["shapes"] == 1 + 4 + 1
    # Three have no original where they say.
    assert len(report["notes"]) == 3
    assert err.count("shown without its original") == 3
    data = data_of(output.read_text())
    assert len(data["figures"]) == 2 + 4 + 1
    assert [len(shape["levels"]) for shape in data["shapes"]] == [3] + 4 * [2] + [3]
    assert [shape["original"] is None for shape in data["shapes"]].count(True) == 3


def test_text_from_files_is_text(kept_results, tmp_path, hostile):
    pytest.importorskip("open3d")
    write_report(kept_results / "large", tmp_path / "report.html", title=hostile)
    page = (tmp_path / "report.html").read_text()
    # The one tag of a script's end that is no template's would be the name's.
    assert page.count("</script>") == page.count("<script") == 4
    assert hostile not in page
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 5


def test_nothing_in_the_page_points_elsewhere(results, tmp_path):
    write_report(results, tmp_path / "report.html", pictures=False)
    page = (tmp_path / "report.html").read_text()
    assert re.search(r"default-src 'none'", page)
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?!data:)', page)


def test_pictures_can_be_left_out_and_open3d_with_them(results, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    report = write_report(results, tmp_path / "report.html", pictures=False)
    assert (report.shapes, report.notes) == (0, ())
    assert "Original and reconstruction" not in (tmp_path / "report.html").read_text()
    with pytest.raises(ConfigError, match=r'pip install "doh3d\[view\]"'):
        write_report(results, tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


@pytest.mark.slow
def test_originals_are_found_with_reference(results, torus_folder, tmp_path):
    pytest.importorskip("open3d")
    moved = json.loads((results / "sweep" / "sweep.json").read_text()) | {"source": "/nowhere"}
    (results / "sweep" / "sweep.json").write_text(json.dumps(moved))
    output = tmp_path / "report.html"
    without = write_report(results / "sweep", output)
    assert without.notes[0].endswith(
        "/nowhere is not there, or another mesh; name it with --reference"
    )
    assert write_report(results / "sweep", output, reference=torus_folder / "torus.ply").notes == ()
    # Another mesh is not passed off as the original.
    trimesh.creation.box().export(tmp_path / "box.ply")
    other = write_report(results / "sweep", output, reference=tmp_path / "box.ply")
    assert "or another mesh" in other.notes[0]


@pytest.mark.slow
def test_a_collection_of_thousands_stays_bounded(tmp_path, torus_folder, shape_row, write_dataset):
    pytest.importorskip("open3d")
    data = (torus_folder / "60.doh").read_bytes()
    ious = np.random.Generator(np.random.PCG64(0)).permutation(6000) / 6000
    rows = [shape_row(f"{iou:.5f}.ply", data, iou) for iou in ious.tolist()]
    write_dataset(tmp_path / "set", rows)
    report = write_report(tmp_path / "set", tmp_path / "report.html")
    assert report.rows == MOST_ROWS
    assert report.bytes < 8_000_000
    (section,) = read_sections(tmp_path / "set")
    shown = [row[0] for row in section.table.rows]
    assert shown[: MOST_ROWS // 2] == [f"{i / 6000:.5f}.ply" for i in range(MOST_ROWS // 2)]
    assert shown[-1] == f"{5999 / 6000:.5f}.ply"
    assert section.table.note.startswith(f"{MOST_ROWS} of 6,000 shapes")
    assert len(section.figures[0][1].data[0].x) == MOST_POINTS
    notes = [(subject.note, subject.name) for subject in section.subjects]
    assert notes[0] == ("lowest IoU", "0.00000.ply")
    assert ("highest IoU", f"{5999 / 6000:.5f}.ply") in notes
    assert len({name for _, name in notes}) == len(notes) == 10


def test_batch_evals_measurements_come_before_batchs_own(
    tmp_path, torus_folder, shape_row, write_dataset
):
    from dataclasses import replace

    from doh3d.dataset.evaluation import EvaluationJob, _empty_row
    from doh3d.dataset.parts import PartFolder
    from doh3d.dataset.rows import EvaluationRow

    data = (torus_folder / "60.doh").read_bytes()
    write_dataset(tmp_path / "set", [shape_row("a.ply", data, 0.5)])
    job = EvaluationJob("a.ply", "0" * 16, data, "/nowhere", None)
    measured = {"iou": 0.75, "protocol": "grid", "points": 8000, "surface_f_score": 0.25}
    PartFolder(tmp_path / "set/evaluation/measurements", EvaluationRow).write(
        "part-0-000000", [replace(_empty_row(job), **measured)]
    )
    (section,) = read_sections(tmp_path / "set")
    assert section.facts["IoU"] == "grid, 8,000 points"
    titles = [column.title for column in section.table.columns]
    assert titles == ["Shape", "Bytes", "IoU", "F-score"]
    assert section.table.rows == [("a.ply", len(data), 0.75, 0.25)]


def test_distances_from_point_to_point_have_columns_of_their_own(
    tmp_path, torus_folder, shape_row, write_dataset
):
    import pyarrow.parquet as pq

    data = (torus_folder / "60.doh").read_bytes()
    ious = {"a.ply": 0.5, "b.ply": 0.9}
    for name in ("old", "new"):
        rows = [shape_row(id_, data, iou) for id_, iou in ious.items()]
        write_dataset(tmp_path / "sets" / name, rows)
    (part,) = (tmp_path / "sets" / "old" / "shapes").iterdir()
    table = pq.read_table(part)
    names = [name.removeprefix("surface_") for name in table.column_names]
    table = table.rename_columns(names).replace_schema_metadata({b"doh3d.columns": b"shapes 2"})
    pq.write_table(table, part)
    (section,) = read_sections(tmp_path / "sets")
    titles = [column.title for column in section.table.columns]
    first = titles.index("Chamfer-L1")
    assert titles[first + 1] == "Chamfer-L1, point to point"
    chamfer = {(row[0], row[1]): row[first : first + 2] for row in section.table.rows}
    for id_, iou in ious.items():
        assert chamfer[id_, "old"] == (None, pytest.approx((1 - iou) / 10))
        assert chamfer[id_, "new"] == (pytest.approx((1 - iou) / 10), None)
    figures = [title for title, _ in section.figures]
    assert "How many shapes have which Chamfer-L1" in figures
    assert "How many shapes have which Chamfer-L1 from point to point" in figures


def test_evaluations_from_point_to_point_have_columns_of_their_own(tmp_path):
    values = {"bytes": 100, "iou": 0.5, "protocol": "bbox", "points": 8, "reference": "a.ply"}
    for name, column in (("old", "f_score"), ("new", "surface_f_score")):
        (tmp_path / f"{name}.json").write_text(json.dumps(values | {"file": name, column: 0.25}))
    (section,) = read_sections(tmp_path)
    titles = [column.title for column in section.table.columns]
    assert "Chamfer-L1" not in titles
    rows = {row[0]: dict(zip(titles, row, strict=True)) for row in section.table.rows}
    for name, title, other in (
        ("old", "F-score, point to point", "F-score"),
        ("new", "F-score", "F-score, point to point"),
    ):
        assert (rows[name][title], rows[name][other]) == (0.25, None)


def test_evaluations_of_grids_are_shown_label_by_label(tmp_path):
    for label, dice in ((1, 0.75), (2, 0.5)):
        values = {"file": f"{label}.doh", "reference": "map.nii.gz", "label": label, "bytes": 100}
        values |= {"iou": 0.25, "dice": dice, "hausdorff_95": None, "shape": [4, 5, 6]}
        (tmp_path / f"{label}.json").write_text(json.dumps(values))
    (section,) = read_sections(tmp_path)
    assert section.facts["IoU"] == "voxels, 120 points"
    assert {subject.name for subject in section.subjects} == {
        "map.nii.gz#label=1",
        "map.nii.gz#label=2",
    }
    titles = [column.title for column in section.table.columns]
    assert [row[titles.index("Dice")] for row in section.table.rows] == [0.75, 0.5]
    assert "95% Hausdorff" not in titles


@pytest.fixture
def bad_folders(tmp_path, results):
    """What there is nothing to report about, by name, and what is said of it."""
    names = ("empty", "cut", "json", "eval", "grid", "parquet")
    folders = {name: tmp_path / name for name in names}
    for folder in folders.values():
        folder.mkdir()
    (folders["cut"] / "sweep.csv").write_text("latent,bits\n1,2\n")
    (folders["json"] / "a.json").write_text("{")
    values = {"bytes": "<script>", "iou": 0.5, "protocol": "bbox", "points": 1}
    (folders["eval"] / "a.json").write_text(json.dumps(values))
    values = {"bytes": 9, "iou": 0.5, "dice": 0.5, "shape": "<script>"}
    (folders["grid"] / "a.json").write_text(json.dumps(values))
    (folders["parquet"] / "shapes").mkdir()
    (folders["parquet"] / "shapes" / "part-0.parquet").write_bytes(b"PAR1")
    (folders["parquet"] / "dataset.json").write_text("{}")
    (tmp_path / "file").write_text("")
    return {
        "empty": (folders["empty"], "holds nothing to report"),
        "no folder": (tmp_path / "nowhere", "no such folder"),
        "a file": (tmp_path / "file", "is not a folder"),
        "another table": (folders["cut"], "line 1 does not name the columns of a sweep"),
        "no JSON": (folders["json"], "a.json: is not JSON"),
        "a wrong value": (folders["eval"], "bytes is '<script>'; a number is needed"),
        "a wrong shape": (folders["grid"], "shape is '<script>'; three whole numbers are needed"),
        "no Parquet": (folders["parquet"], "cannot be read as Parquet"),
    }


BAD_FOLDERS = [
    "empty",
    "no folder",
    "a file",
    "another table",
    "no JSON",
    "a wrong value",
    "a wrong shape",
    "no Parquet",
]


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_nothing_to_report_is_one_line_and_exit_2(run, tmp_path, bad_folders, case):
    folder, said = bad_folders[case]
    before = sorted(os.listdir(tmp_path))
    status, out, err = run("report", folder, "-o", tmp_path / "report.html")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--up", "w"], "up is 'w'; it must be one of x, y, z"),
        (["--reference", "/nowhere"], "/nowhere: no such file or folder"),
        (["--baseline", "Draco"], "it must be NAME=FILE.tsv"),
        (["-o", "/nowhere/report.html"], "does not exist"),
    ],
)
def test_wrong_options_are_one_line_and_exit_2(run, tmp_path, results, options, said):
    arguments = [] if "-o" in options else ["-o", tmp_path / "report.html"]
    status, out, err = run("report", results, *arguments, *options)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err


def test_a_baseline_is_drawn_beside_a_sweep(results, tmp_path):
    (tmp_path / "draco.tsv").write_text("bytes\tiou\n300\t0.8\n900\t0.95\n")
    sections = read_sections(results / "sweep", [f"Draco <b>={tmp_path / 'draco.tsv'}"])
    names = [trace.name for trace in sections[0].figures[0][1].data]
    assert names == ["Pareto front", "7 bits", "Draco &lt;b&gt;"]


def test_packed_meshes_are_small_and_in_their_places():
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=3)
    mesh.apply_translation([10, 0, 0])
    packed = pack(mesh, np.array([10.0, 0, 0]), 3.0, 2000)
    places = np.frombuffer(base64.b64decode(packed["places"]), "<i2").reshape(-1, 3) / 32000 * 1.02
    corners = np.frombuffer(base64.b64decode(packed["corners"]), "<u2").reshape(-1, 3)
    assert 1500 < len(corners) <= 2000
    assert corners.max() == len(places) - 1
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1, atol=0.01)


def test_each_packed_face_between_edges_has_its_own_vertices():
    packed = pack(trimesh.creation.box((2, 2, 1)), np.zeros(3), 1.0, 500)
    corners = np.frombuffer(base64.b64decode(packed["corners"]), "<u2")
    # So that the mean of a vertex's faces is its face's normal.
    assert sorted(corners) == list(range(36))
    # A burr, all edges, is no larger in the page than what is smooth.
    burr = trimesh.creation.icosphere(subdivisions=4)
    burr.vertices *= np.random.default_rng(0).uniform(0.5, 1, (len(burr.vertices), 1))
    packed = pack(burr, np.zeros(3), 1.0, 1000)
    assert sum(map(len, packed.values())) < 1.5 * 1000 * (6 + 3) * 4 / 3
    assert len(packed["corners"]) > 300 * 6 * 4 / 3


def test_what_cannot_be_simplified_is_made_coarser():
    generator = np.random.Generator(np.random.PCG64(0))
    specks = [trimesh.creation.icosphere(0, 0.01) for _ in range(600)]
    for speck, place in zip(specks, generator.uniform(-1, 1, (600, 3)), strict=True):
        speck.apply_translation(place)
    mesh = trimesh.util.concatenate(specks)
    packed = pack(mesh, np.zeros(3), 1.0, 500)
    corners = np.frombuffer(base64.b64decode(packed["corners"]), "<u2").reshape(-1, 3)
    assert len(corners) <= 750


def test_spread_keeps_the_ends():
    assert spread(range(5), 9) == [0, 1, 2, 3, 4]
    assert spread(range(101), 3) == [0, 50, 100]


def test_cells():
    assert format_cell(None, 2) == "–"
    assert format_cell(1234.5678, 2) == "1,234.57"
    assert format_cell("a", None) == "a"
    assert len(format_cell("a" * 10**6, None)) == 300
    assert format_cell(float("inf"), 2) == "inf"


def contrast(one, other):
    """WCAG's, of two colours of (3,) in [0, 255]."""

    def luminance(colour):
        share = np.asarray(colour) / 255
        linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_figures_are_seen_on_white_and_on_near_black():
    css = (resources.files("doh3d.view") / "templates/report.css").read_text()
    grounds = [ImageColor.getrgb(found) for found in re.findall(r"--ground: ([^;]+);", css)]
    assert len(grounds) == 2
    colours = [*COLOURS, *(style["color"] for style in level_styles(12))]
    for colour in map(ImageColor.getrgb, colours):
        assert min(contrast(colour, ground) for ground in grounds) >= 3


def test_a_histogram_of_one_value_is_none():
    assert histogram({"set": np.full(3, 0.9)}, "IoU") is None
    assert histogram({"set": np.array([np.nan])}, "IoU") is None
    assert histogram({"set": np.array([0.8, 0.9])}, "IoU") is not None
