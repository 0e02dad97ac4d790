"""Compare meshes by marching cubes and by "dual", with as many triangles, against the original.

    python scripts/measure_dual.py MESH=FILE.doh ... [--output results/<version>/dual.tsv]

A row for each file and resolution: bytes, triangles, normal consistency and Chamfer-L1 (longest
side 2) of either by 20,000 samples a side, and whether "dual" is closed. A second run goes on where
the first stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import doh3d
from doh3d.evaluation.surface import surface_metrics
from result_table import ResultTable, results_path

RESOLUTIONS = (32, 64, 128)
SAMPLES = 20_000
KEY = ("mesh", "file", "resolution")
COLUMNS = """
mesh file bytes resolution triangles normals dual_normals chamfer dual_chamfer closed
""".split()  # noqa: SIM905


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", metavar="MESH=FILE.doh")
    parser.add_argument("--output", type=Path, default=results_path("dual"))
    arguments = parser.parse_args()
    table = ResultTable(arguments.output, COLUMNS, KEY)
    for pair in arguments.pairs:
        mesh, _, file = pair.partition("=")
        reference, field = doh3d.load_mesh(mesh), doh3d.load(file, "cpu")
        for resolution in RESOLUTIONS:
            values = Path(mesh).name, Path(file).stem, resolution
            key = dict(zip(KEY, values, strict=True))
            if table.has(**key):
                continue
            plain = field.to_mesh(resolution)
            dual = field.to_mesh(resolution, method="dual")
            ours, sharp = (surface_metrics(reference, m, samples=SAMPLES) for m in (plain, dual))
            row = table.add(
                **key,
                bytes=Path(file).stat().st_size,
                triangles=len(plain.faces),
                normals=f"{ours.normal_consistency:.4f}",
                dual_normals=f"{sharp.normal_consistency:.4f}",
                chamfer=f"{ours.chamfer_l1:.5f}",
                dual_chamfer=f"{sharp.chamfer_l1:.5f}",
                closed=dual.is_watertight,
            )
            print(*row.values(), sep="\t", flush=True)


if __name__ == "__main__":
    main()
