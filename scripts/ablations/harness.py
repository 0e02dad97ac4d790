"""What the ablations share: fits over seeds, a table that resumes, means with intervals."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import t as student_t

from doh3d.codec.container import section_sizes, serialize
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.field import OccupancyField
from doh3d.fitting.config import FitConfig
from doh3d.fitting.fit import fit_latent
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.results import FitResult
from doh3d.signals.shape import prepare

# The scripts above this folder, and what codecs are compared with.
sys.path.append(str(Path(__file__).parents[1]))

from result_table import ResultTable, Row, results_path

COLUMNS = """
mesh preset variant bytes iou header_bytes latent_bytes bias_bytes seconds
""".split()  # noqa: SIM905
KEY = ("mesh", "preset", "variant", "seed")
Variants = dict[str, FitConfig]


def run(
    name: str,
    description: str,
    variants: Callable[[argparse.Namespace], Variants],
    *,
    share_fit: Callable[[str], str] | None = None,
) -> None:
    """Fit every variant on every mesh and seed, write the table, print means.

    Variants for which `share_fit` gives the same key share one fit and differ only in how it
    is quantised afterwards.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or results_path(f"ablation-{name}")
    table = ResultTable(output, COLUMNS, KEY)
    for mesh in arguments.meshes:
        for seed in range(arguments.seeds):
            key = {"mesh": mesh.stem, "preset": arguments.preset, "seed": seed}
            wanted = {
                variant: replace(config, seed=seed)
                for variant, config in variants(arguments).items()
                if not table.has(**key, variant=variant)
            }
            if wanted:
                _measure(mesh, key, wanted, share_fit or (lambda variant: variant), table)
    print(*summary(table.rows()), sep="\n")


def summary(rows: Sequence[Row]) -> list[str]:
    """Mean bytes and IoU of each mesh and variant, with a 95% interval over seeds."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["mesh"], row["variant"]), []).append(row)
    lines = ["mesh\tvariant\tseeds\tbytes\tiou\t95% interval"]
    for (mesh, variant), found in groups.items():
        ious = [float(row["iou"]) for row in found]
        mean_bytes = statistics.mean(int(row["bytes"]) for row in found)
        half = math.nan
        if len(ious) > 1:
            quantile = float(student_t.ppf(0.975, len(ious) - 1))
            half = quantile * statistics.stdev(ious) / math.sqrt(len(ious))
        lines.append(
            f"{mesh}\t{variant}\t{len(ious)}\t{mean_bytes:.0f}\t"
            f"{statistics.mean(ious):.5f}\t+-{half:.5f}"
        )
    return lines


def _measure(
    mesh: Path,
    key: dict[str, object],
    wanted: Variants,
    share_fit: Callable[[str], str],
    table: ResultTable,
) -> None:
    shape = prepare(mesh)
    judge: LabelledPoints | None = None
    fits: dict[str, tuple[FitResult, float]] = {}
    for variant, config in wanted.items():
        shared = share_fit(variant)
        config = shape.adapt(config)
        if shared not in fits:
            started = time.perf_counter()
            result = fit_latent(shape.sample(config), config, device=torch.device("cpu"))
            fits[shared] = result, time.perf_counter() - started
        result, seconds = fits[shared]
        code = quantize_fit(result, config, shape)
        field = OccupancyField(code, "cpu")
        judge = judge or LabelledPoints.of(shape.mesh, field.bounds, points=2**19)
        sizes = section_sizes(code)
        row = table.add(
            **key,
            variant=variant,
            bytes=len(serialize(code)),
            iou=f"{judge.iou(field).iou:.5f}",
            header_bytes=sizes["header"] + sizes["transform"] + sizes["checksum"],
            latent_bytes=sizes["latent"],
            bias_bytes=sizes["biases"],
            seconds=f"{seconds:.1f}",
        )
        print(*row.values(), flush=True)
