"""The figure of how cost grows, and the lines of a report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from result_table import Row

PANELS = {
    "projection": "numbers in the latent n",
    "decode": "numbers in the latent n",
    "sampling": "points sampled",
    "query": "points queried",
    "extraction": "cells along the longest side",
    "fit_many": "points a step and shape",
}


def draw(rows: list[Row], path: Path) -> None:
    """One panel a case that has sizes: seconds of the codec and of its reference."""
    by_case: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["case"] in PANELS:
            by_case[row["case"]].append(row)
    figure = Figure(figsize=(10.8, 6.2), layout="constrained")
    panels = list(figure.subplots(2, 3).ravel())
    for panel, (case, label) in zip(panels, PANELS.items(), strict=True):
        found = sorted(by_case[case], key=lambda row: float(row["size"]))
        for column, name, style in (
            ("seconds", "codec", {"color": "#d55e00", "marker": "o"}),
            ("reference_seconds", "reference", {"color": "#0072b2", "marker": "s"}),
        ):
            points = [(float(row["size"]), float(row[column])) for row in found if row[column]]
            panel.plot(*zip(*points, strict=True), label=name, **style) if points else None
        if case == "projection" and found:
            # The law, through the first point.
            work = [
                (float(row["weights"]) + float(row["n"])) * math.log2(float(row["n"]))
                for row in found
            ]
            scale = float(found[0]["seconds"]) / work[0]
            panel.plot(
                [float(row["size"]) for row in found],
                [scale * amount for amount in work],
                color="0.5",
                linestyle="--",
                label="(P + n) log n",
            )
        panel.set_xscale("log")
        panel.set_yscale("log")
        sizes = [float(row["size"]) for row in found]
        panel.set_xticks(sizes, [f"{number:,.0f}" for number in sizes])
        panel.set_xticks([], minor=True)
        panel.set_title(case.replace("_", " "), fontsize=10)
        panel.set_xlabel(label)
        panel.grid(color="0.9")
        if found:
            panel.legend(frameon=False, fontsize=8)
    figure.supylabel("seconds of the processor, one thread")
    figure.savefig(path, dpi=110)


def report(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        parts = [f"{row['case']} {row['size']}: {float(row['seconds'] or 'nan') * 1000:.4g} ms"]
        if row["ratio"]:
            parts.append(f"{float(row['ratio']):.3g} times as fast")
        if row["bytes"]:
            parts.append(f"{float(row['bytes']) / 1e6:.1f} MB")
        if row["bytes_ratio"]:
            parts.append(f"1/{float(row['bytes_ratio']):.3g} of the memory")
        yield ", ".join([*parts, row["note"]] if row["note"] else parts)
