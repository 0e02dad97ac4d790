"""The rate-distortion benchmark: the codec and its peers on every mesh of a folder.

    python scripts/benchmark_rd.py --meshes DIR [--quick] [--preset default] [--shard 1/2]

Writes results/<version>/rd.tsv, a row a file, as it is measured; a second run goes on where the
first stopped. Then draws rd-<preset>.png and prints BD-rate against each peer for each mesh, for
organic meshes, for CAD parts and for all: by IoU, then by Chamfer distance and normal consistency
on the rows that have them. `--report` only draws and prints. `--fill` measures, in place of the
rest, the surfaces of Draco's rows that lack them and lie on the front of bytes and IoU.

Learned peers get the codec's steps, batches and samples, and the best two of five or eight networks
at each size; their learning rate is the best of a ladder (docs/results.md).
IoU is of the field (of the decoded mesh for Draco) by the bbox protocol. `--quick` screens: the
codec against Draco on four meshes at two sizes, with the fast preset.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import doh3d
from doh3d.codec.container import parse
from doh3d.codec.shape_code import domain_half_sides
from doh3d.devices import resolve_device
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.evaluation.rate_distortion import RatePoint, pareto_front
from doh3d.evaluation.simplification import Simplifier
from doh3d.evaluation.surface import SurfaceMetrics, surface_metrics
from doh3d.field import OccupancyField
from doh3d.fitting.rate_control import fit_to_bytes
from doh3d.options import CompressOptions
from doh3d.signals.shape import PreparedShape, prepare, shape_config
from doh3d.signals.shape_plan import latent_for_bytes
from peers.decimation import decimation_rows, encode_variant
from peers.networks import PEERS, fit_peer
from rd_report import curves, draw, kind_of, report, simplifier_of
from result_table import ResultTable

SIZES = (500, 1200, 3000, 7000, 16_000)
QUICK_SIZES = (1000, 4000)
QUICK_MESHES = ("armadillo", "stanford-bunny", "fandisk", "thingi_58011")
# What a screening measures of Draco: the sizes around those of the codec, on fewer points.
QUICK_DRACO = {
    "faces": (150, 250, 400, 600, 900, 1400, 2000, 3000),
    "quantization_bits": (6, 7, 8, 9, 10),
    "max_bytes": 6000,
    "points": 2**19,
    "screening_points": 2**16,
}
COLUMNS = """
mesh kind method preset target_bytes variant bytes iou iou_of protocol points
chamfer normal_consistency resolution seconds version commit date
""".split()  # noqa: SIM905


# The codec's surface is that of its mesh at the resolution of `doh3d eval`.
RESOLUTION = 256
# The third simplifier is searched by itself: what it beats stays on the front of the other two.
SEARCHES: tuple[tuple[Simplifier, ...], ...] = (
    ("fast_simplification", "open3d_qem"),
    ("meshoptimizer",),
)


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
        rows = [
            row
            for row in self._table.rows()
            if (row["mesh"], row["method"], row["preset"])
            == (self._path.stem, method, self._preset if method != "draco" else "")
        ]
        if method == "draco":
            for simplifiers in SEARCHES:
                if not any(simplifier_of(row) in simplifiers for row in rows):
                    self._draco(simplifiers, {row["variant"] for row in rows})
        elif str(size) not in {row["target_bytes"] for row in rows}:
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
        surface = surface_metrics(shape.mesh, field.to_mesh(RESOLUTION))
        iou = judge.iou(field).iou
        self._add("codec", size, variant, len(encoded.data), iou, seconds, surface)

    def _peer(self, method: str, size: int) -> None:
        shape, judge = self._shape_and_judge()
        config = shape_config(preset=self._preset, latent=latent_for_bytes(size))
        # A flat shape has steps and batches of its own, and so have the peers there.
        own = shape.config(CompressOptions(preset=self._preset), config.latent)
        config = replace(config, steps=own.steps, batch_size=own.batch_size)
        fitted = []
        started = time.perf_counter()
        for fit in fit_peer(method, shape, config, size, self._rank, device=self._device):
            seconds = time.perf_counter() - started
            fitted.append((fit.variant, len(fit.data), judge.iou(fit.field).iou, seconds))
            started = time.perf_counter()
        # All at once: a size is in the table either whole or not at all.
        for variant, data_bytes, iou, seconds in fitted:
            self._add(method, size, variant, data_bytes, iou, seconds)

    def _draco(self, simplifiers: tuple[Simplifier, ...], known: set[str]) -> None:
        started = time.perf_counter()
        options = QUICK_DRACO if self._quick else {}
        mesh = doh3d.load_mesh(self._path)
        for row in decimation_rows(mesh, simplifiers=simplifiers, **options):
            seconds = time.perf_counter() - started
            # The whole mesh is in both searches.
            if row.variant not in known:
                self._add("draco", 0, row.variant, row.bytes, row.iou, seconds, row.surface)
            started = time.perf_counter()

    def _add(
        self,
        method: str,
        size: int,
        variant: str,
        data_bytes: int,
        iou: float,
        seconds: float,
        surface: SurfaceMetrics | None = None,
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
            resolution=RESOLUTION if method == "codec" else "",
            seconds=f"{seconds:.1f}",
            **({} if surface is None else surface_columns(surface)),
        )
        print(*(row[c] for c in COLUMNS[:1] + COLUMNS[2:8]), f"{row['seconds']} s", flush=True)


def surface_columns(surface: SurfaceMetrics) -> dict[str, str]:
    return {
        "chamfer": f"{surface.chamfer_l1:.6f}",
        "normal_consistency": f"{surface.normal_consistency:.6f}",
    }


def fill(table: ResultTable, meshes: list[Path]) -> None:
    """Measure the surfaces of Draco's rows without, of those on the front of bytes and IoU."""
    rows = table.rows()
    for path in meshes:
        mine = [row for row in rows if row["mesh"] == path.stem and row["method"] == "draco"]
        front = set(pareto_front(RatePoint(int(row["bytes"]), float(row["iou"])) for row in mine))
        lacking = [
            row
            for row in mine
            if not row["chamfer"] and RatePoint(int(row["bytes"]), float(row["iou"])) in front
        ]
        mesh = doh3d.load_mesh(path) if lacking else None
        for row in lacking:
            data, surface = encode_variant(mesh, row["variant"])
            # Libraries of another version may make another file, which is not that row's.
            if len(data) != int(row["bytes"]):
                print(f"{path.stem}: {row['variant']} now takes {len(data)} B, not {row['bytes']}")
                continue
            row |= surface_columns(surface)
            print(path.stem, row["variant"], row["chamfer"], row["normal_consistency"], flush=True)
        if lacking:
            table.replace(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--fill", action="store_true")
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
    if arguments.fill:
        fill(table, meshes[index - 1 :: count])
    elif not arguments.report:
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
