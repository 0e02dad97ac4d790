"""How fast meshes are extracted from `.doh` files, against evaluating every node of the lattice.

    python scripts/measure_extraction.py --resolution 512 *.doh

The dense reference evaluates all points in chunks and runs marching cubes on all cells at once.
The fast path is timed before and after it, since machines are shared, and must give the same
faces. Seconds are the processor's with one thread, and the clock's with more. `--fast-only`
leaves the reference out and reports the peak of resident memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

import doh3d
from dense_extraction import dense_surface
from doh3d.geometry.lattice import Lattice, index_grid


def dense_values(field: doh3d.OccupancyField, lattice: Lattice) -> np.ndarray:
    values = np.empty(lattice.shape, dtype=np.float32)
    plane = index_grid(np.array([1, *lattice.shape[1:]]))
    for i in range(lattice.shape[0]):
        points = lattice.points(plane + [i, 0, 0])
        values[i] = field.normalized_logits(points).reshape(lattice.shape[1:])
    return values


def timed(function, *arguments):
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    result = function(*arguments)
    return result, clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fast-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    doh3d.load(arguments.files[0], "cpu").to_mesh(32)
    print("file\tfaces\tdense_s\tmarching_cubes_s\tfast_s\tratio\tsame_faces\tdeviation_cells")
    ratios = []
    for path in arguments.files:
        field = doh3d.load(path, "cpu")
        mesh, fast = timed(field.to_mesh, arguments.resolution)
        row = [path.stem, len(mesh.faces)]
        if arguments.fast_only:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            print(*row, "", "", f"{fast:.2f}", f"peak {peak:.0f} MB", sep="\t", flush=True)
            continue
        lattice = Lattice.over_box(field.code.half_extents, arguments.resolution)
        values, evaluation = timed(dense_values, field, lattice)
        (vertices, faces), cubes = timed(dense_surface, values)
        del values
        _, again = timed(field.to_mesh, arguments.resolution)
        fast = (fast + again) / 2
        ratios.append((evaluation + cubes) / fast)
        same = np.array_equal(faces, mesh.faces)
        found = (
            field.code.transform.to_normalized(mesh.vertices) - lattice.origin
        ) / lattice.spacing
        deviation = np.abs(found - vertices).max() if same else np.nan
        row += [f"{evaluation + cubes:.2f}", f"{cubes:.2f}", f"{fast:.2f}", f"{ratios[-1]:.1f}"]
        print(*row, same, f"{deviation:.1e}", sep="\t", flush=True)
    if ratios:
        print(f"mean ratio {np.mean(ratios):.1f}, least {min(ratios):.1f}")


if __name__ == "__main__":
    main()
