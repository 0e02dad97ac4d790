"""Compress every mesh of a folder with a preset, and measure what comes back.

    python scripts/measure_preset.py --meshes DIR [--preset default] [--output TABLE.tsv]

A row a mesh, written as it is measured; a second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import doh3d
from doh3d.evaluation.evaluate import evaluate
from result_table import ResultTable, results_path

COLUMNS = """
mesh preset bytes iou protocol points
surface_chamfer_l1 surface_f_score surface_normal_consistency
compress_s decode_s resolution source_bytes draco_bytes
""".split()  # noqa: SIM905
KEY = ("mesh", "preset")


def measure(mesh: Path, preset: str, folder: Path) -> dict[str, object]:
    started = time.perf_counter()
    shape = doh3d.compress(mesh, preset=preset)
    seconds = time.perf_counter() - started
    file = folder / f"{mesh.stem}.doh"
    shape.save(file)
    result = evaluate(file, mesh)
    return {
        "mesh": mesh.name,
        "preset": preset,
        "bytes": result.bytes,
        "iou": f"{result.iou:.5f}",
        "protocol": result.protocol,
        "points": result.points,
        "surface_chamfer_l1": f"{result.surface_chamfer_l1:.5f}",
        "surface_f_score": f"{result.surface_f_score:.4f}",
        "surface_normal_consistency": f"{result.surface_normal_consistency:.4f}",
        "compress_s": f"{seconds:.1f}",
        "decode_s": f"{result.seconds:.1f}",
        "resolution": result.resolution,
        "source_bytes": result.reference_bytes,
        "draco_bytes": result.draco_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or results_path(arguments.preset)
    table = ResultTable(output, COLUMNS, KEY, device="auto")
    with tempfile.TemporaryDirectory() as folder:
        for mesh in sorted(arguments.meshes.iterdir()):
            if mesh.is_file() and not table.has(mesh=mesh.name, preset=arguments.preset):
                row = table.add(**measure(mesh, arguments.preset, Path(folder)))
                print(*(row[key] for key in ("mesh", "bytes", "iou", "compress_s")), flush=True)


if __name__ == "__main__":
    main()
