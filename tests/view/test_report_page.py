"""A report in a real browser: Debian's Chromium, driven by Playwright, without a display."""

import numpy as np
import pytest

from browser import CHROMIUM, Opened, differing, drawn_share
from doh3d.view.report import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("require_open3d"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (apt-get install chromium)"),
]

WIDE, NARROW = {"width": 1200, "height": 900}, {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def report_path(kept_results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(kept_results, path, up="z")
    return path


@pytest.fixture
def opened(browser, report_path):
    """Open the report, which is checked for errors when the test ends."""
    pages = []

    def open_page(size=WIDE, scheme="light"):
        pages.append(Opened(browser, report_path, size, scheme))
        pages[-1].decoded("#decoded-view")
        return pages[-1]

    yield open_page
    wrong = [message for each in pages for message in each.wrong]
    for each in pages:
        each.page.close()
    assert wrong == []


def test_figures_and_shapes_are_drawn_and_move(opened):
    report = opened()
    page = report.page
    points = page.evaluate(
        "[...document.querySelectorAll('.plot')].map(place => "
        "place.querySelectorAll('.scatterlayer path, .barlayer path').length)"
    )
    assert len(points) == 7
    assert min(points) > 0
    for view in ("#original-view", "#decoded-view"):
        assert 0.1 < drawn_share(report.look(view)) < 0.9
    # The slider, by keyboard.
    before, text = report.look("#decoded-view"), page.locator("#rate-text").inner_text()
    untouched = report.look("#original-view")
    page.locator("#rate").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#rate-text").inner_text() != text
    assert page.locator("#rate").get_attribute("aria-valuetext") == (
        page.locator("#rate-text").inner_text()
    )
    page.locator("#rate").blur()
    report.decoded("#decoded-view")
    assert report.changed("#decoded-view", before) > 0.01
    assert differing(report.look("#original-view"), untouched) < 0.001
    # Both views turn together.
    before = {view: report.look(view) for view in ("#original-view", "#decoded-view")}
    page.get_by_role("button", name="Look from higher").press("Enter")
    for view, picture in before.items():
        assert report.changed(view, picture) > 0.01
    # Finer.
    faces = "document.getElementById('decoded-view').mesh.indices.length"
    coarse = page.evaluate(faces)
    page.locator("#resolution").select_option("128")
    page.wait_for_function(f"{faces} > {coarse}")
    report.decoded("#decoded-view")
    # Another shape.
    before = report.look("#decoded-view")
    page.locator("#shape").select_option(index=1)
    report.decoded("#decoded-view")
    assert report.changed("#decoded-view", before) > 0.01


def test_light_shows_the_form(opened):
    picture = opened().look("#decoded-view")
    shape = np.abs(picture.astype(int) - picture[len(picture) // 2, 4]).max(axis=2) > 12
    _, counts = np.unique(picture[shape] // 16, axis=0, return_counts=True)
    # A light too bright paints a third of it in one colour.
    assert counts.max() < 0.25 * counts.sum()


def test_dragging_one_view_turns_the_other(opened):
    report = opened()
    box = report.page.locator("#decoded-view").bounding_box()
    before = report.look("#original-view")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    report.page.mouse.move(x, y)
    report.page.mouse.down()
    report.page.mouse.move(x, y + 90, steps=4)
    report.page.mouse.up()
    assert report.changed("#original-view", before) > 0.01


def test_names_are_shown_as_they_are(opened, hostile):
    page = opened().page
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("h2", has_text=hostile).count() == 1
    assert page.locator("td", has_text=hostile).count() > 0
    assert hostile in page.locator("#shape").inner_text()


def test_by_keyboard(opened):
    page = opened().page
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.ariaLabel || "
                "document.activeElement.textContent"
            )
        )
    assert reached[:5] == ["shape", "up", "rate", "resolution", "original-view"]
    assert reached[5:7] == ["decoded-view", "Turn left"]
    # The views themselves turn by keys.
    before = page.evaluate("document.getElementById('decoded-view').view.azimuth")
    page.locator("#original-view").locator("canvas").press("ArrowLeft")
    assert page.evaluate("document.getElementById('decoded-view').view.azimuth") == before + 15
    assert page.evaluate(
        "[...document.querySelectorAll('button, input, select')].every(one => "
        "one.ariaLabel || one.textContent.trim() || one.labels?.length)"
    )
    table = page.locator("table").first
    head = table.get_by_role("button", name="IoU")
    for order in ("ascending", "descending"):
        head.press("Enter")
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == order
        shown = [float(text) for text in table.locator("tbody td:nth-child(5)").all_inner_texts()]
        assert shown == sorted(shown, reverse=order == "descending")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_narrow_screen_nothing_overflows(opened, scheme):
    page = opened(NARROW, scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    beyond = page.evaluate(
        "[...document.querySelectorAll('body *')].filter("
        "one => !one.closest('.scroll, svg, select')"
        " && one.getBoundingClientRect().right > innerWidth + 0.5).map(one => one.outerHTML)"
    )
    assert beyond == []
    # What is wider scrolls by itself, by keyboard too.
    assert page.locator(".scroll").first.get_attribute("tabindex") == "0"


def test_dark_mode_is_dark_and_legible(opened):
    report = opened(scheme="dark")
    page = report.page

    def luminance(of, what):
        colour = page.evaluate(f"getComputedStyle(document.querySelector('{of}')).{what}")
        return np.mean([float(c) for c in colour.strip("rgba()").split(",")[:3]])

    assert luminance("body", "backgroundColor") < 60
    assert luminance("body", "color") > 180
    assert luminance(".plot .xtick text", "fill") > 180
    page.emulate_media(color_scheme="light")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.plot .xtick text')).fill === 'rgb(34, 34, 34)'"
    )
