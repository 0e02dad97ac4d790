"""From a field to the voxels that are inside, evaluating only where bounds do not tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.geometry.lattice import Lattice, index_grid
from doh3d.geometry.search import COARSEST_BLOCK, LEAF_BLOCK, LatticeField
from doh3d.geometry.voxels import FloatArray, VoxelLattice

Map: TypeAlias = Callable[[FloatArray], FloatArray]
Inside: TypeAlias = Callable[[FloatArray], npt.NDArray[np.bool_]]

# Voxels looked at at a time: bounds the memory for their coordinates.
_VOXELS = 2**19

# Blocks bounded at a time.
_BLOCKS = 2**15

# By how much of a cell blocks begin before the domain: their faces should not meet the voxels of a
# lattice that is aligned with it.
_OFFSET = 0.3819660112501051

# A voxel so near to a block's face, in normalised coordinates, may be evaluated beyond it: float32
# rounds to a sixtieth of that. It counts as not proved.
_NEAR_FACE = 2.0**-18


def blocks_lattice(half_extents: FloatArray, spacing: float, most_cells: int) -> Lattice:
    """Lay a lattice over the domain whose blocks prove the signs of voxels.

    Parameters
    ----------
    half_extents : (3,) float64
        Half sides of the domain, in normalised coordinates.
    spacing : float
        About the distance of the voxels, in these.
    most_cells : int
        Along the longest side.
    """
    sides = 2 * half_extents
    cell = max(spacing, float(sides.max()) / most_cells)
    cell = min(cell, float(sides.max()) / LEAF_BLOCK)
    x, y, z = (np.ceil(sides / cell + _OFFSET).astype(int) + 1).tolist()
    return Lattice(-half_extents - _OFFSET * cell, cell, (x, y, z))


@dataclass(frozen=True)
class BlockSigns:
    """Which blocks of a domain are proved to be inside, or outside.

    Attributes
    ----------
    origin : (3,) float64
        Lowest corner of the first block, in normalised coordinates.
    side : float
        Of a block.
    signs : (x, y, z) int8
        1 inside, -1 outside, 0 not proved.
    """

    origin: FloatArray
    side: float
    signs: npt.NDArray[np.int8]

    @classmethod
    def of(cls, field: LatticeField, lattice: Lattice) -> BlockSigns:
        """Bound a field over the blocks of a lattice, from the coarsest to the smallest."""
        shape = -(-(np.asarray(lattice.shape) - 1) // LEAF_BLOCK)
        signs = np.zeros(shape, dtype=np.int8)
        size = COARSEST_BLOCK
        corners = index_grid(-(-(shape * LEAF_BLOCK) // size)) * size
        octants = index_grid(np.array([2, 2, 2]))
        while True:
            proved = np.concatenate([_proved(field, some, size) for some in _parts(corners)])
            leaves = size // LEAF_BLOCK
            for sign in (-1, 1):
                for i, j, k in corners[proved == sign] // LEAF_BLOCK:
                    signs[i : i + leaves, j : j + leaves, k : k + leaves] = sign
            corners = corners[proved == 0]
            if size == LEAF_BLOCK or not len(corners):
                return cls(lattice.origin, LEAF_BLOCK * lattice.spacing, signs)
            size //= 2
            corners = (corners[:, None, :] + size * octants).reshape(-1, 3)
            corners = corners[(corners < shape * LEAF_BLOCK).all(axis=1)]

    def at(self, points: FloatArray) -> npt.NDArray[np.int8]:
        """(N,) int8 signs at (N, 3) normalised points within the domain."""
        place = (points - self.origin) / self.side
        block = np.floor(place)
        depth = np.minimum(place - block, block + 1 - place)
        x, y, z = np.clip(block.astype(np.int64), 0, np.array(self.signs.shape) - 1).T
        near_face = (depth < _NEAR_FACE / self.side).any(axis=1)
        found: npt.NDArray[np.int8] = self.signs[x, y, z]
        found[near_face] = 0
        return found


def _parts(corners: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for first in range(0, max(1, len(corners)), _BLOCKS):
        yield corners[first : first + _BLOCKS]


def _proved(field: LatticeField, corners: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int8]:
    planes = field.planes(corners, size)
    with np.errstate(invalid="ignore", over="ignore"):
        positive, negative = planes[:, :, 0] - np.abs(planes[:, :, 1:]).sum(axis=2) > 0
    # Planes that overflowed are NaN, and prove nothing.
    signs: npt.NDArray[np.int8] = positive.astype(np.int8) - negative.astype(np.int8)
    return signs


def fill_grid(
    lattice: VoxelLattice,
    half_extents: FloatArray,
    bounds: FloatArray,
    to_normalized: Map,
    signs: BlockSigns,
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
    signs : BlockSigns
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
            found = signs.at(points)
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
