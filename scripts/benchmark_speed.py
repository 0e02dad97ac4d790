"""How long encoding, decoding and their parts take and what memory, beside a reference each.

    taskset -c 0 python scripts/benchmark_speed.py --mesh MESH [--only projection,step] [--report]

Writes results/<version>/speed.tsv, a row a measurement, as it is measured; a second run goes on
where the first stopped. Then draws speed.png, how cost grows with the latent, the weights, the
points and the resolution, and prints the ratios. `--report` only draws and prints.

Seconds are the processor's, on one thread, the least of several calls, the codec and its reference
taking turns: machines are shared. Start-up is by the clock. Bytes are the largest resident memory
beyond what was there before the call. References are the straightforward ways:
scripts/reference_encoder.py and scripts/speed_references.py.
"""

from __future__ import annotations

import argparse
import math
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from doh3d.codec.container import parse, serialize
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField, decode_weights
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.rate_control import fit_to_bytes
from doh3d.fitting.resumable import fit_signal
from doh3d.fitting.together import fit_latents
from doh3d.geometry.sampling import sample_occupancy
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.projection import make_projection
from doh3d.signals.shape import prepare, shape_config
from doh3d.signals.shape_plan import latent_for_bytes, plan_for_shape
from doh3d.thread_team import ThreadTeam
from reference_encoder import ReferenceEncoder, reference_config
from reference_encoder import encode as encode_by_reference
from result_table import ResultTable, Row, results_path
from speed_references import (
    ball_samples,
    cpu_seconds,
    extract_densely,
    in_turns,
    peak_bytes,
    pebble,
    query_at_once,
    random_code,
    sample_directly,
)

CPU = torch.device("cpu")
COLUMNS = """
case size n weights seconds reference_seconds ratio bytes reference_bytes bytes_ratio note
""".split()  # noqa: SIM905
KEY = ("case", "size")
Values = dict[str, object]

# The quality and the size of a file by which encoders are compared.
IOU = 0.97
FILE_BYTES = 1000
JUDGED_POINTS = 2**18


class SpeedTable(ResultTable):
    """A row a case and size, with ratios where there is a reference."""

    def measured(self, case: str, size: object, values: Values) -> None:
        """Append the row and print it."""
        for name in ("seconds", "bytes"):
            ours, theirs = values.get(name), values.get(f"reference_{name}")
            if ours and theirs:
                ratio = float(theirs) / float(ours)  # type: ignore[arg-type]
                values["ratio" if name == "seconds" else "bytes_ratio"] = ratio
        if "threads" in values:
            where = f"{platform.system()} {platform.machine()}"
            values["machine"] = f"{where}, {values.pop('threads')}"
        values |= {"case": case, "size": size}
        row = self.add(**{column: _cell(value) for column, value in values.items()})
        print(*list(row.values())[:11], sep="\t", flush=True)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def timed(function: Callable[[], object]) -> tuple[object, float]:
    started = time.process_time()
    result = function()
    return result, time.process_time() - started


# Every case gets a size and makes a row's values.


def measure_sampling(count: int, mesh: Path) -> Values:
    shape = prepare(mesh)
    arguments = {"near_surface_fraction": 0.6, "near_surface_std": 0.01, "softness": 0.002}

    def ours() -> object:
        return sample_occupancy(
            shape.normalized, (1, 1, 1), count, inside=shape.inside, **arguments
        )

    def theirs() -> object:
        return sample_directly(shape.normalized, count, 0.6, 0.01, 0.002)

    ours()
    seconds, reference = in_turns([ours, theirs], rounds=2)
    return {"seconds": seconds, "reference_seconds": reference, "bytes": peak_bytes(ours)}


def measure_projection(latent: int, mesh: Path) -> Values:
    """Forward and backward, in float, of the network that goes with the latent."""
    architecture = replace(plan_for_shape(latent, levels=0).architecture, activation="relu")
    values = projection_seconds("hadamard", latent, architecture.layer_sizes)
    weights = architecture.weight_count
    work = (weights + latent) * math.log2(latent)
    values["note"] = f"{1e9 * float(values['seconds']) / work:.3f} ns for each of (P + sum n) log n"
    # A gigabyte of the dense matrix is enough to see it grow.
    if latent * weights <= 2**28:
        dense = projection_seconds("dense", latent, architecture.layer_sizes)
        values |= {f"reference_{name}": value for name, value in dense.items()}
    return {"n": latent, "weights": weights} | values


