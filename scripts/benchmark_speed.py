"""How long encoding, decoding and their parts take and what memory, beside a reference each.

    taskset -c 0 python scripts/benchmark_speed.py --mesh MESH [--only projection,step] [--report]

Writes results/<version>/speed.tsv, a row a measurement, as it is measured; a second run goes on
where the first stopped. Then draws speed.png, how cost grows with the latent, the weights, the
points and the resolution, and prints the ratios. `--report` only draws and prints.

Seconds are the processor's, on one thread, the least of several calls, the codec and its reference
taking turns: machines are shared. Start-up is by the clock. Bytes are the largest resident memory
beyond what was there before the call. References are the straightforward ways:
scripts/reference_encoder.py and scripts/speed/references.py.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from pathlib import Path

import torch

from result_table import ResultTable, results_path
from speed import encoders, parts
from speed.figure import draw, report
from speed.parts import Values

COLUMNS = """
case size n weights seconds reference_seconds ratio bytes reference_bytes bytes_ratio note
""".split()  # noqa: SIM905
KEY = ("case", "size")


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


CASES: list[tuple[str, Callable[..., Values], list[object]]] = [
    ("time_to_iou", encoders.measure_time_to_iou, ["frozen", "fewest"]),
    ("step", parts.measure_step, ["n 4000, w 48", "n 4000, w 48, 2 threads"]),
    ("projection", parts.measure_projection, [10**3, 10**4, 10**5, 10**6]),
    ("dense", parts.measure_dense, ["n 16384, P 40000"]),
    ("fit_many", encoders.measure_fit_many, [512, 1024, 4096]),
    ("start", parts.measure_start, ["help", "info"]),
    ("decode", parts.measure_decode, [350, 1100, 4000, 16_000]),
    ("query", parts.measure_query, [10**4, 10**5, 10**6]),
    ("sampling", parts.measure_sampling, [10**4, 10**5, 10**6]),
    ("extraction", encoders.measure_extraction, [64, 128, 256, 512]),
]


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
