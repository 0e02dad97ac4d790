"""Pictures of shapes side by side, with captions below and a legend where colours mean something.

Two renderers draw the same: Open3D's off-screen renderer, and ray casting, which needs no
graphics driver.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.files import check_output, write_atomically
from doh3d.view.camera import Camera
from doh3d.view.heatmap import heat_colours
from doh3d.view.stage import Panel, set_stage
from doh3d.view.text import find_fonts, printable, split_by_font

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Renderer: TypeAlias = Literal["open3d", "raycast"]

MAX_SIDE = 4096

_BACKGROUND = (255, 255, 255)
_INK = (40, 40, 40)
_FAINT = (110, 110, 110)
# Drawn at this many times the size and then reduced, which smooths the edges.
_SUPERSAMPLING = 2
_LEAST_PANEL = 32
_LEAST_FONT = 8


def draw_picture(
    panels: Sequence[Panel],
    path: str | Path,
    *,
    size: tuple[int, int] = (1200, 600),
    camera: Camera | None = None,
    range_percent: float | None = None,
    renderer: Renderer = "open3d",
) -> None:
    """Draw shapes next to each other, all by the same parallel projection, into one PNG.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    path : path-like
        The PNG to write. It appears whole or not at all.
    size : (int, int)
        Width and height of the whole picture in pixels, up to 4096 each.
    camera : Camera, optional
        A little from the right and from above, with y up, unless given.
    range_percent : float, optional
        How far a heatmap's colours reach to either side; adds its legend.
    renderer : {"open3d", "raycast"}

    Raises
    ------
    ConfigError
        Open3D, or a system library or graphics driver that it needs, is not there; an argument
        is out of its range; or the file cannot be written.
    """
    check_output(path)
    check_renderer(renderer)
    layout = Layout.within(size, panels, with_legend=range_percent is not None)
    width, height = layout.drawing_size
    stage = set_stage(panels, camera or Camera(), layout.panel_size[0] / height)
    drawn = (width * _SUPERSAMPLING, height * _SUPERSAMPLING)
    if renderer == "raycast":
        from doh3d.view.raycast import cast

        drawing = cast(stage, drawn)
    else:
        from doh3d.view.offscreen import render

        drawing = render(stage, drawn)
    picture = io.BytesIO()
    layout.compose(drawing, range_percent).save(picture, format="PNG")
    write_atomically(path, picture.getvalue())


def check_renderer(renderer: str) -> None:
    """Raise ConfigError unless there is a renderer of this name."""
    if renderer not in get_args(Renderer):
        raise ConfigError(f"renderer is {renderer!r}; it must be {' or '.join(get_args(Renderer))}")


class Layout:
    """Where a picture's parts go: the panels' drawing, their captions below, a legend last.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    panel_size : (int, int)
        Width and height of each, without its caption.
    font_size : int, optional
        Of the captions, in pixels; follows the panel's size unless given.
    with_legend : bool

    Attributes
    ----------
    panel_size, drawing_size, size : (int, int)
        Width and height of one panel, of all panels, and of the whole picture.
    """

    def __init__(
        self,
        panels: Sequence[Panel],
        panel_size: tuple[int, int],
        *,
        font_size: int | None = None,
        with_legend: bool = False,
    ) -> None:
        self.font_size = font_size or _font_size(*panel_size)
        self._line = round(self.font_size * 1.35)
        self._captions = [panel.caption for panel in panels]
        lines = max(len(caption) for caption in self._captions)
        self._legend_height = round(3.2 * self._line) if with_legend else 0
        below = self._line * lines + round(0.6 * self._line) * bool(lines) + self._legend_height
        self.panel_size = panel_size
        self.drawing_size = (panel_size[0] * len(panels), panel_size[1])
        self.size = (self.drawing_size[0], panel_size[1] + below)

    @classmethod
    def within(
        cls, size: tuple[int, int], panels: Sequence[Panel], *, with_legend: bool = False
    ) -> Layout:
        """Lay out a picture of this whole size.

        Raises
        ------
        ConfigError
            There is no panel, or too little room.
        """
        width, height = size
        if not panels:
            raise ConfigError("there is nothing to draw; name at least one shape")
        if max(size) > MAX_SIDE:
            raise ConfigError(f"size is {width} x {height}; at most {MAX_SIDE} pixels a side")
        panel_width = width // len(panels)
        font_size = _font_size(panel_width, height)
        texts = cls(panels, (panel_width, 0), font_size=font_size, with_legend=with_legend).size[1]
        if min(panel_width, height - texts) < _LEAST_PANEL:
            raise ConfigError(
                f"size is {width} x {height}; {len(panels)} "
                f"{'shape needs' if len(panels) == 1 else 'shapes need'} more room"
            )
        panel_size = (panel_width, height - texts)
        layout = cls(panels, panel_size, font_size=font_size, with_legend=with_legend)
        # What is left of the width by the division.
        layout.size = size
        return layout

    def compose(
        self, drawing: npt.NDArray[np.uint8], range_percent: float | None = None
    ) -> Image.Image:
        """Reduce a drawing of all panels to its size, and put the texts below it."""
        from PIL import Image, ImageDraw

        picture = Image.new("RGB", self.size, _BACKGROUND)
        reduced = Image.fromarray(drawing).resize(self.drawing_size, Image.Resampling.LANCZOS)
        left = (self.size[0] - self.drawing_size[0]) // 2
        picture.paste(reduced, (left, 0))
        draw = ImageDraw.Draw(picture)
        panel_width, panel_height = self.panel_size
        for index, caption in enumerate(self._captions):
            centre = left + (index + 0.5) * panel_width
            for row, text in enumerate(caption):
                place = (centre, panel_height + (row + 0.7) * self._line)
                ink = _INK if row == 0 else _FAINT
                self._write(draw, place, text, ink, panel_width * 0.96)
        if range_percent is not None:
            picture.paste(
                legend((self.size[0], self._legend_height), range_percent, self.font_size),
                (0, self.size[1] - self._legend_height),
            )
        return picture

    def _write(
        self,
        draw: ImageDraw.ImageDraw,
        place: tuple[float, float],
        text: str,
        ink: tuple[int, int, int],
        room: float,
    ) -> None:
        """Write a line, smaller or shortened in its middle where it is too long."""
        text = printable(text)
        fonts = [] if text.isascii() else find_fonts(text)
        size = self.font_size
        while size > _LEAST_FONT and _Line(text, fonts, size).length > room:
            size -= 1
        kept = len(text)
        line = _Line(text, fonts, size)
        while kept > 2 and line.length > room:
            kept -= 1
            shown = text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :]
            line = _Line(shown, fonts, size)
        line.draw(draw, place, ink)


class _Line:
    """A line of text; where fonts are given, each piece by the first that has its letters."""

    def __init__(self, text: str, fonts: Sequence[str], size: int) -> None:
        pieces = split_by_font(text, fonts) if fonts else [(None, text)]
        self._pieces = [(_font(size, name), piece) for name, piece in pieces]
        self.length = sum(font.getlength(piece) for font, piece in self._pieces)

    def draw(
        self, draw: ImageDraw.ImageDraw, place: tuple[float, float], ink: tuple[int, int, int]
    ) -> None:
        """Draw it, its middle at a place."""
        # One baseline for all fonts.
        above, below = self._pieces[0][0].getmetrics()
        x, y = place[0] - self.length / 2, place[1] + (above - below) / 2
        for font, piece in self._pieces:
            draw.text((x, y), piece, ink, font=font, anchor="ls")
            x += font.getlength(piece)


def legend(size: tuple[int, int], range_percent: float, font_size: int) -> Image.Image:
    """Draw the colours of distances from -range to +range, with numbers and words below."""
    from PIL import Image, ImageDraw

    width, height = size
    picture = Image.new("RGB", size, _BACKGROUND)
    bar_width, bar_height = round(min(width * 0.6, 24 * font_size)), max(4, round(0.25 * height))
    left, top = (width - bar_width) // 2, round(0.1 * height)
    row = heat_colours(np.linspace(-range_percent, range_percent, bar_width), range_percent)
    bar = np.broadcast_to(np.round(255 * row).astype(np.uint8), (bar_height, bar_width, 3))
    picture.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, top))
    draw = ImageDraw.Draw(picture)
    below = top + bar_height
    draw.rectangle([left, top, left + bar_width - 1, below - 1], outline=_FAINT)
    font = _font(max(_LEAST_FONT, round(0.85 * font_size)))
    for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
        place = (left + (share + 1) / 2 * bar_width, below + 0.17 * height)
        text = f"{share * range_percent:+g}%" if share else "0"
        draw.text(place, text, _INK, font=font, anchor="mm")
    draw.text(
        (width / 2, below + 0.47 * height),
        "distance to the original in % of its longest side (- inside, + outside)",
        _FAINT,
        font=font,
        anchor="mm",
    )
    return picture


def _font_size(width: int, height: int) -> int:
    return max(_LEAST_FONT, round(min(width * 0.045, height * 0.036)))


def _font(size: int, name: str | None = None) -> ImageFont.FreeTypeFont:
    """Font of a file; Pillow's own, which has ASCII and an ellipsis, unless one is named."""
    from PIL import ImageFont

    if name is not None:
        return ImageFont.truetype(name, size)
    font = ImageFont.load_default(size=size)
    # Pillow's wheels bring FreeType; without it there is one bitmap font of one size.
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
