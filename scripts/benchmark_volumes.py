"""Labels of scans as `.doh` files, beside lossless masks: docs/results.md has a table.

    python scripts/benchmark_volumes.py labels.nii.gz
    python scripts/benchmark_volumes.py labels.nii.gz --resample liver.doh

The first compresses every label with more than 500 voxels, a row each of
results/<version>/volumes.tsv; rows that are there already are not done again. The second compares
the file of one label with masks of it on coarser lattices, each brought back to the finest, and
with masks that the file decodes to on finer ones: rows of volumes-resampled.tsv, those of finer
lattices without Dice. Masks are packed, eight voxels a byte, and gzipped.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom

import doh3d
from doh3d.evaluation.volume import overlap
from doh3d.geometry.voxels import VoxelGrid, VoxelLattice
from doh3d.volumes.files import read_label_map
from result_table import ResultTable, results_path

KEY = ("file", "label", "max_bytes", "preset", "seed")
MEASURED = ("bytes", "dice", "iou", "hausdorff_95", "mean_surface_distance", "voxels")
COLUMNS = (*KEY, "name", "spacing", *MEASURED, "mask_bytes", "map_bytes", "seconds")
RESAMPLED_KEY = ("file", "label", "lattice", "side")
RESAMPLED = (*RESAMPLED_KEY, "name", "bytes", "dice", "mask_bytes", "mask_dice")

# Coarser lattices, as multiples of the finest spacing.
FACTORS = (1.0, 2.0, 3.0, 4.0, 6.0)

# Voxels that a file is decoded to at most.
_MOST_DECODED = 2**25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--max-bytes", type=int, nargs="+", default=[1000])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--labels", type=int, nargs="+", help="these only")
    parser.add_argument("--least-voxels", type=int, default=500)
    parser.add_argument("--resample", type=Path, metavar="FILE", help="a label's .doh file")
    options = parser.parse_args()
    if options.resample is not None:
        output = options.output or results_path("volumes-resampled")
        table = ResultTable(output, RESAMPLED, RESAMPLED_KEY)
        for path in options.files:
            for row in table.add_all(_resampled(path, options.resample)):
                print(*row.values(), sep="\t", flush=True)
        return
    table = ResultTable(options.output or results_path("volumes"), COLUMNS, KEY)
    for path in options.files:
        labels = options.labels or read_label_map(path).labels
        for label, size, seed in itertools.product(labels, options.max_bytes, options.seeds):
            values = path.name, label, size, options.preset, seed
            key = dict(zip(KEY, values, strict=True))
            if table.has(**key):
                continue
            found = _compressed(path, key, options.least_voxels)
            if found is not None:
                print(*table.add(**found).values(), sep="\t", flush=True)


def _compressed(path: Path, key: dict[str, Any], least_voxels: int) -> dict[str, Any] | None:
    grid = doh3d.load_volume(path, label=key["label"])
    if grid.count <= least_voxels:
        return None
    started = time.perf_counter()
    shape = doh3d.compress(
        grid, max_bytes=key["max_bytes"], preset=key["preset"], seed=key["seed"], device="cpu"
    )
    seconds = time.perf_counter() - started
    measured = doh3d.evaluate_volume(shape, grid).to_dict()
    row = key | {"name": grid.name, "spacing": " ".join(f"{s:g}" for s in grid.lattice.spacing)}
    for name in MEASURED:
        value = measured[name]
        row[name] = f"{value:.6g}" if isinstance(value, float) else value
    return row | {
        "mask_bytes": mask_bytes(grid.occupied),
        "map_bytes": path.stat().st_size,
        "seconds": f"{seconds:.1f}",
    }


def _resampled(path: Path, file: Path) -> list[dict[str, Any]]:
    """Compare one file with masks on coarser lattices, and what it decodes to on finer ones."""
    field = doh3d.load(file, "cpu")
    grid = doh3d.load_volume(path, default_label=field.code.extras.label)
    dice, _ = overlap(grid.occupied, field.to_grid(grid.lattice.shape, grid.lattice.matrix))
    known = {
        "file": path.name,
        "label": grid.label,
        "name": grid.name,
        "bytes": file.stat().st_size,
        "dice": f"{dice:.6f}",
    }
    rows = []
    finest = min(grid.lattice.spacing)
    for factor in FACTORS:
        # No axis becomes finer than it is.
        side = factor * finest
        steps = [max(1.0, side / spacing) for spacing in grid.lattice.spacing]
        coarse = _coarse(grid, steps)
        back = overlap(grid.occupied, _back(coarse, grid.occupied.shape))[0]
        found = {"mask_bytes": mask_bytes(coarse), "mask_dice": f"{back:.6f}"}
        rows.append({**known, "lattice": "coarser", "side": f"{side:g}", **found})
    for factor in (1, 2, 4):
        lattice = _over(field.bounds, finest / factor)
        if np.prod(lattice.shape) > _MOST_DECODED:
            break
        decoded = mask_bytes(field.to_grid(lattice.shape, lattice.matrix))
        side = f"{finest / factor:g}"
        rows.append({**known, "lattice": "decoded", "side": side, "mask_bytes": decoded})
    return rows


def _coarse(grid: VoxelGrid, steps: list[float]) -> npt.NDArray[np.bool_]:
    """Bring a grid to a coarser lattice: voxels at least half full are inside."""
    shape = [
        max(1, round(side / step)) for side, step in zip(grid.occupied.shape, steps, strict=True)
    ]
    # Means over the coarse voxels, axis by axis.
    values = grid.occupied.astype(np.float32)
    for axis, side in enumerate(shape):
        values = _means(values, axis, side)
    return values >= 0.5


def _means(values: npt.NDArray[np.float32], axis: int, side: int) -> npt.NDArray[np.float32]:
    sums = np.cumsum(values, axis=axis, dtype=np.float64)
    sums = np.concatenate([np.zeros_like(np.take(sums, [0], axis)), sums], axis=axis)
    ends = np.linspace(0, values.shape[axis], side + 1)
    low = np.minimum(np.floor(ends).astype(int), values.shape[axis] - 1)
    share = (ends - low).reshape([-1 if a == axis else 1 for a in range(3)])
    at = np.take(sums, low, axis) * (1 - share) + np.take(sums, low + 1, axis) * share
    width = values.shape[axis] / side
    return (np.diff(at, axis=axis) / width).astype(np.float32)


def _back(coarse: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Bring a mask to a finer lattice by linear interpolation at one half."""
    factors = [a / b for a, b in zip(shape, coarse.shape, strict=True)]
    values = zoom(coarse.astype(np.float32), factors, order=1, mode="grid-constant", grid_mode=True)
    return values > 0.5


def _over(bounds: npt.NDArray[np.float64], side: float) -> VoxelLattice:
    """Lay cubic voxels over a field's domain."""
    affine = np.diag([side, side, side, 1.0])
    affine[:3, 3] = bounds[0] + side / 2
    return VoxelLattice.of(tuple(np.ceil((bounds[1] - bounds[0]) / side).astype(int)), affine)


def mask_bytes(occupied: npt.NDArray[np.bool_]) -> int:
    """Bytes of a mask, eight voxels in each, gzipped."""
    return len(gzip.compress(np.packbits(occupied).tobytes(), 9))


if __name__ == "__main__":
    main()
