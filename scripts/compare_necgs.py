"""The codec beside NeCGS's published figures, at the bytes that a shape takes there.

    python scripts/compare_necgs.py --meshes DIR [--preset default] [--only spot] [--report]

NeCGS (Ren et al., ICCV 2025, arXiv 2405.15034) compresses sets of hundreds of shapes with one
decoder, which is counted in the bytes. Each mesh is compressed to these numbers of bytes, extracted
and measured as `doh3d eval --surface necgs` does: longest side 2, means over 100,000 samples a
side. Writes results/<version>/necgs.tsv, a row a file, as it is measured; a second run goes on
where the first stopped. Then prints the means beside the published ones, which are of other shapes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import doh3d
from peers.published import published_rows
from result_table import ResultTable, Row, results_path

METRICS = ("chamfer", "normal_consistency", "f_score_0.005", "f_score_0.01")
COLUMNS = [
    *("mesh", "preset", "target_bytes", "bytes", "resolution", "iou"),
    *METRICS,
    *(f"floor_{name}" for name in METRICS),
    "seconds",
]
KEY = ("mesh", "preset", "target_bytes")
RESOLUTION = 256
SEED = 0


def measure(path: Path, size: int, preset: str, table: ResultTable) -> None:
    """Compress one mesh to one size and add the row."""
    started = time.perf_counter()
    compressed = doh3d.compress(path, max_bytes=size, preset=preset, seed=SEED)
    seconds = time.perf_counter() - started
    found = doh3d.evaluate(compressed, path, resolution=RESOLUTION, surface="necgs")
    sampled = found.point_to_point
    assert sampled is not None
    values = {}
    for prefix, metrics in (("", sampled), ("floor_", sampled.floor)):
        kept = metrics.to_dict()
        kept["chamfer"] = metrics.chamfer_l1
        values |= {prefix + name: f"{kept[name]:.6f}" for name in METRICS}
    row = table.add(
        mesh=path.stem,
        preset=preset,
        seed=SEED,
        target_bytes=size,
        bytes=len(compressed.data),
        resolution=RESOLUTION,
        iou=f"{found.iou:.6f}",
        seconds=f"{seconds:.1f}",
        **values,
    )
    print(*(row[column] for column in COLUMNS[:10]), f"{row['seconds']} s", flush=True)


def report(rows: list[Row]) -> Iterator[str]:
    """Give a line for each published set, and two for our meshes at the same bytes."""
    yield "\t".join(["codec", "shapes", "bytes", *METRICS])
    for published in published_rows("necgs"):
        size = published["bytes_a_shape"]
        figures = [published[name] or "-" for name in METRICS]
        yield "\t".join([f"NeCGS, {published['set']}", published["shapes"], size, *figures])
        own = [row for row in rows if row["target_bytes"] == size]
        if own:
            mean_bytes = np.mean([int(row["bytes"]) for row in own])
            yield "\t".join(["doh3d", str(len(own)), f"{mean_bytes:.0f}", *means(own, "")])
            yield "\t".join(["floor of these meshes", str(len(own)), "-", *means(own, "floor_")])


def means(rows: list[Row], prefix: str) -> list[str]:
    """Mean of each metric over the rows."""
    return [f"{np.mean([float(row[prefix + name]) for row in rows]):.5f}" for name in METRICS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--only", help="names of meshes, with commas")
    parser.add_argument("--report", action="store_true", help="only print what is measured")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or results_path("necgs")
    table = ResultTable(output, COLUMNS, KEY, device="auto")
    sizes = sorted({int(row["bytes_a_shape"]) for row in published_rows("necgs")})
    meshes = sorted(path for path in arguments.meshes.iterdir() if path.is_file())
    if arguments.only:
        meshes = [path for path in meshes if path.stem in arguments.only.split(",")]
    for path in [] if arguments.report else meshes:
        for size in sizes:
            key = {"mesh": path.stem, "preset": arguments.preset, "target_bytes": size}
            if not table.has(**key):
                measure(path, size, arguments.preset, table)
    rows = [row for row in table.rows() if row["preset"] == arguments.preset]
    print(*report(rows), sep="\n")


if __name__ == "__main__":
    main()
