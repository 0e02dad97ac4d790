"""Histograms of a dataset's measurements, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from doh3d.dataset.report import Measured
from doh3d.view.figures import check_figures
from doh3d.view.text import legend_label, save_figure

_SIZE_INCHES = (11.0, 3.4)
_BINS = 30
_INK = "#333333"
_GRID = "#e3e3e3"
# Of Okabe and Ito's palette, told apart with any colour vision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000")

_PANELS = (
    ("iou", "IoU"),
    ("surface_chamfer_l1", "Chamfer-L1, half the longest side = 1"),
    ("bytes", "Size of the file in bytes"),
)


def draw_histograms(measured: Sequence[Measured], path: Path) -> Path:
    """Draw how many shapes have which IoU, Chamfer distance and size, a line a configuration.

    Raises
    ------
    ConfigError
        matplotlib is not installed, or the file cannot be written.
    """
    check_figures()
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(_PANELS))
    for axes, (metric, title) in zip(panels, _PANELS, strict=True):
        finite = [values[np.isfinite(values)] for values in (m.values[metric] for m in measured)]
        edges = np.histogram_bin_edges(np.concatenate(finite), bins=_BINS)
        for index, (each, values) in enumerate(zip(measured, finite, strict=True)):
            colour = _COLOURS[index % len(_COLOURS)]
            axes.hist(
                values, bins=edges, histtype="stepfilled", color=colour, alpha=0.25, linewidth=0
            )
            axes.hist(
                values,
                bins=edges,
                histtype="step",
                color=colour,
                linewidth=1.5,
                label=legend_label(each.label(measured)),
            )
        axes.set_xlabel(title, color=_INK)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_INK)
        axes.tick_params(colors=_INK)
    panels[0].set_ylabel("Shapes", color=_INK)
    panels[0].legend(frameon=False, fontsize=8, loc="upper left")
    figure.suptitle(measured[0].protocol, fontsize=9, color=_INK)
    save_figure(figure, path)
    return path
