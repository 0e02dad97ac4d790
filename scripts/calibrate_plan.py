"""Measure the plan behind the presets: bits that a latent number takes, and what they buy.

    python scripts/calibrate_plan.py MESH... [--preset default] [--output TABLE.tsv]

For each mesh and latent length a fit as planned for its surface, with half and twice as many cells
of as many weights together, and with networks a quarter narrower and wider. A row a fit, written
as it is measured; a second run goes on where the first stopped. The figures of
doh3d/signals/shape_plan.py are read off such tables.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

import doh3d
from doh3d.codec.container import parse
from doh3d.codec.entropy import code_length_bits
from doh3d.devices import resolve_device
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField
from doh3d.fitting.rate_control import encode
from doh3d.options import CompressOptions
from doh3d.signals.shape import prepare, shape_config
from doh3d.signals.shape_plan import plan_for_shape

LATENTS = (200, 350, 600, 1100, 2000, 4000, 8000, 16_000, 40_000, 80_000)
COLUMNS = """
mesh preset latent levels width weights steps bytes bits_each iou seconds version date
""".split()  # noqa: SIM905

# Cuts more than planned, and width times that of the plan.
VARIATIONS = ((0, 1.0), (-1, math.sqrt(2)), (1, math.sqrt(0.5)), (0, 0.75), (0, 1.25))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--largest", type=int, default=LATENTS[-1])
    parser.add_argument("--plan-only", action="store_true", help="no narrower and wider networks")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or Path(f"results/{doh3d.__version__}/plan.tsv")
    output.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if output.exists():
        with output.open() as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        done = {tuple(row[name] for name in COLUMNS[:5]) for row in rows}
    with output.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        if not done:
            writer.writeheader()
        for path in arguments.meshes:
            shape = prepare(path)
            variations = VARIATIONS[: 1 if arguments.plan_only else None]
            for (more, factor), latent in itertools.product(variations, LATENTS):
                plan = plan_for_shape(latent, flat_share=shape.flat_share)
                levels = plan.levels + more
                width = 4 * max(1, round(plan.architecture.width * factor / 4))
                key = (path.name, arguments.preset, str(latent), str(levels), str(width))
                if levels < 0 or latent > arguments.largest or key in done:
                    continue
                started = time.perf_counter()
                own = shape_config(
                    preset=arguments.preset, latent=latent, width=width, levels=levels
                )
                planned = shape.config(CompressOptions(preset=arguments.preset), latent)
                own = replace(own, steps=planned.steps, batch_size=planned.batch_size)
                own = shape.adapt(own, mirror=False)
                data = encode(shape, own, device=resolve_device("auto")).data
                seconds = time.perf_counter() - started
                field = OccupancyField(parse(data))
                group = field.code.latent
                bits = code_length_bits(group.values, group.model) / latent
                iou = field_iou(shape.reading, field, points=2**18).iou
                row = dict(zip(COLUMNS[:5], key, strict=True)) | {
                    "weights": 2**levels * own.architecture.weight_count,
                    "steps": own.steps,
                    "bytes": len(data),
                    "bits_each": f"{bits:.3f}",
                    "iou": f"{iou:.5f}",
                    "seconds": f"{seconds:.1f}",
                    "version": doh3d.__version__,
                    "date": datetime.date.today().isoformat(),
                }
                writer.writerow(row)
                file.flush()
                print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