def projection_seconds(kind: str, latent: int, layer_sizes: list[int]) -> Values:
    def used() -> Callable[[], object]:
        projection = make_projection(kind, latent, layer_sizes, seed=0)
        vector, values = torch.randn(latent), torch.randn(sum(layer_sizes))
        return lambda: (projection.project(vector), projection.transpose(values))

    def repeated() -> float:
        call = used()
        # The first transposition makes what all others use: like the matrix, not part of a step.
        call()
        return in_turns([call], least=0.3)[0]

    return {"seconds": repeated(), "bytes": peak_bytes(lambda: used()())}


def measure_dense(size: str, mesh: Path) -> Values:
    latent, weights = 16_384, 40_000
    sizes = [10_000] * 4
    ours = projection_seconds("hadamard", latent, sizes)
    theirs = projection_seconds("dense", latent, sizes)
    named = {f"reference_{name}": value for name, value in theirs.items()}
    return {"n": latent, "weights": weights} | ours | named


def measure_step(size: str, mesh: Path) -> Values:
    """One step at n = 4,000 and width 48 on 8,192 points, of codec and reference.

    The codec's has its share of gathering the points, and of learning their errors.

    On two threads it is the wall clock's time, and PyTorch shares the reference's work out.
    """
    threads = 2 if "threads" in size else 1
    options = {"clock": time.perf_counter if threads == 2 else time.process_time}
    config = reference_config(4000)
    samples = ball_samples(8192)
    ours_config = replace(
        shape_config(latent=4000, width=48, octaves=3), batch_size=8192, pool_size=8192
    )
    team = ThreadTeam(threads)
    ours = Optimisation([samples], ours_config, 0.4, CPU, team=team)
    theirs = ReferenceEncoder(samples, config)

    def our_step() -> None:
        ours.step(100)

    def their_step() -> None:
        torch.set_num_threads(threads)
        theirs.step(100, theirs.points, theirs.labels)
        torch.set_num_threads(1)

    # Before steps on one batch have brought the gradient to denormal numbers, which are slow.
    without, _ = in_turns([lambda: network_only(ours), their_step], rounds=3, least=0.3, **options)
    our_step(), their_step()
    seconds, reference = in_turns([our_step, their_step], rounds=5, least=0.5, **options)
    architecture = config.architecture
    # Two operations for each weight and point: forward, and backward to weights and inputs.
    products = 3 * architecture.weight_count - architecture.layer_sizes[0]
    share = 2 * 8192 * products / seconds / matmul_peak() / threads
    team.close()
    return {
        "threads": "1 thread" if threads == 1 else f"{threads} threads",
        "n": 4000,
        "weights": architecture.weight_count,
        "seconds": seconds,
        "reference_seconds": reference,
        "note": f"network {1000 * without:.2f} ms; {100 * share:.0f}% of the matrix-product peak "
        f"of {threads} x {matmul_peak() / 1e9:.0f} GFLOP/s",
    }


def network_only(optimisation: Optimisation) -> None:
    parameters = optimisation.parameters
    weights = parameters.networks(*parameters.rounded())
    optimisation._backward(weights, optimisation.pools.features, optimisation.pools.values)


