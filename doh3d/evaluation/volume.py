"""A field against the occupancy grid that it was made from, at the voxels' centres."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import doh3d
from doh3d.errors import ConfigError
from doh3d.evaluation.inputs import Compressed, size_of
from doh3d.geometry.voxels import FloatArray, VoxelGrid, VoxelLattice
from doh3d.limits import DEFAULT_LIMITS, Limits
from doh3d.volumes.files import load_volume, volume_ending

# A field, in a file or in memory, or another grid; and what it is measured against.
VolumeInput: TypeAlias = "str | Path | Compressed | doh3d.OccupancyField | VoxelGrid"
GridInput: TypeAlias = "str | Path | VoxelGrid | npt.NDArray[Any]"


@dataclass(frozen=True)
class VolumeEvaluation:
    """How well a field reproduces a grid, at the centres of its voxels.

    Attributes
    ----------
    bytes : int or None
        Size of the evaluated file; None where there is none.
    dice : float
        Twice the voxels inside both, for one inside either: ``2 |A and B| / (|A| + |B|)``.
    iou : float
        ``|A and B| / |A or B|``.
    hausdorff_95 : float
        95% Hausdorff distance: of each side's boundary voxels, those inside that have one of six
        neighbours outside, the 95th percentile of the distances to the other side's, centre to
        centre; the larger of the two. In the affine's units; infinite where nothing came back.
    mean_surface_distance : float
        The mean of all these distances, of both sides.
    volume, reference_volume : float
        Of the voxels inside, in the affine's units.
    voxels : int
        Of the reference that are inside.
    shape : three integers
    spacing : three floats
        Of the reference's lattice.
    label : int or None
        Of the reference.
    seconds : float
        What decoding took.
    reference_bytes : int or None
        Size of the reference's file.
    ratio : float or None
        reference_bytes / bytes. A label map's file has all of its labels.
    """

    bytes: int | None
    dice: float
    iou: float
    hausdorff_95: float
    mean_surface_distance: float
    volume: float
    reference_volume: float
    voxels: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    label: int | None
    seconds: float
    reference_bytes: int | None
    ratio: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as a JSON object; infinite distances become None."""
        values = asdict(self) | {"shape": list(self.shape), "spacing": list(self.spacing)}
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }


def evaluate_volume(
    shape: VolumeInput,
    reference: GridInput,
    *,
    label: int | None = None,
    threshold: float | None = None,
    device: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
) -> VolumeEvaluation:
    """Measure a field against an occupancy grid.

    Parameters
    ----------
    shape : path, CompressedShape, OccupancyField or VoxelGrid
        A `.doh` file, what `compress` made or a field; or a grid on the reference's lattice, in a
        file (read as the reference is) or in memory.
    reference : path, VoxelGrid or array
        The grid.
    label : int, optional
        Of a label map. The number that the `.doh` file says it is, unless given.
    threshold : float, optional
        See `doh3d.load_volume`.
    limits : Limits
        What is taken from a `.doh` file.

    Raises
    ------
    VolumeError, FormatError, ConfigError
        If either cannot be read or is none, or their lattices differ.
    """
    started = time.perf_counter()
    other = _opened(shape, label, threshold, device, limits)
    opened = time.perf_counter() - started
    own_label = other.label if isinstance(other, VoxelGrid) else other.code.extras.label
    grid = _grid(reference, label, threshold, own_label)
    started = time.perf_counter()
    found = _occupied(other, grid.lattice)
    seconds = opened + time.perf_counter() - started
    dice, iou = overlap(grid.occupied, found)
    distances = boundary_distances(grid.occupied, found, grid.lattice)
    size, reference_bytes = size_of(shape), size_of(reference)
    known = size is not None and reference_bytes is not None
    return VolumeEvaluation(
        bytes=size,
        dice=dice,
        iou=iou,
        hausdorff_95=max(_percentile_95(each) for each in distances),
        mean_surface_distance=float(np.concatenate(distances).mean()),
        volume=int(np.count_nonzero(found)) * grid.lattice.voxel_volume,
        reference_volume=grid.volume,
        voxels=grid.count,
        shape=grid.lattice.shape,
        spacing=grid.lattice.spacing,
        label=grid.label,
        seconds=seconds,
        reference_bytes=reference_bytes,
        ratio=reference_bytes / size if known and size and reference_bytes else None,
    )


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Dice and IoU of two grids; 0 where nothing is in either."""
    both = int(np.count_nonzero(one & other))
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return (2 * both / total, both / (total - both)) if total else (0.0, 0.0)


def boundary_distances(
    one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], lattice: VoxelLattice
) -> tuple[FloatArray, FloatArray]:
    """Distances of each grid's boundary voxels to the nearest of the other's.

    Infinite, one for each, where either has none.
    """
    from scipy.spatial import cKDTree

    points = [lattice.to_world(np.argwhere(_boundary(each))) for each in (one, other)]
    if not len(points[0]) or not len(points[1]):
        return np.array([np.inf]), np.array([np.inf])
    trees = [cKDTree(each) for each in points]
    return trees[1].query(points[0])[0], trees[0].query(points[1])[0]


def _percentile_95(distances: FloatArray) -> float:
    # Between two infinities numpy finds no number.
    return float(np.percentile(distances, 95)) if np.isfinite(distances).all() else math.inf


def _boundary(occupied: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Voxels inside that have one of their six neighbours outside; beyond the grid is outside."""
    inner = occupied.copy()
    for axis in range(3):
        cells = np.moveaxis(inner, axis, 0)
        given = np.moveaxis(occupied, axis, 0)
        cells[1:] &= given[:-1]
        cells[:-1] &= given[1:]
        cells[0] = cells[-1] = False
    return occupied & ~inner


def _opened(
    shape: VolumeInput, label: int | None, threshold: float | None, device: str, limits: Limits
) -> doh3d.OccupancyField | VoxelGrid:
    if isinstance(shape, VoxelGrid):
        return shape
    if isinstance(shape, str | Path):
        if volume_ending(shape):
            return load_volume(shape, label=label, threshold=threshold)
        from doh3d.field import load

        return load(shape, device, limits=limits)
    field: Any = shape.field(device) if isinstance(shape, Compressed) else shape
    if not hasattr(field, "to_grid"):
        kind = type(shape).__name__
        raise ConfigError(f"shape is of type {kind}; a .doh file, a field or a grid is needed")
    opened: doh3d.OccupancyField = field
    return opened


def _occupied(
    other: doh3d.OccupancyField | VoxelGrid, lattice: VoxelLattice
) -> npt.NDArray[np.bool_]:
    if not isinstance(other, VoxelGrid):
        return other.to_grid(lattice.shape, lattice.matrix)
    if other.lattice != lattice:
        raise ConfigError("the two grids lie on different lattices; resample one of them")
    return other.occupied


def _grid(
    reference: GridInput, label: int | None, threshold: float | None, own_label: int | None
) -> VoxelGrid:
    if isinstance(reference, VoxelGrid):
        return reference
    if isinstance(reference, str | Path):
        return load_volume(reference, label=label, threshold=threshold, default_label=own_label)
    return VoxelGrid.of(reference)
