"""How often fits fall into bursts of long steps, and how those end.

    python scripts/check_soundness.py [MESH...] [--only ball,rod]
        [--output results/<version>/soundness.tsv]

Networks of few weights for their latent, small batches and rates above the plan's provoke bursts:
the loss rises, and without help stays where it is. Eight shapes, two rates and four seeds make 64
fits of a few seconds each; meshes given are fitted beside them. A row a fit: the losses every 50
steps, one list for each learning rate tried; the largest smoothed loss over the lowest before it;
how often a burst was undone; the errors on the samples when rounding began and after it; the
file's error; how it ended. A second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import logging
import time
from pathlib import Path

import numpy as np
import torch
import trimesh

import doh3d
from doh3d.codec.container import serialize
from doh3d.errors import Doh3dError
from doh3d.fitting.fit import fit_latent
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.signals.shape import PreparedShape, prepare, shape_config
from result_table import ResultTable, results_path

COLUMNS = """
shape rate worst burst undone error_before error_after file_error end seconds losses
""".split()  # noqa: SIM905
KEY = ("shape", "rate", "seed")

FOLDER = Path(__file__).parent.parent / "meshes"
FILES = ["three_holes.stl", "thin_plate.ply", "two_bodies.off", "torus.obj"]
RATES = [1.05, 1.2]
SEEDS = 4
LATENT, WIDTH = 600, 18
STEPS, BATCH, POOL = 1000, 1024, 60_000
BURST_FACTOR = 1.3


def waves(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Give a round mesh waves."""
    x, y, z = 6 * mesh.vertices.T
    mesh.vertices *= (1 + 0.15 * np.sin(x) * np.sin(y) * np.sin(z))[:, None]
    return mesh


def twisted() -> trimesh.Trimesh:
    """Make a square rod that turns once around its axis."""
    mesh = trimesh.creation.box((0.5, 0.5, 1.5))
    for _ in range(4):
        mesh = mesh.subdivide()
    x, y, z = mesh.vertices.T
    turn = 2 * np.pi / 1.5 * z
    cos, sin = np.cos(turn), np.sin(turn)
    mesh.vertices = np.column_stack([cos * x - sin * y, sin * x + cos * y, z])
    return mesh


FORMULAS = {
    "ball": lambda: waves(trimesh.creation.icosphere(subdivisions=4)),
    "hoop": lambda: waves(trimesh.creation.torus(0.65, 0.25, major_sections=64, minor_sections=32)),
    "ring": lambda: trimesh.creation.annulus(0.3, 0.6, 0.4, sections=48),
    "rod": twisted,
}


class Records(logging.Handler):
    """Collects what a fit logs."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def having(self, words: str) -> list[logging.LogRecord]:
        """Those whose message has these words."""
        return [record for record in self.records if words in record.getMessage()]


def rise(losses: list[float]) -> tuple[float, float]:
    """Return how far the smoothed loss was above its lowest so far, at worst and in the end."""
    smoothed = [float(np.median(losses[max(0, k - 2) : k + 1])) for k in range(len(losses))]
    rises = np.array(smoothed) / np.minimum.accumulate(smoothed)
    return float(rises.max()), float(rises[-1])


def measure(shape: PreparedShape, rate: float, seed: int) -> dict[str, object]:
    """Fit once; the row without its key."""
    config = shape_config(latent=LATENT, preset="fast", width=WIDTH, seed=seed)
    config = dataclasses.replace(
        config, steps=STEPS, batch_size=BATCH, pool_size=POOL, learning_rate=rate
    )
    config = shape.adapt(config, mirror=False)
    log, records, attempts = logging.getLogger("doh3d.fitting"), Records(), []
    log.addHandler(records)
    log.setLevel(logging.INFO)

    def progress(report: doh3d.FitProgress) -> None:
        if not attempts or records.having("trying a lower one")[len(attempts) - 1 :]:
            attempts.append([])
        attempts[-1].append(report.loss)

    device, started, file_error, ended = torch.device("cpu"), time.perf_counter(), "", "sound"
    try:
        result = fit_latent(shape.sample(config), config, device=device, progress=progress)
    except Doh3dError as error:
        ended = f"error: {error}"
    else:
        data = serialize(quantize_fit(result, config, shape))
        file_error = f"{shape.error(data, config, device):.5f}"
    seconds = time.perf_counter() - started
    log.removeHandler(records)
    rises = [rise(losses) for losses in attempts]
    if ended == "sound" and rises[-1][1] > BURST_FACTOR:
        ended = "unsound"
    elif ended == "sound" and len(attempts) > 1:
        ended = f"sound at rate {result.learning_rate:.2g}"
    errors = [record.args for record in records.having("before rounding")] or [("", "")]
    worst = max(each[0] for each in rises)
    return {
        "worst": f"{worst:.2f}",
        "burst": "yes" if worst > BURST_FACTOR else "no",
        "undone": len(records.having("going back")),
        "error_before": str(errors[-1][0]).strip("[]"),
        "error_after": str(errors[-1][1]).strip("[]"),
        "file_error": file_error,
        "end": ended,
        "seconds": f"{seconds:.1f}",
        "losses": "; ".join(",".join(f"{loss:.3f}" for loss in losses) for losses in attempts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="*")
    parser.add_argument("--only", help="shapes, with commas")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or results_path("soundness")
    table = ResultTable(output, COLUMNS, KEY)
    paths = [*(FOLDER / name for name in FILES), *arguments.meshes]
    sources = FORMULAS | {path.stem: path for path in paths}
    for name in arguments.only.split(",") if arguments.only else sources:
        source = sources[name]
        shape = prepare(source() if callable(source) else source)
        for rate, seed in itertools.product(RATES, range(SEEDS)):
            if table.has(shape=name, rate=rate, seed=seed):
                continue
            row = table.add(shape=name, rate=rate, seed=seed, **measure(shape, rate, seed))
            print(*(row[column] for column in COLUMNS if column != "losses"), flush=True)


if __name__ == "__main__":
    main()
