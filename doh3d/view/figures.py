"""Figures of a parameter sweep, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import pareto_front
from doh3d.evaluation.rate_table import Baseline
from doh3d.sweep.table import SweepRow, summarize
from doh3d.view.scales import (
    FLOAT_BITS,
    bits_name,
    byte_ticks,
    error_bars,
    quality,
    quality_ticks,
)
from doh3d.view.text import legend_label, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (7.2, 4.6)
# Between the axes and the title: room for the note, in points.
_TITLE_PAD = 21
_INK = "#333333"
_GRID = "#e3e3e3"
# Of Okabe and Ito's palette, told apart with any colour vision, on top of viridis too.
_BASELINE_COLOURS = ("#d55e00", "#000000", "#cc79a7", "#e69f00")
_BASELINE_MARKERS = ("X", "P", "*", "h")
_MARKERS = ("o", "s", "^", "D", "v", "<", ">", "p")
# Between one line's places and the next one's, as a share of the axis, in decades or octaves.
_SHIFT = 0.006
# Where viridis ends, being too light on white beyond.
_LIGHTEST = 0.86


def check_figures() -> None:
    """Raise ConfigError where matplotlib cannot be loaded; for use before long work."""
    _new_figure()


def draw_sweep(
    rows: Sequence[SweepRow], folder: str | Path, baselines: Sequence[Baseline] = ()
) -> list[Path]:
    """Draw a sweep's three figures: IoU against latent length, bits and bytes.

    Parameters
    ----------
    rows : sequence of SweepRow
        At least one, all of one sweep.
    folder : path
        Where iou_latent.png, iou_bits.png and iou_bytes.png go; each appears whole or not at
        all.
    baselines : sequence of Baseline
        For the figure of bytes.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ConfigError
        matplotlib is not installed, or a file cannot be written.
    """
    figures = {
        "iou_latent.png": draw_lines(rows, "latent"),
        "iou_bits.png": draw_lines(rows, "bits"),
        "iou_bytes.png": draw_bytes(rows, baselines),
    }
    paths = []
    for name, figure in figures.items():
        paths.append(Path(folder) / name)
        save_figure(figure, paths[-1])
    return paths


def draw_lines(rows: Sequence[SweepRow], against: Literal["latent", "bits"]) -> Figure:
    """Draw mean IoU against latent length, a line per bit level, or the other way about."""
    figure, axes = _new_figure()
    points = summarize(rows)
    levels = sorted({p.bits if against == "latent" else p.latent for p in points}, reverse=True)
    ticks = sorted({p.latent if against == "latent" else p.bits for p in points})
    styles = _styles(levels)
    repeated = any(point.seeds > 1 for point in points)
    for index, level in enumerate(levels):
        line = [p for p in points if level == (p.bits if against == "latent" else p.latent)]
        # Side by side, so that no error bar hides another.
        shift = (index - (len(levels) - 1) / 2) * _SHIFT * repeated
        factor = (ticks[-1] / ticks[0]) ** shift
        places = [(p.latent if against == "latent" else p.bits) * factor for p in line]
        qualities = [quality(p.iou.mean) for p in line]
        colour, marker = styles[level]
        bars = error_bars(line)
        axes.errorbar(
            places, qualities, yerr=bars, fmt="none", ecolor=colour, alpha=0.55, capsize=2
        )
        axes.plot(
            places,
            qualities,
            label=bits_name(level) if against == "latent" else f"{level}",
            color=colour,
            marker=marker,
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linewidth=1.5,
        )
    names = ["float32" if against == "bits" and t == FLOAT_BITS else f"{t}" for t in ticks]
    _size_axis(axes, ticks, ticks, names)
    _quality_axis(axes, [p.iou.mean for p in points], rows[0])
    axes.set_xlabel(
        "Latent length" if against == "latent" else "Bits of a latent number, before entropy coding"
    )
    _legend(axes, "Bits" if against == "latent" else "Latent length")
    _title(axes, rows, "latent length" if against == "latent" else "bits")
    return figure


def draw_bytes(rows: Sequence[SweepRow], baselines: Sequence[Baseline] = ()) -> Figure:
    """Draw every file's IoU against its size, their Pareto front, and baselines."""
    figure, axes = _new_figure()
    levels = sorted({row.bits for row in rows}, reverse=True)
    styles = _styles(levels)
    front = pareto_front(rows)
    axes.plot(
        [row.bytes for row in front],
        [quality(row.iou) for row in front],
        color=_INK,
        linewidth=1.3,
        label="Pareto front",
        zorder=2,
    )
    for level in levels:
        of_level = [row for row in rows if row.bits == level]
        colour, marker = styles[level]
        axes.plot(
            [row.bytes for row in of_level],
            [quality(row.iou) for row in of_level],
            color=colour,
            marker=marker,
            linestyle="none",
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.5,
            label=bits_name(level),
            zorder=3,
        )
    for index, baseline in enumerate(baselines):
        best = pareto_front(baseline.points)
        axes.plot(
            [point.bytes for point in best],
            [quality(point.iou) for point in best],
            color=_BASELINE_COLOURS[index % len(_BASELINE_COLOURS)],
            linestyle="--",
            linewidth=1.3,
            marker=_BASELINE_MARKERS[index % len(_BASELINE_MARKERS)],
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.5,
            label=legend_label(baseline.name),
            zorder=1,
        )
    others = [point for baseline in baselines for point in pareto_front(baseline.points)]
    sizes = [point.bytes for point in others] + [row.bytes for row in rows]
    ticks = byte_ticks(sizes)
    _size_axis(axes, sizes, ticks, [f"{tick:g}" for tick in ticks])
    _quality_axis(axes, [point.iou for point in others] + [row.iou for row in rows], rows[0])
    axes.set_xlabel("Size of the file in bytes")
    _legend(axes, None)
    _title(axes, rows, "bytes")
    return figure


