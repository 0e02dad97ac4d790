"""The rate-distortion benchmark: the codec and its peers on every mesh of a folder.

    python scripts/benchmark_rd.py --meshes DIR [--quick] [--preset default] [--shard 1/2]

Writes results/<version>/rd.tsv, a row a file, as it is measured; a second run goes on where the
first stopped. Several processes may fill one table: `--shard`, `--only` or `--sizes` share the
work. Then draws rd-<preset>.png and prints BD-rate against each peer for each mesh, for
organic meshes, for CAD parts and for all: by IoU, then by Chamfer distance and normal consistency
on the rows that have them. `--report` only draws and prints.

Learned peers get the codec's steps, batches and samples, and the best two of five or eight networks
at each size; their learning rate is the best of a ladder (docs/results.md).
IoU is of the field (of the decoded mesh for Draco) by the bbox protocol. `--quick` screens: the
codec against Draco on four meshes at two sizes, with the fast preset.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import doh3d
from doh3d.codec.container import parse
from doh3d.codec.shape_code import domain_half_sides
from doh3d.devices import resolve_device
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.evaluation.simplification import Simplifier
from doh3d.evaluation.surface import SurfaceMetrics, surface_metrics
from doh3d.field import OccupancyField
from doh3d.fitting.rate_control import fit_to_bytes
from doh3d.options import CompressOptions
from doh3d.signals.shape import PreparedShape, prepare, shape_config
from doh3d.signals.shape_plan import latent_for_bytes
from peers.decimation import decimation_rows
from peers.networks import PEERS, fit_peer
from rd_report import curves, draw, kind_of, report
from result_table import ResultTable, Row, results_path

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
mesh kind method preset target_bytes search variant bytes iou iou_of protocol points
chamfer normal_consistency resolution seconds
""".split()  # noqa: SIM905
# All networks of a learned peer at a size are one measurement, and so is a search of Draco's.
KEY = ("mesh", "method", "preset", "target_bytes", "search")
# What is printed of a row beside its key.
TOLD = ("variant", "bytes", "iou")

# The codec's surface is that of its mesh at the resolution of `doh3d eval`.
RESOLUTION = 256
# Latents of up to so many numbers take all of a preset's steps.
WHOLE_LATENT = 1000
# The third simplifier is searched by itself: what it beats stays on the front of the other two.
SEARCHES: tuple[tuple[Simplifier, ...], ...] = (
    ("fast_simplification", "open3d_qem"),
    ("meshoptimizer",),
)


@dataclass(frozen=True)
class Measured:
    """One file of a method."""

    variant: str
    bytes: int
    iou: float
    seconds: float
    surface: SurfaceMetrics | None = None


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
        if method == "draco":
            for simplifiers in SEARCHES:
                if not self._table.has(**self._key("draco", 0, simplifiers)):
                    self._draco(simplifiers)
        elif not self._table.has(**self._key(method, size)):
            self._codec(size) if method == "codec" else self._peer(method, size)

    def _key(self, method: str, size: int, simplifiers: Sequence[str] = ()) -> Row:
        return {
            "mesh": self._path.stem,
            "method": method,
            # Decimation knows no presets.
            "preset": "" if method == "draco" else self._preset,
            "target_bytes": str(size),
            "search": "+".join(simplifiers),
        }

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
        key = self._key("codec", size)
        self._add(key, [Measured(variant, len(encoded.data), iou, seconds, surface)])

    def _peer(self, method: str, size: int) -> None:
        shape, judge = self._shape_and_judge()
        latent = latent_for_bytes(size)
        # A peer has one network, whatever its size.
        config = shape_config(preset=self._preset, latent=latent, levels=0)
        # A flat shape has steps and batches of its own, and so have the peers there. Long latents
        # have few steps because of the codec's solver and its cells, neither of which peers have.
        own = shape.config(CompressOptions(preset=self._preset), min(latent, WHOLE_LATENT))
        config = replace(
            config,
            steps=own.steps,
            batch_size=own.batch_size,
            pool_size=max(config.pool_size, own.pool_size),
        )
        fitted = []
        started = time.perf_counter()
        for fit in fit_peer(method, shape, config, size, self._rank, device=self._device):
            seconds = time.perf_counter() - started
            fitted.append(Measured(fit.variant, len(fit.data), judge.iou(fit.field).iou, seconds))
            started = time.perf_counter()
        self._add(self._key(method, size), fitted)

    def _draco(self, simplifiers: tuple[Simplifier, ...]) -> None:
        started = time.perf_counter()
        options = QUICK_DRACO if self._quick else {}
        mesh = doh3d.load_mesh(self._path)
        found = decimation_rows(mesh, simplifiers=simplifiers, **options)
        # The search is one; its rows share its time.
        seconds = (time.perf_counter() - started) / max(1, len(found))
        self._add(
            self._key("draco", 0, simplifiers),
            [Measured(row.variant, row.bytes, row.iou, seconds, row.surface) for row in found],
        )

    def _add(self, key: Row, measured: Sequence[Measured]) -> None:
        """Write what was measured together, whole or not at all."""
        is_draco = key["method"] == "draco"
        rows = [
            {
                **key,
                "kind": kind_of(key["mesh"]),
                "variant": each.variant,
                "bytes": each.bytes,
                "iou": f"{each.iou:.5f}",
                "iou_of": "mesh" if is_draco else "field",
                "protocol": "bbox",
                "points": QUICK_DRACO["points"] if self._quick and is_draco else 2**21,
                "resolution": RESOLUTION if key["method"] == "codec" else "",
                "seconds": f"{each.seconds:.1f}",
                **({} if each.surface is None else surface_columns(each.surface)),
            }
            for each in measured
        ]
        for row in self._table.add_all(rows):
            print(*(row[c] for c in (*KEY, *TOLD)), f"{row['seconds']} s", flush=True)


def surface_columns(surface: SurfaceMetrics) -> dict[str, str]:
    return {
        "chamfer": f"{surface.chamfer_l1:.6f}",
        "normal_consistency": f"{surface.normal_consistency:.6f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--methods", default=",".join(("codec", "draco", *PEERS)))
    parser.add_argument("--sizes", help="bytes, comma-separated, for the usual ones")
    parser.add_argument("--only", help="names of meshes, with commas")
    parser.add_argument("--shard", default="1/1", help="I/N: every N-th mesh, beginning with I")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    name = "rd-quick" if arguments.quick else "rd"
    output = arguments.output or results_path(name)
    table = ResultTable(output, COLUMNS, KEY, device="auto")
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
    if arguments.only:
        meshes = [path for path in meshes if path.stem in arguments.only.split(",")]
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
