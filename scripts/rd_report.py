"""What the rate-distortion benchmark's rows say: curves, a figure of them, and BD-rates."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from matplotlib.figure import Figure

from doh3d.evaluation.rate_distortion import RatePoint, pareto_front
from doh3d.view.figures import quality_ticks
from peers.networks import PEERS
from peers.rate_distortion import bd_rate, error_point, interpolate_bytes
from result_table import Row

# Where triangles begin to win: the curves' part from here on is told by itself, too.
LARGE = 4000
# A screening has no more points than that, too few for a BD-rate.
_FEW = 2
ORGANIC = {
    "armadillo",
    "fertility",
    "lucy",
    "nefertiti",
    "rocker-arm",
    "spot",
    "stanford-bunny",
    "xyzrgb_dragon",
}
CAD = {"abc4", "fandisk", "thingi_58011", "thingi_73416"}
STYLES = {
    "codec": ("#d55e00", "o"),
    "draco": ("#0072b2", "."),
    "mlp": ("#009e73", "s"),
    "coin": ("#cc79a7", "^"),
    "doh_published": ("#777777", "v"),
}
# By what curves are compared: each as an error, of which the logarithm counts.
MEASURES: dict[str, Callable[[Row], float]] = {
    "IoU": lambda row: 1 - float(row["iou"]),
    "Chamfer distance": lambda row: float(row["chamfer"]),
    "1 - normal consistency": lambda row: 1 - float(row["normal_consistency"]),
}
TWO = "draco, two simplifiers"


def kind_of(mesh: str) -> str:
    return "organic" if mesh in ORGANIC else "cad" if mesh in CAD else "other"


def simplifier_of(row: Row) -> str:
    """Name the simplifier of a row of Draco's, from "250 faces, open3d_qem at 1000, 9 bits"."""
    return row["variant"].split(", ")[1].split(" at ")[0]


Curves = dict[str, dict[str, list[RatePoint]]]


def curves(rows: list[Row], error: Callable[[Row], float] = MEASURES["IoU"]) -> Curves:
    """Pareto points of each mesh and method, by an error; see `error_point`."""
    points: Curves = defaultdict(lambda: defaultdict(list))
    for row in rows:
        # Nothing is known of an error that is as small as rounding.
        point = error_point(int(row["bytes"]), max(error(row), 1e-6))
        points[row["mesh"]][row["method"]].append(point)
    return {
        mesh: {method: pareto_front(found) for method, found in methods.items()}
        for mesh, methods in points.items()
    }


def draw(found: Curves, path: Path) -> None:
    """One panel a mesh: IoU against bytes, a line for each method's Pareto points."""
    columns = min(4, len(found))
    lines = math.ceil(len(found) / columns)
    figure = Figure(figsize=(3.6 * columns, 3.0 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).ravel())
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    for panel, mesh in zip(panels, sorted(found), strict=False):
        for method, points in found[mesh].items():
            colour, marker = STYLES[method]
            panel.plot(
                [point.bytes for point in points],
                [-math.log10(1 - min(point.iou, 0.999999)) for point in points],
                color=colour,
                marker=marker,
                markersize=4,
                linewidth=1.8 if method == "codec" else 1.0,
                label=method,
            )
        panel.set_xscale("log", base=2)
        panel.set_xlim(250, 34_000)
        panel.set_xticks(
            [500, 1000, 2000, 4000, 8000, 16_000], ["500", "1k", "2k", "4k", "8k", "16k"]
        )
        panel.set_xticks([], minor=True)
        low, high = panel.get_ylim()
        low = max(low, 0.3)
        panel.set_ylim(low, high)
        ticks = quality_ticks(low, high)
        panel.set_yticks([-math.log10(1 - tick) for tick in ticks], [f"{t:g}" for t in ticks])
        panel.grid(color="0.9")
        panel.set_title(mesh, fontsize=10)
    figure.supxlabel("bytes")
    figure.supylabel("IoU (bbox protocol)")
    handles, labels = panels[0].get_legend_handles_labels() if found else ([], [])
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=110)


