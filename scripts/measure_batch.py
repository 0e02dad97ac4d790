"""Throughput of `doh3d batch`, whether its bytes are always the same, and what bad meshes do.

    python scripts/measure_batch.py [--shapes 200] [--meshes DIR] [--runs local:1,local:2]
        [--bad 0.1] [--options "--preset fast"] [--folder DIR]
    python scripts/measure_batch.py --shapes 24 --runs local:2,local:2:8
        --options "--preset fast --latent 200"

Makes a collection of generated variations, together with the meshes of a folder, and files that
are no meshes for a share of it; compresses it anew in each run, ENGINE:WORKERS or
ENGINE:WORKERS:K for `--batch-fit K`, and prints shapes a second and processor seconds a shape,
how they and their IoU compare with the first run's, the reasons of failures, and counts, those in
capitals being faults; exit status 1 where there is one. Shapes that are fitted together need not
have the bytes of the first run, but its mean IoU to 0.002.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

# What fitting together may cost: mean IoU below the first run's.
IOU_TOLERANCE = 0.002

EXTENSIONS = ("ply", "obj", "stl", "off")


def variation(number: int) -> trimesh.Trimesh:
    """Make a ball, torus, box or pair of bodies, stretched, with waves on its surface."""
    rng = np.random.default_rng(number)
    kind = number % 4
    if kind == 0:
        mesh = trimesh.creation.icosphere(subdivisions=5)
    elif kind == 1:
        mesh = trimesh.creation.torus(1.0, rng.uniform(0.2, 0.5), 96, 48)
    elif kind == 2:
        mesh = trimesh.creation.box(rng.uniform(0.5, 2, 3)).subdivide().subdivide().subdivide()
    else:
        bodies = [trimesh.creation.icosphere(subdivisions=4) for _ in range(2)]
        bodies[1].apply_scale(rng.uniform(0.3, 0.8))
        bodies[1].apply_translation((rng.uniform(2, 3), 0, 0))
        mesh = trimesh.util.concatenate(bodies)
    vertices = mesh.vertices * rng.uniform(0.6, 1.6, 3)
    wave = np.sin(vertices @ rng.normal(0, 3, (3, 3)) + rng.uniform(0, 6, 3))
    mesh.vertices = vertices + 0.04 * wave
    return mesh


def bad_mesh(number: int) -> bytes:
    """Make a file that is none: empty, cut, flat, of no numbers, or of another kind."""
    whole = trimesh.creation.icosphere(subdivisions=2).export(file_type="stl")
    return (
        b"",
        whole[: len(whole) // 2],
        trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]).export(file_type="stl"),
        b"solid nothing\nendsolid nothing\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    )[number % 5]


def make_collection(folder: Path, shapes: int, bad: float, meshes: Path | None) -> int:
    """Write the files; return how many are bad."""
    folder.mkdir()
    given = sorted(path for path in meshes.iterdir() if path.is_file()) if meshes else []
    for path in given[:shapes]:
        shutil.copy(path, folder)
    bad_count = round(bad * shapes)
    for number in range(shapes - len(given[:shapes])):
        if number < bad_count:
            (folder / f"bad{number:04}.stl").write_bytes(bad_mesh(number))
        else:
            extension = EXTENSIONS[number // 4 % len(EXTENSIONS)]
            variation(number).export(folder / f"shape{number:04}.{extension}")
    return bad_count


def children_seconds() -> float:
    """Return the processor time of all processes that were begun here: no other's load is in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclasses.dataclass(frozen=True)
