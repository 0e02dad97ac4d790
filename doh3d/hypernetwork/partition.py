"""Where one latent makes many small networks: cells of space, the leaves of a k-d tree. No torch.

`doh3d.hypernetwork.cells` tells points' cells, and where in them they are.

A wide network spends all its weights on every point, though most of them say nothing about the
part of the shape at hand. Cells with a small network each (as in KiloNeRF: Reiser et al., ICCV
2021) cost a point a fraction of that, so that a fit sees many times as many samples. Here their
weights all come from the one latent, whose bits thus go to the cells that need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.limits import MAX_LEVELS

# A cut's position is a multiple of this share of the cell that it divides.
CUT_STEPS = 64

# Cuts leave at least this share of a cell on either side.
_LEAST_SHARE = 0.125

# Lowest and highest corner of what cells divide.
Box = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Partition:
    """A box cut in two again and again: a complete k-d tree.

    Without any cut it is [-1, 1]^d, and a point's coordinates in its one cell are its own.

    Attributes
    ----------
    low, high : d floats
        The box's corners.
    cuts : tuple of (axis, position)
        Of the tree's inner nodes, level by level, 2^levels - 1 of them: the node's cell is cut
        across the axis at ``low + (high - low) * (position / 64)``, position 1 to 63, in double
        precision, rounded to float32. Children follow in order, the lower side first.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    cuts: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        """Check the tree's shape and every cut."""
        levels = (len(self.cuts) + 1).bit_length() - 1
        if len(self.cuts) != 2**levels - 1 or levels > MAX_LEVELS:
            raise ConfigError(
                f"the partition has {len(self.cuts)} cuts; it must have 2^levels - 1, of 0 to "
                f"{MAX_LEVELS} levels"
            )
        if not levels and {*self.low} | {-side for side in self.high} != {-1.0}:
            raise ConfigError(
                f"the partition has no cuts, and its box is {self.low} to {self.high}; it must be "
                "-1 to 1 along each axis"
            )
        for axis, position in self.cuts:
            if not 0 <= axis < self.dims:
                raise ConfigError(f"a cut's axis is {axis}; it must be 0 to {self.dims - 1}")
            if not 1 <= position < CUT_STEPS:
                raise ConfigError(f"a cut's position is {position}; it must be 1 to 63")
        # Cut at one end over and over, a cell can become thinner than float32 tells.
        low, high = self.corners
        thin = (low >= high).any(axis=1)
        if thin.any():
            raise ConfigError(f"cell {int(thin.argmax())} is too thin: its corners meet in float32")

    @classmethod
    def whole(cls, dims: int) -> Partition:
        """One cell, [-1, 1]^d."""
        return cls((-1.0,) * dims, (1.0,) * dims, ())

    @property
    def dims(self) -> int:
        """Axes of the space, d."""
        return len(self.low)

    @property
    def box(self) -> Box:
        """Lowest and highest corner."""
        return self.low, self.high

    @property
    def levels(self) -> int:
        """Cuts between the whole box and a cell."""
        return (len(self.cuts) + 1).bit_length() - 1

    @property
    def cells(self) -> int:
        """Number of cells, 2^levels."""
        return len(self.cuts) + 1

    @cached_property
    def corners(self) -> npt.NDArray[np.float32]:
        """(2, cells, d) float32: the cells' lowest and highest corners."""
        boxes = [(np.array(self.low), np.array(self.high))]
        for level in range(self.levels):
            first = 2**level - 1
            boxes = [
                half
                for box, cut in zip(boxes, self.cuts[first:], strict=False)
                for half in _halves(box, *cut)
            ]
        return np.array(boxes, dtype=np.float32).swapaxes(0, 1)

    @cached_property
    def centres(self) -> npt.NDArray[np.float32]:
        """(cells, d) float32."""
        low, high = self.corners.astype(np.float64)
        middle: npt.NDArray[np.float32] = ((low + high) / 2).astype(np.float32)
        return middle

    @cached_property
    def half_sides(self) -> npt.NDArray[np.float32]:
        """(cells, d) float32, above 0."""
        low, high = self.corners.astype(np.float64)
        half: npt.NDArray[np.float32] = ((high - low) / 2).astype(np.float32)
        return half

    @cached_property
    def thresholds(self) -> npt.NDArray[np.float32]:
        """(cuts,) float32: where each inner node's cut is on its axis."""
        found = []
        boxes = [(np.array(self.low), np.array(self.high))]
        for axis, position in self.cuts:
            box = boxes.pop(0)
            lower, upper = _halves(box, axis, position)
            found.append(lower[1][axis])
            boxes += [lower, upper]
        return np.array(found, dtype=np.float32)

    def reaches(self, band: float) -> npt.NDArray[np.float32]:
        """Tell how far the cells on either side of each inner node's cut reach over it.

        Parameters
        ----------
        band : float
            How far a cell reaches beyond its faces, in its half sides.

        Returns
        -------
        (2, cuts) float32
            The end of the lower side along the cut's axis, and the start of the upper; both are the
            thresholds without a band.
        """
        low, high = self.corners.astype(np.float64)
        reach = band * self.half_sides.astype(np.float64)
        ends, starts = [], []
        for node, (axis, _) in enumerate(self.cuts):
            level = (node + 1).bit_length() - 1
            half = self.cells >> (level + 1)
            middle = 2 * half * (node + 1 - 2**level) + half
            lower, upper = slice(middle - half, middle), slice(middle, middle + half)
            ends.append((high[lower, axis] + reach[lower, axis]).max())
            starts.append((low[upper, axis] - reach[upper, axis]).min())
        return np.array([ends, starts], dtype=np.float32)


def balanced_partition(
    low: Sequence[float],
    high: Sequence[float],
    points: npt.NDArray[np.floating] | None,
    levels: int,
) -> Partition:
    """Cut a box so that each cell holds about as many of the points.

    Each cell is cut across its longest side, near the points' median.

    Parameters
    ----------
    low, high : d floats
    points : (N, d), optional
        Cells are cut in the middle where there are none.
    levels : int
        1 to 6.
    """
    if points is None:
        points = np.empty((0, len(low)))
    cells = [(np.array(low, dtype=np.float64), np.array(high, dtype=np.float64), points)]
    cuts = []
    for _ in range(levels):
        halves = []
        for lowest, highest, inside in cells:
            axis = int(np.argmax(highest - lowest))
            share = 0.5
            if len(inside):
                share = (np.median(inside[:, axis]) - lowest[axis]) / (highest - lowest)[axis]
            share = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
            position = round(float(share) * CUT_STEPS)
            cuts.append((axis, position))
            lower, upper = _halves((lowest, highest), axis, position)
            below = inside[:, axis] < lower[1][axis]
            halves += [(*lower, inside[below]), (*upper, inside[~below])]
        cells = halves
    return Partition(tuple(low), tuple(high), tuple(cuts))


_Corners = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def _halves(box: _Corners, axis: int, position: int) -> tuple[_Corners, _Corners]:
    low, high = box
    cut = low[axis] + (high[axis] - low[axis]) * (position / CUT_STEPS)
    middle_high, middle_low = high.copy(), low.copy()
    middle_high[axis] = middle_low[axis] = cut
    return (low, middle_high), (middle_low, high)
