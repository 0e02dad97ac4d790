"""Compare meshes by marching cubes and by "dual", with as many triangles, against the original.

usage: python scripts/measure_dual.py MESH=FILE.doh ...

A row for each file and resolution, tab-separated: bytes, resolution, triangles, normal consistency
and Chamfer-L1 (longest side 2) of either by 20,000 samples a side, and whether "dual" is closed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import doh3d
from doh3d.evaluation.surface import surface_metrics

RESOLUTIONS = (32, 64, 128)
SAMPLES = 20_000


def main() -> None:
    print("mesh\tbytes\tresolution\ttriangles\tnormals\tdual\tchamfer\tdual\tclosed")
    for pair in sys.argv[1:]:
        mesh, _, file = pair.partition("=")
        reference, field = doh3d.load_mesh(mesh), doh3d.load(file)
        for resolution in RESOLUTIONS:
            plain = field.to_mesh(resolution)
            dual = field.to_mesh(resolution, method="dual")
            found = [surface_metrics(reference, each, samples=SAMPLES) for each in (plain, dual)]
            numbers = [f"{each.normal_consistency:.4f}" for each in found]
            numbers += [f"{each.chamfer_l1:.5f}" for each in found]
            size = Path(file).stat().st_size
            row = [Path(mesh).name, size, resolution, len(plain.faces), *numbers]
            print(*row, dual.is_watertight, sep="\t", flush=True)


if __name__ == "__main__":
    main()
