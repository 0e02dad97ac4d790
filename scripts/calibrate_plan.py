"""Measure the plan behind the presets: bits that a latent number takes, and what they buy.

    python scripts/calibrate_plan.py MESH... [--preset default] [--output TABLE.tsv]

For each mesh and latent length a fit as planned for its surface, with half and twice as many cells
of as many weights together, and with networks a quarter narrower and wider. A row a fit, written
as it is measured; a second run goes on where the first stopped. The figures of
doh3d/signals/shape_plan.py are read off such tables.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

from doh3d.codec.container import parse
from doh3d.codec.entropy import code_length_bits
from doh3d.devices import resolve_device
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField
from doh3d.fitting.rate_control import encode
from doh3d.options import CompressOptions
from doh3d.signals.shape import prepare, shape_config
from doh3d.signals.shape_plan import plan_for_shape
from result_table import ResultTable, results_path

LATENTS = (200, 350, 600, 1100, 2000, 4000, 8000, 16_000, 40_000, 80_000)
COLUMNS = """
mesh preset latent levels width weights steps bytes bits_each iou seconds
""".split()  # noqa: SIM905
KEY = COLUMNS[:5]

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
    output = arguments.output or results_path("plan")
    table = ResultTable(output, COLUMNS, KEY, device="auto")
    for path in arguments.meshes:
        shape = prepare(path)
        variations = VARIATIONS[: 1 if arguments.plan_only else None]
        for (more, factor), latent in itertools.product(variations, LATENTS):
            plan = plan_for_shape(latent, flat_share=shape.flat_share)
            levels = plan.levels + more
            width = 4 * max(1, round(plan.architecture.width * factor / 4))
            values = (path.name, arguments.preset, latent, levels, width)
            key = dict(zip(KEY, values, strict=True))
            if levels < 0 or latent > arguments.largest or table.has(**key):
                continue
            started = time.perf_counter()
            own = shape_config(preset=arguments.preset, latent=latent, width=width, levels=levels)
            planned = shape.config(CompressOptions(preset=arguments.preset), latent)
            own = replace(own, steps=planned.steps, batch_size=planned.batch_size)
            own = shape.adapt(own, mirror=False)
            data = encode(shape, own, device=resolve_device("auto")).data
            seconds = time.perf_counter() - started
            field = OccupancyField(parse(data))
            group = field.code.latent
            bits = code_length_bits(group.values, group.model) / latent
            iou = field_iou(shape.reading, field, points=2**18).iou
            row = table.add(
                **key,
                weights=2**levels * own.architecture.weight_count,
                steps=own.steps,
                bytes=len(data),
                bits_each=f"{bits:.3f}",
                iou=f"{iou:.5f}",
                seconds=f"{seconds:.1f}",
            )
            print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
