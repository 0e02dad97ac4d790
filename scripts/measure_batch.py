"""Throughput of `doh3d batch`, whether its bytes are always the same, and what bad meshes do.

    python scripts/measure_batch.py [--shapes 200] [--meshes DIR] [--runs local:1,local:2]
        [--bad 0.1] [--options "--preset fast"] [--folder DIR]

Makes a collection of generated variations, together with the meshes of a folder, and files that
are no meshes for a share of it; compresses it anew in each run, ENGINE:WORKERS, and prints shapes
a second, how they compare with the first run's, the reasons of failures, and counts, those in
capitals being faults; exit status 1 where there is one.
"""

from __future__ import annotations

import argparse
import collections
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import trimesh

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
        first_rows, first_rate = None, None
        for run in arguments.runs.split(","):
            engine, _, workers = run.partition(":")
            out = folder / f"out-{engine}-{workers}"
            command = [sys.executable, "-m", "doh3d", "batch", str(collection), "-o", str(out)]
            command += ["--engine", engine, "--workers", workers, *shlex.split(arguments.options)]
            started = time.monotonic()
            status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
            seconds = time.monotonic() - started
            import doh3d

            shapes = doh3d.ShapeSet(out)
            rows = {shape.id: shape.data for shape in shapes}
            rate = len(rows) / seconds
            first_rows, first_rate = first_rows or rows, first_rate or rate
            print(
                f"{run}: {len(rows)} shapes in {seconds:.1f} s, {rate:.4f} shapes/s, "
                f"{rate / first_rate:.2f} times the first run's; {len(shapes.failures)} failed; "
                f"mean {np.mean([len(data) for data in rows.values()]):.0f} bytes, "
                f"IoU {np.mean([shape.row['iou'] for shape in shapes]):.4f}, "
                f"{np.mean([shape.row['seconds'] for shape in shapes]):.2f} + "
                f"{np.mean([shape.row['measure_seconds'] for shape in shapes]):.2f} s a shape",
                flush=True,
            )
            faults["WRONG STATUS"] += status != (4 if bad else 0)
            faults["SHAPES MISSING"] += arguments.shapes - len(rows) - bad
            faults["NOT LISTED AS BAD"] += abs(len(shapes.failures) - bad)
            faults["OTHER BYTES"] += sum(first_rows.get(id_) != data for id_, data in rows.items())
        for failure in shapes.failures:
            print(f"- {failure.reason}")
    print(dict(faults), f"{os.cpu_count()} processors")
    sys.exit(any(faults.values()))


if __name__ == "__main__":
    main()