def compared(
    anchor: list[RatePoint], test: list[RatePoint], measure: str
) -> tuple[float | None, str]:
    """BD-rate in percent and the overlap; with too few points the saving at each of them."""
    rate = bd_rate(anchor, test)
    if rate.percent is not None and measure == "IoU":
        return rate.percent, f"IoU {rate.low:.4f} to {rate.high:.4f}"
    if rate.percent is not None:
        return rate.percent, f"{measure} {1 - rate.low:.4g} to {1 - rate.high:.4g}"
    pairs = [(point, interpolate_bytes(anchor, point.iou)) for point in test]
    ratios = [point.bytes / size for point, size in pairs if size is not None]
    if not ratios or len(test) > _FEW:
        return None, rate.reason if measure == "IoU" else "fewer than three points in common"
    mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    return 100 * (mean - 1), f"mean saving at {len(ratios)} points, no BD-rate"


def at_each_point(anchor: list[RatePoint], test: list[RatePoint]) -> str:
    """Bytes of each test point against the anchor's at the same IoU, in percent."""
    pairs = [(point, interpolate_bytes(anchor, point.iou)) for point in test]
    return ", ".join(
        f"{point.bytes} B {100 * (point.bytes / size - 1):+.0f}%"
        for point, size in pairs
        if size is not None
    )


def above(points: list[RatePoint], least: int) -> list[RatePoint]:
    """Cut a curve off below so many bytes, where its first point is then interpolated."""
    if len(points) < 2 or not points[0].bytes < least < points[-1].bytes:
        return [point for point in points if point.bytes >= least]
    low, high = points[0].iou, points[-1].iou
    # As fine as float64 is.
    for _ in range(52):
        middle = (low + high) / 2
        size = interpolate_bytes(points, middle)
        low, high = (middle, high) if size is not None and size < least else (low, middle)
    return [RatePoint(least, high), *(point for point in points if point.bytes > least)]


def report(rows: list[Row]) -> Iterator[str]:
    """BD-rate by each measure, and on how many rows that rests."""
    two = [
        row | {"method": TWO}
        for row in rows
        if row["method"] == "draco" and simplifier_of(row) != "meshoptimizer"
    ]
    for measure, error in MEASURES.items():
        known = rows + two if measure == "IoU" else [row for row in rows + two if row["chamfer"]]
        counts = Counter(row["method"] for row in known)
        rest = ", ".join(f"{count} rows of {method}" for method, count in sorted(counts.items()))
        yield f"By {measure}: {rest or 'no rows'}"
        yield from compare(curves(known, error), measure)


def compare(found: Curves, measure: str) -> Iterator[str]:
    """BD-rate of the codec against each peer, in percent; negative: the codec needs fewer."""
    for mesh in sorted(found):
        large = above(found[mesh].get("codec", []), LARGE)
        if "draco" in found[mesh] and large:
            percent, overlap = compared(found[mesh]["draco"], large, measure)
            if percent is not None:
                yield f"draco, from {LARGE} B\t{mesh}\t{percent:+.1f}%\t{overlap}"
    for method in ("draco", TWO, *PEERS):
        rates: dict[str, list[float]] = defaultdict(list)
        for mesh in sorted(found):
            if method not in found[mesh] or "codec" not in found[mesh]:
                continue
            percent, overlap = compared(found[mesh][method], found[mesh]["codec"], measure)
            if percent is None:
                yield f"{method}\t{mesh}\t-\t{overlap}"
                continue
            rates[kind_of(mesh)].append(percent)
            rates["all"].append(percent)
            points = at_each_point(found[mesh][method], found[mesh]["codec"])
            yield f"{method}\t{mesh}\t{percent:+.1f}%\t{overlap}\t{points}"
        for kind, percents in rates.items():
            mean = sum(percents) / len(percents)
            yield f"{method}\tmean of {kind}\t{mean:+.1f}%\t{len(percents)} meshes"
