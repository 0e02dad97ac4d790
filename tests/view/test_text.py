"""Names in pictures, whatever they are made of."""

import os
import string
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from doh3d.view.stage import Panel
from doh3d.view.text import find_fonts, legend_label, printable, save_figure, split_by_font

matplotlib = pytest.importorskip("matplotlib")

from matplotlib.figure import Figure  # noqa: E402

OWN_FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")

NAMES = ["Ba$$in.stl", r"o$\q$", r"\$x$", r"$\frac{1}$", "$", "a_b^c%#&{}~", "_under.ply"]
SCRIPTS = [
    "兔子.ply",
    "ウサギ.ply",
    "토끼.ply",
    "أرنب.ply",
    "🐇.ply",
    "👨‍👩‍👧.ply",
    "Häschen ñ.ply",
]


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def written(folder, text, **options):
    """Pixels of a figure with nothing but a text."""
    figure = Figure(figsize=(4, 1))
    figure.text(0.02, 0.5, text, **options)
    save_figure(figure, folder / "a.png")
    return pixels(folder / "a.png")


@pytest.mark.parametrize("name", NAMES)
def test_dollars_are_letters(tmp_path, name):
    # A text with one dollar sign, and no other, never was a formula.
    expected = written(tmp_path, name, parse_math=False)
    assert (written(tmp_path, name) == expected).all()
    assert (expected < 200).any()


@pytest.mark.parametrize("name", NAMES + SCRIPTS + ["a\nb", os.fsdecode(b"\xff"), ""])
def test_names_are_drawn_without_a_word(tmp_path, name, capfd):
    figure = Figure(layout="constrained")
    axes = figure.add_subplot(title=name, xlabel=name)
    axes.plot([0, 1], label=legend_label(name))
    if name:
        axes.legend(title=name)
    axes.annotate(name, (0, 0))
    save_figure(figure, tmp_path / "a.png")
    assert axes.get_title() == printable(name)
    assert capfd.readouterr().err == ""
    assert not name or printable(name) in [t.get_text() for t in axes.get_legend().get_texts()]


def test_a_name_that_starts_with_an_underscore_has_its_place_in_a_legend():
    axes = Figure().add_subplot()
    axes.plot([0, 1], label=legend_label("_old"))
    (label,) = (text.get_text() for text in axes.legend().get_texts())
    assert printable(label) == "_old"
    assert legend_label("new") == "new"


def test_histograms_take_data_sets_of_any_name(tmp_path):
    from doh3d.dataset.report import Measured
    from doh3d.view.histograms import draw_histograms

    values = {key: np.array([0.5, 0.9]) for key in ("iou", "surface_chamfer_l1", "bytes")}
    measured = [
        Measured(name, {}, "bbox", 0, (), ("a", "b"), values) for name in (r"o$\q$", "_old", "兔")
    ]
    one = pixels(draw_histograms(measured, tmp_path / "a.png"))
    # Each has a line in the legend.
    other = pixels(draw_histograms([measured[0], measured[2]], tmp_path / "a.png"))
    assert (one < 200).sum() > (other < 200).sum()


@pytest.fixture
def hare(tmp_path, monkeypatch):
    """A font on the system, the only one, that has the letter 兔: in the shape of an H."""
    tables = pytest.importorskip("fontTools.ttLib")
    font = tables.TTFont(OWN_FONT)
    for table in font["cmap"].tables:
        glyph = table.cmap.get(ord("H"))
        table.cmap = {} if glyph is None else {ord("兔"): glyph}
    for record in font["name"].names:
        record.string = str(record).replace("DejaVu Sans", "Hare")
    path = tmp_path / "HareSans.ttf"
    font.save(path)
    (tmp_path / "Damaged.ttf").write_bytes(b"no font")
    fonts = [str(tmp_path / "Damaged.ttf"), str(OWN_FONT), str(path)]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: fonts)
    from doh3d.view import text

    text._find_fonts.cache_clear()
    yield str(path)
    text._find_fonts.cache_clear()


def test_letters_come_from_the_font_that_has_them(hare, tmp_path):
    assert find_fonts("ABC") == [str(OWN_FONT)]
    fonts = find_fonts("B兔兔.ply猫")
    assert fonts == [str(OWN_FONT), hare]
    assert split_by_font("B兔兔.ply猫", fonts) == [
        (fonts[0], "B"),
        (fonts[1], "兔兔"),
        # No font has the last letter.
        (fonts[0], ".ply猫"),
    ]
    assert (written(tmp_path, "H兔H") == written(tmp_path, "HHH")).all()


@pytest.mark.slow
def test_captions_take_the_same_fonts(hare):
    from doh3d.view.picture import Layout

    def caption(text):
        layout = Layout.within((400, 120), [Panel(None, (text,))])
        blank = np.full((*layout.drawing_size[::-1], 3), 255, dtype=np.uint8)
        return np.asarray(layout.compose(blank).convert("L"))

    def unlike(one, other):
        return np.abs(caption(one).astype(int) - caption(other)).sum()

    # Each piece starts at a pixel of its own.
    assert 0 < unlike("ä兔H", "äHH") < 0.4 * unlike("ä猫H", "äHH")
    # What is long is shortened, whatever it is made of.
    assert (caption("ä兔" * 200) < 200).any(axis=0)[[0, -1]].sum() == 0


@pytest.mark.parametrize("name", SCRIPTS + ["\u202eabc", ""])
def test_captions_of_any_script_are_drawn(name):
    from doh3d.view.picture import Layout

    layout = Layout.within((400, 120), [Panel(None, (name, "b"))])
    blank = np.full((*layout.drawing_size[::-1], 3), 255, dtype=np.uint8)
    assert (np.asarray(layout.compose(blank)) < 200).any()


def test_without_matplotlib_captions_are_drawn_all_the_same(monkeypatch):
    import sys

    from doh3d.view import text

    text._find_fonts.cache_clear()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert find_fonts("ä") == []
    test_captions_of_any_script_are_drawn("ä.ply")
    text._find_fonts.cache_clear()


def test_names_that_cannot_be_drawn():
    assert printable("a\nb\udcff.doh") == "a\ufffdb\ufffd.doh"
    assert printable("\u202ea\u200d\ufe0fb") == "ab"
    assert printable(string.printable[:95] + "兔🐇ü") == string.printable[:95] + "兔🐇ü"
