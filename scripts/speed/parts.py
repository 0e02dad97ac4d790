"""Seconds and memory of the parts: sampling, projection, a step, decoding, queries, start-up.

Every case gets a size and makes a row's values.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from doh3d.codec.container import serialize
from doh3d.field import OccupancyField, decode_weights
from doh3d.fitting.optimisation import Optimisation
from doh3d.geometry.sampling import sample_occupancy
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.projection import make_projection
from doh3d.signals.shape import prepare, shape_config
from doh3d.signals.shape_plan import plan_for_shape
from doh3d.thread_team import ThreadTeam
from reference_encoder import ReferenceEncoder, reference_config
from speed.references import (
    ball_samples,
    in_turns,
    peak_bytes,
    query_at_once,
    random_code,
    sample_directly,
)

CPU = torch.device("cpu")
Values = dict[str, object]


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
    values["note"] = f"{1e9 * float(values['seconds']) / work:.3f} ns for each of (P + n) log n"
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