def matmul_peak() -> float:
    """Operations a second of a large float32 matrix product."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return 2 * 1024**3 / in_turns([lambda: a @ b], least=0.3)[0]


def measure_decode(latent: int, mesh: Path) -> Values:
    architecture = replace(plan_for_shape(latent, levels=0).architecture, activation="relu")
    code = random_code(latent, architecture)
    dense = random_code(latent, architecture, dense=True)
    seconds, reference = in_turns(
        [lambda: decode_weights(code, CPU), lambda: decode_weights(dense, CPU)], rounds=2
    )
    return {
        "n": latent,
        "weights": architecture.weight_count,
        "seconds": seconds,
        "reference_seconds": reference,
        "bytes": peak_bytes(lambda: decode_weights(code, CPU)),
        "reference_bytes": peak_bytes(lambda: decode_weights(dense, CPU)),
    }


def measure_query(count: int, mesh: Path) -> Values:
    field = OccupancyField(random_code(1100, Architecture(width=44)), "cpu")
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (count, 3))
    calls: list[Callable[[], object]] = [
        lambda: field.logits(points),
        lambda: query_at_once(field, points),
    ]
    seconds, reference = in_turns(calls)
    peak, reference_peak = (peak_bytes(call) for call in calls)
    return {
        "n": 1100,
        "weights": field.code.architecture.weight_count,
        "seconds": seconds,
        "reference_seconds": reference,
        "bytes": peak,
        "reference_bytes": reference_peak,
    }


def measure_extraction(resolution: int, mesh: Path) -> Values:
    with tempfile.TemporaryDirectory() as folder:
        field = fitted_field(mesh, Path(folder))
    field.to_mesh(16)
    rounds = 2 if resolution <= 256 else 1
    ours = in_turns([lambda: field.to_mesh(resolution)], rounds=rounds)[0]
    values: Values = {"seconds": ours, "bytes": peak_bytes(lambda: field.to_mesh(resolution))}
    if resolution <= 256:
        values["reference_seconds"] = cpu_seconds(lambda: extract_densely(field, resolution))
        values["reference_bytes"] = peak_bytes(lambda: extract_densely(field, resolution))
    return values


FIELDS: dict[Path, OccupancyField] = {}


def fitted_field(mesh: Path, folder: Path) -> OccupancyField:
    """Field of a kilobyte's file of the mesh, made once."""
    if mesh not in FIELDS:
        FIELDS[mesh] = quick_file(mesh, 300)[1]
    return FIELDS[mesh]


