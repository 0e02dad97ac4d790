"""A report's figures, by plotly. Colours of ink and grid are the page's: it may be dark."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import pareto_front
from doh3d.evaluation.rate_table import Baseline
from doh3d.sweep.table import SweepRow, summarize
from doh3d.view.report_content import shortened
from doh3d.view.scales import bits_name, byte_ticks, error_bars, quality, quality_ticks

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Told apart with any colour vision, and at a contrast of 3 to 1 with white and with near black.
COLOURS = ("#2b8cce", "#d55e00", "#009e73", "#cc79a7", "#b47b00", "#8a6fd1", "#888888")
# What levels go along, by the same measure.
_LEVELS = ("#2b8cce", "#8a6fd1", "#c9609f", "#c96a2a")
_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "x", "star", "cross")
_BINS = 30


def check_plotly() -> None:
    """Raise ConfigError where plotly cannot be loaded; for use before long work."""
    try:
        import plotly.graph_objects
    except ImportError as error:
        raise ConfigError(
            'reports need plotly; install it with: pip install "doh3d[view]"'
        ) from error
    assert plotly.graph_objects


def escaped(text: str) -> str:
    """Text as plotly is to show it, which takes tags for markup."""
    return html.escape(shortened(text))


def sweep_bytes(rows: Sequence[SweepRow], baselines: Sequence[Baseline]) -> Figure:
    """IoU of every file of a sweep against its size, the Pareto front, and baselines."""
    figure = _figure()
    front = pareto_front(rows)
    figure.add_scatter(
        x=[row.bytes for row in front],
        y=[quality(row.iou) for row in front],
        mode="lines",
        line={"color": COLOURS[-1], "width": 1.5},
        name="Pareto front",
        hoverinfo="skip",
    )
    levels = sorted({row.bits for row in rows}, reverse=True)
    for style, level in zip(level_styles(len(levels)), levels, strict=True):
        of_level = [row for row in rows if row.bits == level]
        figure.add_scatter(
            x=[row.bytes for row in of_level],
            y=[quality(row.iou) for row in of_level],
            mode="markers",
            marker=style,
            name=bits_name(level),
            text=[
                f"{row.bytes} bytes, IoU {row.iou:.4f}<br>latent {row.latent}, seed {row.seed}"
                for row in of_level
            ],
            hoverinfo="text+name",
        )
    for index, baseline in enumerate(baselines):
        best = pareto_front(baseline.points)
        figure.add_scatter(
            x=[point.bytes for point in best],
            y=[quality(point.iou) for point in best],
            mode="lines+markers",
            line={"color": COLOURS[1 + index % 5], "dash": "dash"},
            marker={"symbol": _SYMBOLS[-1 - index % len(_SYMBOLS)], "size": 8},
            name=escaped(baseline.name),
            text=[f"{point.bytes} bytes, IoU {point.iou:.4f}" for point in best],
            hoverinfo="text+name",
        )
    others = [point for baseline in baselines for point in pareto_front(baseline.points)]
    sizes = [row.bytes for row in rows] + [point.bytes for point in others]
    _size_axis(figure, "Size of the file in bytes", sizes, byte_ticks(sizes))
    _quality_axis(figure, [r.iou for r in rows] + [p.iou for p in others])
    return figure


def sweep_lines(rows: Sequence[SweepRow], against: Literal["latent", "bits"]) -> Figure:
    """Mean IoU against latent length, a line for each number of bits, or the other way about."""
    figure, points = _figure(), summarize(rows)
    by_latent = against == "latent"
    levels = sorted({p.bits if by_latent else p.latent for p in points}, reverse=True)
    for style, level in zip(level_styles(len(levels)), levels, strict=True):
        line = [p for p in points if level == (p.bits if by_latent else p.latent)]
        bars = error_bars(line)
        figure.add_scatter(
            x=[p.latent if by_latent else p.bits for p in line],
            y=[quality(p.iou.mean) for p in line],
            error_y=None
            if bars is None
            else {"array": bars[1], "arrayminus": bars[0], "thickness": 1},
            mode="lines+markers",
            marker=style,
            line={"color": style["color"]},
            name=bits_name(level) if by_latent else f"latent {level}",
            text=[
                f"latent {p.latent}, {bits_name(p.bits)}<br>IoU {p.iou.mean:.4f}, "
                f"{p.bytes.mean:.0f} bytes"
                for p in line
            ],
            hoverinfo="text",
        )
    ticks = sorted({p.latent if by_latent else p.bits for p in points})
    title = "Latent length" if by_latent else "Bits of a latent number"
    _size_axis(figure, title, ticks, ticks)
    _quality_axis(figure, [p.iou.mean for p in points])
    return figure


def points_figure(
    groups: Mapping[str, Sequence[tuple[float, float, str]]], *, lines: bool
) -> Figure:
    """IoU against bytes: (bytes, IoU, name) of each group, joined by lines or not."""
    figure = _figure()
    for index, (name, points) in enumerate(groups.items()):
        figure.add_scatter(
            x=[size for size, _, _ in points],
            y=[quality(iou) for _, iou, _ in points],
            mode="lines+markers" if lines else "markers",
            marker={
                "color": COLOURS[index % len(COLOURS)],
                "symbol": _SYMBOLS[index % len(_SYMBOLS)],
                "size": 8 if lines else 6,
                "opacity": 1 if lines else 0.7,
            },
            name=escaped(name),
            text=[
                f"{escaped(name)}<br>{size:.0f} bytes, IoU {iou:.4f}" for size, iou, name in points
            ],
            hoverinfo="text",
        )
    every = [point for points in groups.values() for point in points]
    sizes = [size for size, _, _ in every]
    _size_axis(figure, "Size of the file in bytes", sizes, byte_ticks(sizes))
    _quality_axis(figure, [iou for _, iou, _ in every])
    return figure


def histogram(groups: Mapping[str, npt.NDArray[np.float64]], title: str) -> Figure | None:
    """How many shapes have which value, counted here, so that no value goes into the page.

    None where there are no two values.
    """
    finite = {name: values[np.isfinite(values)] for name, values in groups.items()}
    every = np.concatenate(list(finite.values()))
    if not len(every) or not np.ptp(every):
        return None
    figure, edges = _figure(), np.histogram_bin_edges(every, bins=_BINS)
    for index, (name, values) in enumerate(finite.items()):
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=np.histogram(values, edges)[0],
            width=np.diff(edges),
            marker={"color": COLOURS[index % len(COLOURS)], "line": {"width": 0}},
            opacity=1 if len(finite) == 1 else 0.6,
            name=escaped(name),
            hovertemplate="%{x:.5g}: %{y} shapes",
        )
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(title=title)
    figure.update_yaxes(title="Shapes", rangemode="tozero")
    return figure


def _figure() -> Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 48, "r": 12, "t": 12, "b": 40},
        # Above: beside the axes there is no room on a narrow screen, below them are titles.
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(automargin=True, title_standoff=8)
    figure.update_yaxes(automargin=True, title_standoff=4)
    return figure


def level_styles(count: int) -> list[dict[str, Any]]:
    """Markers of so many levels, in an order that is seen."""
    from plotly.colors import sample_colorscale

    places = np.linspace(0, 1, max(count, 2))[:count]
    return [
        {"color": colour, "symbol": _SYMBOLS[index % len(_SYMBOLS)], "size": 8}
        for index, colour in enumerate(sample_colorscale(list(_LEVELS), places.tolist()))
    ]


def _size_axis(figure: Figure, title: str, places: Sequence[float], ticks: Sequence[float]) -> None:
    margin = max((max(places) / min(places)) ** 0.05, 1.03)
    low, high = min(places) / margin, max(places) * margin
    shown = [tick for tick in ticks if low <= tick <= high]
    figure.update_xaxes(
        title=title,
        type="log",
        range=np.log10([low, high]).tolist(),
        tickvals=shown,
        ticktext=[bits_name(32) if "Bits" in title and t == 32 else f"{t:g}" for t in shown],
    )


def _quality_axis(figure: Figure, ious: Sequence[float]) -> None:
    low, high = quality(min(ious)), quality(max(ious))
    margin = max(0.06 * (high - low), 0.02)
    low, high = max(low - margin, -0.02), high + margin
    ticks = quality_ticks(low, high)
    figure.update_yaxes(
        title="IoU",
        range=[low, high],
        tickvals=[quality(tick) for tick in ticks],
        ticktext=[f"{tick:.9g}" for tick in ticks],
    )
