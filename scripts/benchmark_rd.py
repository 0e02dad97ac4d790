"""The rate-distortion benchmark: the codec and its peers on every mesh of a folder.

    python scripts/benchmark_rd.py --meshes DIR [--quick] [--preset default] [--shard 1/2]

Writes results/<version>/rd.tsv, a row a file, as it is measured; a second run goes on where the
first stopped. Then draws rd-<preset>.png and prints BD-rate against each peer for each mesh, for
organic meshes, for CAD parts and for all. `--report` only draws and prints.

Learned peers get the codec's steps, batches and samples, and the best two of five or eight networks
at each size; their learning rate is the best of a ladder (docs/benchmark.md).
IoU is of the field (of the decoded mesh for Draco) by the bbox protocol. `--quick` screens: the
codec against Draco on four meshes at two sizes, with the fast preset.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

import doh3d
from doh3d.codec.container import parse
from doh3d.codec.shape_code import domain_half_sides
from doh3d.devices import resolve_device
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.evaluation.rate_distortion import RatePoint, pareto_front
from doh3d.field import OccupancyField
from doh3d.fitting.rate_control import fit_to_bytes
from doh3d.options import CompressOptions
from doh3d.signals.shape import PreparedShape, prepare, shape_config
from doh3d.signals.shape_plan import latent_for_bytes
from doh3d.view.figures import quality_ticks
from peers.decimation import decimation_rows
from peers.networks import PEERS, fit_peer
from peers.rate_distortion import bd_rate, interpolate_bytes
from result_table import ResultTable, Row

SIZES = (500, 1200, 3000, 7000, 16_000)
QUICK_SIZES = (1000, 4000)
# Where triangles begin to win: the curves' part from here on is told by itself, too.
LARGE = 4000
QUICK_MESHES = ("armadillo", "stanford-bunny", "fandisk", "thingi_58011")
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
# What a screening measures of Draco: the sizes around those of the codec, on fewer points.
QUICK_DRACO = {
    "faces": (150, 250, 400, 600, 900, 1400, 2000, 3000),
    "quantization_bits": (6, 7, 8, 9, 10),
    "max_bytes": 6000,
    "points": 2**19,
    "screening_points": 2**16,
}
COLUMNS = """
mesh kind method preset target_bytes variant bytes iou iou_of protocol points seconds
version commit date
""".split()  # noqa: SIM905


def kind_of(mesh: str) -> str:
    return "organic" if mesh in ORGANIC else "cad" if mesh in CAD else "other"


class MeshBenchmark:
    """All methods on one mesh; samples and evaluation points are made once, when needed."""

    def __init__(self, path: Path, preset: str, table: ResultTable, *, quick: bool) -> None:
        self._path, self._preset, self._table, self._quick = path, preset, table, quick
        self._device = resolve_device("auto")
        self._shape: PreparedShape | None = None
        self._judge: LabelledPoints | None = None
        self._screen: LabelledPoints | None = None

    def run(self, method: str, size: int) -> None:
        """Measure what the table does not hold yet."""
        done = {
            row["target_bytes"]
            for row in self._table.rows()
            if (row["mesh"], row["method"], row["preset"])
            == (self._path.stem, method, self._preset if method != "draco" else "")
        }
        if method == "draco":
            if not done:
                self._draco()
        elif str(size) not in done:
            self._codec(size) if method == "codec" else self._peer(method, size)

    def _shape_and_judge(self) -> tuple[PreparedShape, LabelledPoints]:
        if self._shape is None or self._judge is None:
            self._shape = prepare(self._path)
            half = domain_half_sides(self._shape.extents)
            bounds = self._shape.transform.box_bounds(half)
            self._judge = LabelledPoints.of(self._shape.mesh, bounds)
        return self._shape, self._judge

    def _rank(self, field: OccupancyField) -> float:
        """IoU on few points, for choosing between networks."""
        if self._screen is None:
            self._screen = LabelledPoints.of(
                self._shape_and_judge()[0].mesh, field.bounds, points=2**17
            )
        return self._screen.iou(field).iou

    def _codec(self, size: int) -> None:
        shape, judge = self._shape_and_judge()
        started = time.perf_counter()
        encoded = fit_to_bytes(
            shape,
            size,
            lambda latent: shape.config(CompressOptions(preset=self._preset), latent),
            device=self._device,
        )
        seconds = time.perf_counter() - started
        field = OccupancyField(parse(encoded.data))
        config = encoded.config
        network = config.architecture
        variant = f"n {config.latent}, {network.cells} x width {network.width}"
        self._add("codec", size, variant, len(encoded.data), judge.iou(field).iou, seconds)

    def _peer(self, method: str, size: int) -> None:
        shape, judge = self._shape_and_judge()
        config = shape_config(preset=self._preset, latent=latent_for_bytes(size))
        fitted = []
        started = time.perf_counter()
        for fit in fit_peer(method, shape, config, size, self._rank, device=self._device):
            seconds = time.perf_counter() - started
            fitted.append((fit.variant, len(fit.data), judge.iou(fit.field).iou, seconds))
            started = time.perf_counter()
        # All at once: a size is in the table either whole or not at all.
        for variant, data_bytes, iou, seconds in fitted:
            self._add(method, size, variant, data_bytes, iou, seconds)

    def _draco(self) -> None:
        started = time.perf_counter()
        options = QUICK_DRACO if self._quick else {}
        for row in decimation_rows(doh3d.load_mesh(self._path), **options):
            variant = f"{row.faces} faces, {row.simplifier} at {row.scale:g}, "
            variant += f"{row.quantization_bits} bits"
            seconds = time.perf_counter() - started
            self._add("draco", 0, variant, row.bytes, row.iou, seconds)
            started = time.perf_counter()

    def _add(
        self, method: str, size: int, variant: str, data_bytes: int, iou: float, seconds: float
    ) -> None:
        row = self._table.add(
            mesh=self._path.stem,
            kind=kind_of(self._path.stem),
            method=method,
            preset="" if method == "draco" else self._preset,
            target_bytes=size,
            variant=variant,
            bytes=data_bytes,
            iou=f"{iou:.5f}",
            iou_of="mesh" if method == "draco" else "field",
            protocol="bbox",
            points=QUICK_DRACO["points"] if self._quick and method == "draco" else 2**21,
            seconds=f"{seconds:.1f}",
        )
        print(*(row[c] for c in COLUMNS[:1] + COLUMNS[2:8]), f"{row['seconds']} s", flush=True)


def curves(rows: list[Row]) -> dict[str, dict[str, list[RatePoint]]]:
    """Pareto points of each mesh and method."""
    points: dict[str, dict[str, list[RatePoint]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        points[row["mesh"]][row["method"]].append(RatePoint(int(row["bytes"]), float(row["iou"])))
    return {
        mesh: {method: pareto_front(found) for method, found in methods.items()}
        for mesh, methods in points.items()
    }


def draw(found: dict[str, dict[str, list[RatePoint]]], path: Path) -> None:
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


def compared(anchor: list[RatePoint], test: list[RatePoint]) -> tuple[float | None, str]:
    """BD-rate in percent and the overlap; with too few points the saving at each of them."""
    rate = bd_rate(anchor, test)
    if rate.percent is not None:
        return rate.percent, f"IoU {rate.low:.4f} to {rate.high:.4f}"
    pairs = [(point, interpolate_bytes(anchor, point.iou)) for point in test]
    ratios = [point.bytes / size for point, size in pairs if size is not None]
    if not ratios or len(test) > len(QUICK_SIZES):
        return None, rate.reason or ""
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
    """BD-rate of the codec against each peer, in percent; negative: the codec needs fewer."""
    found = curves(rows)
    for mesh in sorted(found):
        large = above(found[mesh].get("codec", []), LARGE)
        if "draco" in found[mesh] and large:
            percent, overlap = compared(found[mesh]["draco"], large)
            if percent is not None:
                yield f"draco, from {LARGE} B\t{mesh}\t{percent:+.1f}%\t{overlap}"
    for method in ("draco", *PEERS):
        rates: dict[str, list[float]] = defaultdict(list)
        for mesh in sorted(found):
            if method not in found[mesh] or "codec" not in found[mesh]:
                continue
            percent, overlap = compared(found[mesh][method], found[mesh]["codec"])
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--methods", default=",".join(("codec", "draco", *PEERS)))
    parser.add_argument("--sizes", help="bytes, comma-separated, for the usual ones")
    parser.add_argument("--shard", default="1/1", help="I/N: every N-th mesh, beginning with I")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    name = "rd-quick" if arguments.quick else "rd"
    output = arguments.output or Path(f"results/{doh3d.__version__}/{name}.tsv")
    table = ResultTable(output, COLUMNS)
    sizes = QUICK_SIZES if arguments.quick else SIZES
    if arguments.sizes:
        sizes = tuple(map(int, arguments.sizes.split(",")))
    preset = "fast" if arguments.quick else arguments.preset
    methods = ["codec", "draco"] if arguments.quick else arguments.methods.split(",")
    index, count = map(int, arguments.shard.split("/"))
    meshes = sorted(path for path in arguments.meshes.iterdir() if path.is_file())
    if arguments.quick:
        known = [path for path in meshes if path.stem in QUICK_MESHES]
        meshes = known or meshes[: len(QUICK_MESHES)]
    if not arguments.report:
        for path in meshes[index - 1 :: count]:
            benchmark = MeshBenchmark(path, preset, table, quick=arguments.quick)
            # Methods of one size share its samples.
            for size in sizes:
                for method in methods:
                    benchmark.run(method, size)
    # Decimation knows no presets.
    rows = [row for row in table.rows() if row["preset"] in (preset, "")]
    if not rows:
        parser.error(f"{output} has no rows of preset {preset}")
    figure = output.stem if arguments.quick else f"{output.stem}-{preset}"
    draw(curves(rows), output.with_name(f"{figure}.png"))
    print("peer\tmesh\tBD-rate\toverlap\tat each size", *report(rows), sep="\n")


if __name__ == "__main__":
    main()
