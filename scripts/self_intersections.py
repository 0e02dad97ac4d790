"""Count how often meshes pass through themselves, extracted by marching cubes and by "dual".

    python scripts/self_intersections.py FILE.doh ... [--resolution 32 64 128]

A line for each file and resolution: triangles, and pairs of them that cross by either method. CGAL
decides in exact arithmetic, by way of libigl; neighbours count where one folds over the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import trimesh

import doh3d


def crossings(mesh: trimesh.Trimesh) -> int:
    """Pairs of triangles that have more in common than vertices and edges."""
    from igl.copyleft.cgal import remesh_self_intersections

    vertices, faces = np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)
    return len(remesh_self_intersections(vertices, faces, detect_only=True)[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.doh")
    parser.add_argument("--resolution", type=int, nargs="+", default=[32, 64, 128])
    arguments = parser.parse_args()
    print("file", "resolution", "triangles", "marching_cubes", "dual", sep="\t")
    for file in arguments.files:
        field = doh3d.load(file, "cpu")
        for resolution in arguments.resolution:
            plain, dual = field.to_mesh(resolution), field.to_mesh(resolution, method="dual")
            counts = crossings(plain), crossings(dual)
            print(file.name, resolution, len(plain.faces), *counts, sep="\t", flush=True)


if __name__ == "__main__":
    main()