def _new_figure() -> tuple[Figure, Axes]:
    try:
        # Not pyplot: it keeps figures and a backend for the whole process.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            'figures need matplotlib; install it with: pip install "doh3d[view]"'
        ) from error
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(colors=_INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(_INK)
    return figure, axes


def _styles(levels: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Colour and marker of each level, the highest first and darkest."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    shades = np.linspace(0, _LIGHTEST, max(len(levels), 2))
    return {
        level: (to_hex(colormaps["viridis"](shade)), _MARKERS[index % len(_MARKERS)])
        for index, (level, shade) in enumerate(zip(levels, shades, strict=False))
    }


def _size_axis(
    axes: Axes, places: Sequence[float], ticks: Sequence[float], names: Sequence[str]
) -> None:
    """Label ticks, those that lie among the places, on a logarithmic axis."""
    margin = max((max(places) / min(places)) ** 0.05, 1.03)
    low, high = min(places) / margin, max(places) * margin
    shown = [(tick, name) for tick, name in zip(ticks, names, strict=True) if low <= tick <= high]
    axes.set_xscale("log", base=2)
    axes.set_xticks([tick for tick, _ in shown], [name for _, name in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)


def _quality_axis(axes: Axes, ious: Sequence[float], row: SweepRow) -> None:
    """Set limits by the means, which long error bars may leave, and label in IoU."""
    low, high = quality(min(ious)), quality(max(ious))
    margin = max(0.06 * (high - low), 0.02)
    low, high = max(low - margin, -0.02), high + margin
    axes.set_ylim(low, high)
    ticks = quality_ticks(low, high)
    axes.set_yticks([quality(tick) for tick in ticks], [f"{tick:.9g}" for tick in ticks])
    axes.set_ylabel(f"IoU of the {row.iou_of} ({row.protocol}, {row.points} points)")


def _legend(axes: Axes, title: str | None) -> None:
    axes.legend(
        title=title,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        labelcolor=_INK,
        alignment="left",
    )


def _title(axes: Axes, rows: Sequence[SweepRow], against: str) -> None:
    seeds = len({row.seed for row in rows})
    note = f"{rows[0].quantizer}, preset {rows[0].preset}, {seeds} seed{'s' * (seeds > 1)}"
    if seeds > 1 and against != "bytes":
        note += ", mean and 95% interval"
    axes.set_title(f"{rows[0].mesh}: IoU against {against}", loc="left", color=_INK, pad=_TITLE_PAD)
    axes.text(0, 1.02, note, transform=axes.transAxes, color=_INK, fontsize=9)
