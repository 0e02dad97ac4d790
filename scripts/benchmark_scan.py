"""Scans of many triangles, thinned while they are read: time, memory and what it costs.

    python scripts/benchmark_scan.py MESH [--millions 10] [--format ply|stl] [--preset fast]
        [--max-bytes 1200] [--folder /tmp]

The mesh is subdivided until it has at least so many triangles, every vertex is moved at random by
1e-5 of the longest side, and the result is written to a file. That file and the mesh itself are
compressed, each in a process of its own; the seconds and the largest resident size (of Linux) of
each are told, and the IoU of both files against the scan's own triangles on 2^18 stratified points.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import trimesh

import doh3d
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.geometry.reading import read_shape

NOISE = 1e-5
POINTS = 2**18

COMPRESS = """
import pathlib, re, sys, time
from doh3d.geometry.formats import read_mesh
from doh3d.geometry.mesh import repair_mesh
from doh3d.geometry.reading import Reading
from doh3d.signals.shape import prepare
import doh3d
mesh, output, size, preset = sys.argv[1:]
times = [time.perf_counter()]
raw = read_mesh(pathlib.Path(mesh))
times.append(time.perf_counter())
shape = prepare(Reading(raw, repair_mesh(raw, mesh)))
times.append(time.perf_counter())
doh3d.compress(shape, max_bytes=int(size), preset=preset, device="cpu").save(output)
times.append(time.perf_counter())
read, prepared, fitted = (after - before for before, after in zip(times, times[1:]))
# What getrusage tells begins with the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 2**20
print(*raw.notes, f"{len(shape.mesh.faces)} triangles; read in {read:.1f} s, repaired and framed "
      f"in {prepared:.1f} s, fitted in {fitted:.1f} s, {peak:.2f} GB at most", sep="\\n  ")
"""


def scan(mesh, millions):
    """Subdivide the triangles of a mesh, and add noise."""
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    while len(faces) < millions * 1e6:
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)
    generator = np.random.default_rng(0)
    longest = np.ptp(vertices, axis=0).max()
    vertices = vertices + generator.uniform(-NOISE, NOISE, vertices.shape) * longest
    return vertices.astype(np.float32), faces.astype(np.int32)


def write(path, vertices, faces):
    """Write binary PLY or STL, by the path's ending."""
    with path.open("wb") as file:
        if path.suffix == ".stl":
            row = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
            file.write(bytes(80) + len(faces).to_bytes(4, "little"))
            for start in range(0, len(faces), 1 << 20):
                rows = np.zeros(len(faces[start : start + (1 << 20)]), row)
                rows["corners"] = vertices[faces[start : start + (1 << 20)]]
                rows.tofile(file)
            return
        file.write(
            b"ply\nformat binary_little_endian 1.0\nelement vertex %d\nproperty float x\n"
            b"property float y\nproperty float z\nelement face %d\n"
            b"property list uchar int vertex_indices\nend_header\n" % (len(vertices), len(faces))
        )
        vertices.tofile(file)
        rows = np.zeros(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
        rows["count"], rows["corners"] = 3, faces
        rows.tofile(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path)
    parser.add_argument("--millions", type=float, default=10)
    parser.add_argument("--format", choices=["ply", "stl"], default="ply")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--max-bytes", type=int, default=1200)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    arguments = parser.parse_args()
    mesh = read_shape(arguments.mesh).mesh
    many = arguments.folder / f"{arguments.mesh.stem}_scan.{arguments.format}"
    vertices, faces = scan(mesh, arguments.millions)
    write(many, vertices, faces)
    print(f"{many}: {len(faces)} triangles, {many.stat().st_size / 1e6:.0f} MB", flush=True)
    files = []
    for path in (arguments.mesh, many):
        files.append(arguments.folder / f"{path.stem}.doh")
        command = [sys.executable, "-c", COMPRESS, str(path), str(files[-1])]
        command += [str(arguments.max_bytes), arguments.preset]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        print(path.name, told.stdout.strip(), told.stderr.strip()[-400:], sep="\n  ", flush=True)
    started = time.perf_counter()
    whole = trimesh.Trimesh(vertices.astype(np.float64), faces, process=False, validate=False)
    judge = LabelledPoints.of(whole, doh3d.load(files[0]).bounds, points=POINTS)
    for file in files:
        iou = judge.iou(doh3d.load(file, "cpu")).iou
        print(f"{file.name}: {file.stat().st_size} bytes, IoU {iou:.5f} against the scan")
    print(f"judged in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
