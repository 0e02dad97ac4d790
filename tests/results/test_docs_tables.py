from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("bjontegaard")

import docs_tables
import doh3d
from docs_tables import markdown, rewritten, unnamed
from doh3d.evaluation.rate_distortion import RatePoint
from pages import shapes
from pages.registry import NUMBERS, TABLES, Results

ROOT = Path(__file__).parents[2]
ROWS = "mesh\tpreset\tiou\tlabel\tcode\ncow\tfast\t0.5123\t\t\npig\tfast\t0.25\tbefore\t\n"


@pytest.fixture
def results(tmp_path, monkeypatch):
    (tmp_path / "rd.tsv").write_text(ROWS)
    monkeypatch.setitem(
        TABLES,
        "ious",
        lambda results: [
            ["mesh", "IoU"],
            *([row["mesh"], row["iou"]] for row in results.rows("rd")),
        ],
    )
    return Results(tmp_path)


PAGE = """# Results

<!-- table: ious -->
| mesh | IoU |
|---|---|
| cow | 0.5123 |
| pig | 0.25 |

The cow has <!-- n: cell rd iou .2f
mesh=cow -->0.51<!-- / -->.
"""


def test_a_page_that_says_what_the_results_say_stays(results):
    assert rewritten(PAGE, results) == (PAGE, [])


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("| 0.25 |", "| 0.26 |", 7, "says | pig | 0.26 |, results say | pig | 0.25 |"),
        ("| pig | 0.25 |\n", "", 7, "says nothing, results say | pig | 0.25 |"),
        ("-->0.51<", "-->0.52<", 9, "cell rd iou .2f mesh=cow: says 0.52, results say 0.51"),
    ],
)
def test_what_differs_is_named_and_mended(results, old, new, line, said):
    assert old in PAGE
    made, faults = rewritten(PAGE.replace(old, new), results, "docs/results.md")
    assert made == PAGE
    assert [" ".join(str(fault).split()) for fault in faults] == [f"docs/results.md:{line}: {said}"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("table: ious", "table: iou", "there is no table iou"),
        ("n: cell", "n: sell", "there is no number sell"),
        ("mesh=cow", "mesh=dog", "rd.tsv has no row with mesh dog"),
        ("mesh=cow", "name=cow", "rd.tsv has no column name"),
        ("mesh=cow", "preset=fast", "rd.tsv has 2 rows with preset fast"),
        ("mesh=cow", "cow", "dictionary update sequence"),
        ("cell rd", "cell dr", "there is no dr.tsv"),
        ("cell rd iou .2f", "cell", "missing"),
    ],
)
def test_what_cannot_be_made_is_named_and_stays(results, old, new, said):
    page = PAGE.replace(old, new)
    made, (fault,) = rewritten(page, results)
    assert made == page
    assert said in str(fault)


def test_tables_of_figures_name_their_source(results):
    def faults(text, page="docs/results.md"):
        return [fault.line for fault in unnamed(text, page)]

    bare = "Text.\n\n| mesh | IoU |\n|---|---|\n| cow | 0.5 |\n"
    assert faults(bare) == [3]
    assert faults(PAGE) == []
    assert faults(bare, "docs/format.md") == []
    assert faults(bare.replace("0.5", "good")) == []
    assert faults("<!-- fixed: published\nfigures -->\n" + bare.removeprefix("Text.\n")) == []
    # A reason is needed.
    assert faults("<!-- fixed: -->\n" + bare.removeprefix("Text.\n")) == [3]


def test_marks_of_numbers_do_not_begin_a_line():
    assert list(docs_tables.misplaced(PAGE, "docs/results.md")) == []
    (fault,) = docs_tables.misplaced(PAGE.replace("The cow has <", "  <"), "docs/results.md")
    assert str(fault).startswith("docs/results.md:9: a number's mark begins the line")


def test_lines_have_as_many_cells_as_the_head():
    assert markdown([["a", ""], ["1", "2"]]) == ["| a | |", "|---|---|", "| 1 | 2 |"]
    with pytest.raises(ValueError, match="more or fewer cells"):
        markdown([["a", "b"], ["1"]])


def test_a_peer_that_is_worse_everywhere_has_no_bd_rate(monkeypatch):
    points = [RatePoint(500 * n, 0.9 + 0.02 * n) for n in (1, 2, 3, 4)]
    better = [RatePoint(point.bytes, 0.99 + point.iou / 200) for point in points]
    found = {
        "spot": {
            "coin": points,
            "codec": [replace(point, iou=point.iou + 0.01) for point in points],
        },
        "fandisk": {"coin": points, "codec": better},
    }
    monkeypatch.setattr(shapes, "curves_of", lambda results, preset, measure: found)
    assert list(shapes.bd_rates(None, "coin", "fast")) == ["spot"]
    # A codec that is worse everywhere is not left out.
    found["fandisk"] = {"coin": better, "codec": points}
    with pytest.raises(LookupError, match="fandisk has no BD-rate against coin"):
        shapes.bd_rates(None, "coin", "fast")


def test_presets_are_compared_where_one_errs_less(monkeypatch):
    iou = {mesh: {"best": 0.9, "default": 0.8} for mesh in (*shapes.ORGANIC, *shapes.CAD)}
    iou |= {"lucy": {"best": 0.96, "default": 0.95}, "spot": {"best": 0.98, "default": 0.99}}
    monkeypatch.setattr(shapes, "iou_of", lambda results, mesh, preset, target: iou[mesh][preset])
    found = [shapes.less_error(None, "best", "default", "1200", of) for of in ("least", "most")]
    assert found == ["20%", "50%"]
    assert shapes.less_error(None, "best", "default", "1200", "lucy") == "20%"
    assert shapes.less_error(None, "best", "default", "1200", "count") == "eleven"
    with pytest.raises(LookupError, match="spot: best does not err less than default"):
        shapes.less_error(None, "best", "default", "1200", "spot")


def test_measures_are_compared_on_all_meshes_or_not_at_all(monkeypatch):
    points = [RatePoint(500 * n, 0.9 + 0.02 * n) for n in (1, 2, 3, 4)]
    half = [replace(point, bytes=point.bytes // 2) for point in points]
    known = {mesh: {"draco": points, "codec": half} for mesh in shapes.ORGANIC | shapes.CAD}
    monkeypatch.setattr(shapes, "curves_of", lambda results, preset, measure: known)
    _, *lines = shapes.bd_measures(None)
    assert [name for name, *_ in lines] == ["IoU", "Chamfer distance", "normal consistency"]
    assert {cell for _, *cells in lines for cell in cells} == {"-50"}
    del known["spot"]
    with pytest.raises(LookupError, match="by IoU there are BD-rates of 11 meshes only"):
        list(shapes.bd_measures(None))


def test_tables_of_more_than_one_code_are_listed(results, monkeypatch):
    # History is not to be measured again.
    assert list(docs_tables.incomplete(results)) == ["rd: 0 rows of the present code; 1 of none"]


def test_every_page_says_what_the_results_say():
    """Mend it by `python scripts/docs_tables.py`, or measure what is missing."""
    results = Results(ROOT / "results" / doh3d.__version__)
    assert [str(fault) for fault in docs_tables.check(results)] == []


def test_no_figure_is_without_a_page():
    text = "".join(path.read_text() for path in docs_tables.pages())
    for name in [name for name in TABLES if f"<!-- table: {name} -->" not in text]:
        # What is not measured yet may wait for its page.
        with pytest.raises(LookupError, match=r"there is no .*\.tsv"):
            list(TABLES[name](Results(ROOT / "results" / doh3d.__version__)))
    assert "cell" in NUMBERS
