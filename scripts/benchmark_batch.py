"""What running many shapes costs beside the shapes: time, the driver's memory, files.

    python scripts/benchmark_batch.py [--engine local] [--workers 2] [--shapes 10000]
    python scripts/benchmark_batch.py --plan 1000000

Runs tasks that do nothing but return a row with a kilobyte of noise, through the same engine,
journal and parts as `doh3d batch`, then the same again, when all are found finished. Prints the
driver's resident memory on the way, the time a shape, and what lies on the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import os
import random
import tempfile
import time
from pathlib import Path

from doh3d.commands.engines import make_engine
from doh3d.dataset.batch import run_batch
from doh3d.dataset.engine import Failure
from doh3d.dataset.plan import Finished, Plan
from doh3d.dataset.progress import BatchProgress
from doh3d.dataset.rows import ShapeRow
from doh3d.dataset.shard import Shard
from doh3d.dataset.sources import Source, list_sources
from doh3d.dataset.tasks import Group, failed_row
from doh3d.options import CompressOptions

BYTES = 1000


@dataclasses.dataclass(frozen=True)
class NoTask:
    """Makes a row of noise that follows from the id."""

    options: CompressOptions

    def __call__(self, group: Group) -> tuple[ShapeRow, ...]:
        """Return the rows."""
        return tuple(self._row(source) for source in group)

    def _row(self, source: Source) -> ShapeRow:
        row = failed_row(source, self.options, Failure("internal", "none"))
        noise = random.Random(source.id).randbytes(BYTES)
        # Of the empty file that all sources are.
        digest = hashlib.sha256(b"").hexdigest()
        return dataclasses.replace(
            row,
            error=None,
            error_kind=None,
            doh=noise,
            bytes=BYTES,
            iou=0.5,
            iou_of="field",
            protocol="bbox",
            points=0,
            undecided=0.0,
            repair_difference=0.0,
            surface_chamfer_l1=0.0,
            seconds=0.0,
            source_sha256=digest,
            source_bytes=0,
        )


class Memory:
    """The driver's resident memory, in MB, whenever a tenth of the shapes is done."""

    def __init__(self, shapes: int) -> None:
        self.megabytes: list[float] = []
        self._every = max(1, shapes // 10)

    def watch(self, progress: BatchProgress, _row: ShapeRow | None) -> None:
        """Note it."""
        if progress.done % self._every == 0:
            self.megabytes.append(resident_megabytes())


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def plan_only(shapes: int) -> None:
    """Take up so many sources, and all but ten of them as finished, as a run does at first."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "list.csv"
        with manifest.open("w") as file:
            file.write("path,id\n")
            file.writelines(f"/collection/{n % 1000}/{n}.ply,shape {n}\n" for n in range(shapes))
        before, started = resident_megabytes(), time.perf_counter()
        with Plan() as plan:
            plan.add_sources(list_sources(str(manifest)), Shard())
            done = (Finished(f"shape {n}", "0" * 64, None) for n in range(shapes - 10))
            plan.add_finished(done)
            missing = sum(1 for _ in plan.missing())
            seconds = time.perf_counter() - started
            print(
                f"{plan.sources()} sources, {missing} of them missing: {seconds:.1f} s; driver's "
                f"memory in MB {before:.0f}, then {resident_megabytes():.0f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shapes", type=int, default=10_000)
    parser.add_argument("--plan", type=int, metavar="SHAPES", help="only list so many")
    arguments = parser.parse_args()
    if arguments.plan:
        plan_only(arguments.plan)
        return
    options = CompressOptions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty.ply").touch()
        with (folder / "list.csv").open("w") as file:
            file.write("path,id\n")
            file.writelines(f"empty.ply,shape {n}\n" for n in range(arguments.shapes))
        for run in ("compress", "resume"):
            memory = Memory(arguments.shapes)
            engine = make_engine(
                arguments.engine, workers=arguments.workers, retries=0, timeout=None
            )
            with contextlib.closing(engine):
                started = time.perf_counter()
                summary = run_batch(
                    str(folder / "list.csv"),
                    folder / "out",
                    NoTask(options),
                    options,
                    engine,
                    watch=memory.watch,
                )
                seconds = time.perf_counter() - started
            assert summary.shapes == arguments.shapes
            assert summary.failed == 0
            print(
                f"{run}: {arguments.engine}, {arguments.workers} workers, {summary.shapes} shapes: "
                f"{seconds:.1f} s, {1000 * seconds / summary.shapes:.3f} ms a shape, of which "
                f"{1000 * summary.progress.seconds / summary.shapes:.3f} ms in tasks and rows; "
                f"driver's memory in MB {' '.join(f'{m:.0f}' for m in memory.megabytes)}"
            )
        parts = list((folder / "out" / "shapes").iterdir())
        size = sum(part.stat().st_size for part in parts)
        print(
            f"{len(parts)} parts, {size / 1e6:.1f} MB, {size / arguments.shapes:.0f} bytes a shape "
            f"of which {BYTES} are the file"
        )


if __name__ == "__main__":
    main()