def quick_file(mesh: Path, steps: int) -> tuple[bytes, OccupancyField]:
    """Encode in so many steps; samples as many as those need."""
    shape = prepare(mesh)

    def config_for_latent(latent: int):
        config = shape.adapt(shape_config(latent=latent, preset="fast"))
        # Each sample is seen about five times.
        return replace(config, steps=steps, pool_size=config.batch_size * max(20, steps // 5))

    data = fit_to_bytes(shape, FILE_BYTES, config_for_latent, device=CPU).data
    return data, OccupancyField(parse(data), "cpu")


def measure_time_to_iou(which: str, mesh: Path) -> Values:
    """From a mesh's file to bytes whose field has the IoU.

    "frozen" compares with the reference as it is; "fewest" with its shortest schedule that gets
    there, as the codec's own is the shortest of a ladder.
    """
    judged = prepare(mesh).mesh

    def attempts(
        name: str, ladder: tuple[int, ...], encode: Callable[[int], bytes]
    ) -> tuple[float, str]:
        """Seconds of the first attempt that gets there, or of the last, and what came of it."""
        for steps in ladder:
            data, seconds = timed(lambda steps=steps: encode(steps))
            field = OccupancyField(parse(data), "cpu")
            iou = field_iou(judged, field, points=JUDGED_POINTS).iou
            note = f"{name} {steps} steps, {len(data)} B, IoU {iou:.4f}"
            print(f"{note}, {seconds:.2f} s", flush=True)
            if iou >= IOU:
                break
        return seconds, note

    seconds, note = attempts(
        "codec", (100, 150, 200, 300, 500), lambda steps: quick_file(mesh, steps)[0]
    )
    reference, reference_note = attempts(
        "reference",
        (3000,) if which == "frozen" else (300, 400, 500, 750, 1000, 1500),
        lambda steps: encode_by_reference(prepare(mesh), reference_config(steps=steps)),
    )
    return {
        "n": latent_for_bytes(FILE_BYTES),
        "seconds": seconds,
        "reference_seconds": reference,
        "note": f"{note}; {reference_note}",
    }


def measure_fit_many(batch_size: int, mesh: Path) -> Values:
    """32 small shapes at once, and one after another; samples drawn before."""
    config = replace(
        shape_config(latent=200, preset="fast"), steps=200, batch_size=batch_size, pool_size=50_000
    )
    shapes = [prepare(pebble(number)) for number in range(32)]
    samples = [shape.sample(config) for shape in shapes]
    together, seconds = timed(lambda: fit_latents(samples, config, device=CPU))
    # Twice, before and after the others: machines are shared.
    alone, reference = timed(lambda: [fit_signal(shape, config, device=CPU) for shape in shapes])
    _, again = timed(lambda: fit_latents(samples, config, device=CPU))
    found = []
    for results in (together, alone):
        files = [
            serialize(quantize_fit(result, config, shape))
            for result, shape in zip(results, shapes, strict=True)
        ]
        ious = [
            field_iou(shape.mesh, OccupancyField(parse(data), "cpu"), points=2**17).iou
            for shape, data in zip(shapes, files, strict=True)
        ]
        found.append(f"{np.mean(ious):.4f} in {np.mean([len(data) for data in files]):.0f} B")
    return {
        "n": config.latent,
        "weights": config.architecture.weight_count,
        "seconds": (seconds + again) / 2 / 32,
        "reference_seconds": reference / 32,
        "bytes": peak_bytes(lambda: fit_latents(samples, replace(config, steps=5), device=CPU)),
        "note": "seconds a shape; mean IoU {}, alone {}".format(*found),
    }


def measure_start(command: str, mesh: Path) -> Values:
    """By the clock, against loading what encoding needs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shape.doh"
        file.write_bytes(serialize(random_code(1100, Architecture(width=44))))
        arguments = {
            "help": ["-m", "doh3d", "--help"],
            "info": ["-m", "doh3d", "info", str(file)],
        }[command]
        least = [math.inf, math.inf]
        for _ in range(7):
            for which, line in enumerate((arguments, ["-c", "import torch, trimesh"])):
                started = time.perf_counter()
                subprocess.run([sys.executable, *line], check=True, capture_output=True)
                least[which] = min(least[which], time.perf_counter() - started)
    return {"seconds": least[0], "reference_seconds": least[1]}


CASES: list[tuple[str, Callable[..., Values], list[object]]] = [
    ("time_to_iou", measure_time_to_iou, ["frozen", "fewest"]),
    ("step", measure_step, ["n 4000, w 48", "n 4000, w 48, 2 threads"]),
    ("projection", measure_projection, [10**3, 10**4, 10**5, 10**6]),
    ("dense", measure_dense, ["n 16384, P 40000"]),
    ("fit_many", measure_fit_many, [512, 1024, 4096]),
    ("start", measure_start, ["help", "info"]),
    ("decode", measure_decode, [350, 1100, 4000, 16_000]),
    ("query", measure_query, [10**4, 10**5, 10**6]),
    ("sampling", measure_sampling, [10**4, 10**5, 10**6]),
    ("extraction", measure_extraction, [64, 128, 256, 512]),
]

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
                (float(row["weights"]) + 4 * float(row["n"])) * math.log2(float(row["n"]))
                for row in found
            ]
            scale = float(found[0]["seconds"]) / work[0]
            panel.plot(
                [float(row["size"]) for row in found],
                [scale * amount for amount in work],
                color="0.5",
                linestyle="--",
                label="(P + sum n) log n",
            )
        panel.set_xscale("log")
        panel.set_yscale("log")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mesh", type=Path, help="that is sampled, encoded and extracted")
    parser.add_argument("--only", help="cases, with commas")
    parser.add_argument("--report", action="store_true", help="draw and print only")
    parser.add_argument("--output", type=Path, default=results_path("speed"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = SpeedTable(arguments.output, COLUMNS, KEY)
    only = arguments.only.split(",") if arguments.only else [name for name, _, _ in CASES]
    if not arguments.report:
        if arguments.mesh is None:
            parser.error("--mesh is needed")
        for name, measure, sizes in CASES:
            for size in sizes if name in only else []:
                if not table.has(case=name, size=size):
                    table.measured(name, size, measure(size, arguments.mesh))
    rows = table.rows()
    draw(rows, arguments.output.with_suffix(".png"))
    print("\n".join(report(rows)))


if __name__ == "__main__":
    main()
