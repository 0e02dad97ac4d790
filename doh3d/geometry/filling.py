"""From a field to the voxels that are inside, evaluating only where bounds do not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.geometry.lattice import index_grid
from doh3d.geometry.voxels import FloatArray, VoxelLattice

Map: TypeAlias = Callable[[FloatArray], FloatArray]
Signs: TypeAlias = Callable[[FloatArray], npt.NDArray[np.int8]]
Inside: TypeAlias = Callable[[FloatArray], npt.NDArray[np.bool_]]

# Voxels looked at at a time: bounds the memory for their coordinates.
_VOXELS = 2**19


def fill_grid(
    lattice: VoxelLattice,
    half_extents: FloatArray,
    bounds: FloatArray,
    to_normalized: Map,
    proved: Signs,
    inside: Inside,
) -> npt.NDArray[np.bool_]:
    """Find the voxels that are inside, as evaluating every centre would.

    Parameters
    ----------
    lattice : VoxelLattice
    half_extents : (3,) float64
        Half sides of the domain box; beyond it everything is outside.
    bounds : (2, 3) float64
        Corners of a box around the domain, in the affine's units.
    to_normalized : callable
        From (N, 3) points in the affine's units to normalised coordinates.
    proved : callable
        Of (N, 3) normalised points within the domain: (N,) int8, 1 where bounds prove that they
        are inside, -1 outside, 0 where they tell nothing.
    inside : callable
        Evaluates (N, 3) points in the affine's units: (N,) bool.

    Returns
    -------
    (I, J, K) bool
    """
    filled = np.zeros(lattice.shape, dtype=np.bool_)
    low, high = _reach(lattice, bounds)
    if (low >= high).any():
        return filled
    sides = high - low
    rows = max(1, _VOXELS // int(sides[1] * sides[2]))
    columns = max(1, _VOXELS // int(sides[2]))
    for i in range(int(low[0]), int(high[0]), rows):
        # A plane of a very large grid is taken in parts as well.
        for j in range(int(low[1]), int(high[1]), columns if rows == 1 else int(sides[1])):
            first = np.array([i, j, low[2]])
            width = columns if rows == 1 else int(sides[1])
            last = np.minimum([i + rows, j + width, high[2]], high)
            index = index_grid(last - first) + first
            world = lattice.to_world(index)
            points = to_normalized(world)
            within = (np.abs(points) <= half_extents).all(axis=1)
            found = proved(points)
            found[~within] = -1
            open_ = np.flatnonzero(found == 0)
            values = found > 0
            if len(open_):
                values[open_] = inside(world[open_])
            x, y, z = (slice(a, b) for a, b in zip(first, last, strict=True))
            filled[x, y, z] = values.reshape(last - first)
    return filled


def _reach(
    lattice: VoxelLattice, bounds: FloatArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First voxel along each axis that may lie within bounds, and the first beyond."""
    corners = np.stack(np.meshgrid(*bounds.T, indexing="ij"), axis=-1).reshape(-1, 3)
    places = np.clip(lattice.to_index(corners), -1.0, np.array(lattice.shape, dtype=np.float64))
    low = np.maximum(np.floor(places.min(axis=0)).astype(np.int64), 0)
    high = np.minimum(np.ceil(places.max(axis=0)).astype(np.int64) + 1, lattice.shape)
    return low, high
