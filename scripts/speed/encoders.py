"""Seconds of whole encoders, of one file and of many, and of extraction from a file.

Every case gets a size and makes a row's values.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from doh3d.codec.container import parse, serialize
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.rate_control import fit_to_bytes
from doh3d.fitting.resumable import fit_signal
from doh3d.fitting.together import fit_latents
from doh3d.signals.shape import prepare, shape_config
from doh3d.signals.shape_plan import latent_for_bytes
from reference_encoder import encode as encode_by_reference
from reference_encoder import reference_config
from speed.parts import Values
from speed.references import cpu_seconds, extract_densely, in_turns, peak_bytes, pebble

CPU = torch.device("cpu")

# The quality and the size of a file by which encoders are compared.
IOU = 0.97
FILE_BYTES = 1000
JUDGED_POINTS = 2**18


def timed(function: Callable[[], object]) -> tuple[object, float]:
    started = time.process_time()
    result = function()
    return result, time.process_time() - started


def measure_extraction(resolution: int, mesh: Path) -> Values:
    field = fitted_field(mesh)
    field.to_mesh(16)
    rounds = 2 if resolution <= 256 else 1
    ours = in_turns([lambda: field.to_mesh(resolution)], rounds=rounds)[0]
    values: Values = {"seconds": ours, "bytes": peak_bytes(lambda: field.to_mesh(resolution))}
    if resolution <= 256:
        values["reference_seconds"] = cpu_seconds(lambda: extract_densely(field, resolution))
        values["reference_bytes"] = peak_bytes(lambda: extract_densely(field, resolution))
    return values


@cache
def fitted_field(mesh: Path) -> OccupancyField:
    """Field of a kilobyte's file of the mesh, made once."""
    return quick_file(mesh, 300)[1]


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