class Run:
    """One run over the collection, and what it left."""

    name: str
    together: int
    status: int
    seconds: float
    processor_seconds: float
    rows: dict[str, dict[str, Any]]
    data: dict[str, bytes]
    failures: list[str]

    @classmethod
    def of(cls, name: str, collection: Path, folder: Path, options: list[str]) -> Run:
        """Run the command."""
        engine, workers, together = (*name.split(":"), "1")[:3]
        out = folder / f"out-{name.replace(':', '-')}"
        command = [sys.executable, "-m", "doh3d", "batch", str(collection), "-o", str(out)]
        command += ["--engine", engine, "--workers", workers, "--batch-fit", together, *options]
        started, spent = time.monotonic(), children_seconds()
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        seconds, spent = time.monotonic() - started, children_seconds() - spent
        import doh3d

        shapes = doh3d.ShapeSet(out)
        return cls(
            name=name,
            together=int(together),
            status=status,
            seconds=seconds,
            processor_seconds=spent,
            rows={shape.id: shape.row for shape in shapes},
            data={shape.id: shape.data for shape in shapes},
            failures=[failure.reason for failure in shapes.failures],
        )

    @property
    def rate(self) -> float:
        """Shapes a second."""
        return len(self.rows) / self.seconds

    def mean(self, column: str) -> float:
        """Mean of a column over the shapes."""
        return float(np.mean([row[column] for row in self.rows.values()]))

    def other_bytes(self, first: Run) -> int:
        """Count the shapes that the first run has made otherwise."""
        return sum(first.data.get(id_) != data for id_, data in self.data.items())

    def described(self, first: Run) -> str:
        """Everything in a few lines."""
        lines = [
            f"{self.name}: {len(self.rows)} shapes in {self.seconds:.1f} s, "
            f"{self.rate:.4f} shapes/s, {self.rate / first.rate:.2f} times the first run's; "
            f"{len(self.failures)} failed; mean {self.mean('bytes'):.0f} bytes, "
            f"IoU {self.mean('iou'):.4f}, "
            f"{self.mean('seconds'):.2f} + {self.mean('measure_seconds'):.2f} s a shape, "
            f"{first.mean('seconds') / self.mean('seconds'):.2f} times as fast compressed; "
            f"{self.processor_seconds / len(self.rows):.2f} processor seconds a shape, "
            f"{first.processor_seconds / self.processor_seconds:.2f} times as good"
        ]
        if self is not first and self.together > 1:
            both = self.rows.keys() & first.rows.keys()
            iou = np.array([self.rows[id_]["iou"] - first.rows[id_]["iou"] for id_ in both])
            size = np.array([self.rows[id_]["bytes"] / first.rows[id_]["bytes"] for id_ in both])
            lines.append(
                f"  fitted together: mean {self.mean('batch_fit'):.1f} shapes; IoU less the first "
                f"run's: mean {iou.mean():+.5f}, deviation {iou.std():.5f}, lowest "
                f"{iou.min():+.5f}, highest {iou.max():+.5f}; bytes {100 * (size.mean() - 1):+.2f}%"
            )
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, default=200)
    parser.add_argument("--meshes", type=Path)
    parser.add_argument("--runs", default="local:1,local:2")
    parser.add_argument("--bad", type=float, default=0.0)
    parser.add_argument("--options", default="--preset fast", help="of the command")
    parser.add_argument("--folder", type=Path, help="to keep collection and datasets in")
    arguments = parser.parse_args()
    faults: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        collection = folder / "collection"
        bad = make_collection(collection, arguments.shapes, arguments.bad, arguments.meshes)
        first: Run | None = None
        for name in arguments.runs.split(","):
            run = Run.of(name, collection, folder, shlex.split(arguments.options))
            first = first or run
            print(run.described(first), flush=True)
            faults["WRONG STATUS"] += run.status != (4 if bad else 0)
            faults["SHAPES MISSING"] += arguments.shapes - len(run.rows) - bad
            faults["NOT LISTED AS BAD"] += abs(len(run.failures) - bad)
            if run.together == first.together == 1:
                faults["OTHER BYTES"] += run.other_bytes(first)
            faults["WORSE"] += run.mean("iou") < first.mean("iou") - IOU_TOLERANCE
        for reason in run.failures:
            print(f"- {reason}")
    print(dict(faults), f"{os.cpu_count()} processors")
    sys.exit(any(faults.values()))


if __name__ == "__main__":
    main()
