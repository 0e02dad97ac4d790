"""Where the surface can be: cells whose logit's sign is not proved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from doh3d.geometry.lattice import index_grid

# Cells along a side of the coarsest and of the smallest blocks. Smaller leaves evaluate fewer
# nodes but bound more blocks.
COARSEST_BLOCK = 64
LEAF_BLOCK = 4

# Leaves whose nodes are looked at at a time: bounds the memory for their planes' values.
_LEAVES = 2**13


class LatticeField(Protocol):
    """A field on the nodes of a lattice as extraction sees it: values, and proofs of their sign.

    Attributes
    ----------
    shape : three integers
        Nodes along each axis.
    """

    shape: tuple[int, int, int]

    def logits(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(N,) float32 values of (N, 3) nodes; positive inside."""

    def planes(self, corners: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float32]:
        """Bound the logit over blocks of cells.

        Parameters
        ----------
        corners : (B, 3) int64
            The blocks' lowest nodes, multiples of `size`.
        size : int
            Cells along a block's side. Blocks may reach beyond the lattice.

        Returns
        -------
        (2, B, 4) float32
            Planes p below the logit, and below the negated logit, as `logits` evaluates it at
            the block's nodes: ``p[0] + p[1:] . t``, t in [-1, 1]^3 from the lowest node to the
            highest. The outermost nodes of the lattice may be lower than that.
        """


@dataclass(frozen=True)
class OpenCells:
    """Cells that the surface may cross, by leaf.

    Attributes
    ----------
    corners : (M, 3) int64
        The leaves' lowest nodes.
    cells : (M, LEAF_BLOCK, LEAF_BLOCK, LEAF_BLOCK) bool
        Whether a cell is open.
    """

    corners: npt.NDArray[np.int64]
    cells: npt.NDArray[np.bool_]


def open_cells(field: LatticeField) -> Iterator[tuple[int, OpenCells]]:
    """Search layer after layer of the coarsest blocks along the first axis.

    Every cell that the surface crosses, closed at the lattice's outermost nodes, is among the
    open ones.

    Yields
    ------
    first : int
        The layer's first node along the first axis; layers are COARSEST_BLOCK cells thick.
    open : OpenCells
        Not sorted.
    """
    blocks = -(-_cells(field) // COARSEST_BLOCK)
    for layer in range(blocks[0]):
        corners = index_grid(np.array([1, blocks[1], blocks[2]])) + np.array([layer, 0, 0])
        yield layer * COARSEST_BLOCK, _search(field, corners * COARSEST_BLOCK)


def _search(field: LatticeField, corners: npt.NDArray[np.int64]) -> OpenCells:
    """Split the coarsest blocks at these corners down to leaves, dropping what is proved."""
    size = COARSEST_BLOCK
    while size > LEAF_BLOCK:
        corners = _open_children(field, corners, size)
        size //= 2
    parts = [
        _open_leaves(field, corners[first : first + _LEAVES])
        for first in range(0, max(1, len(corners)), _LEAVES)
    ]
    return OpenCells(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.cells for part in parts]),
    )


def _open_children(
    field: LatticeField, corners: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int64]:
    """Corners of the octants of blocks on which the blocks' planes do not prove the sign."""
    octants = index_grid(np.array([2, 2, 2]))
    sides = (2 * octants - 1).astype(np.float32)
    planes = field.planes(corners, size)
    # Not as matrix products: BLAS's threads would wait actively for more.
    with np.errstate(invalid="ignore", over="ignore"):
        halves = planes[:, :, 1:] * np.float32(0.5)
        lowest = (planes[:, :, 0] - np.abs(halves).sum(axis=2))[:, :, None]
        for axis in range(3):
            lowest = lowest + halves[:, :, axis, None] * sides[:, axis]
    # Planes that overflowed are NaN, and prove nothing.
    positive, negative = lowest > 0
    # The surface is closed at the box: a positive block there has crossed cells.
    size //= 2
    children = corners[:, None, :] + size * octants
    open_ = ~negative
    inner = np.ones_like(positive)
    for axis, cells in enumerate(_cells(field)):
        first = children[:, :, axis]
        open_ &= first < cells
        inner &= (first > 0) & (first + size < cells)
    open_ &= ~(positive & inner)
    found: npt.NDArray[np.int64] = children[open_]
    return found


def _open_leaves(field: LatticeField, corners: npt.NDArray[np.int64]) -> OpenCells:
    at = np.linspace(-1, 1, LEAF_BLOCK + 1, dtype=np.float32)[:, None]
    # Leaves come last from here on, so that inner loops are long.
    planes = np.moveaxis(field.planes(corners, LEAF_BLOCK), 2, 1)
    with np.errstate(invalid="ignore", over="ignore"):
        positive, negative = (
            (offset + x * at)[:, None, None] + (y * at)[:, None] > -(z * at)
            for offset, x, y, z in planes
        )
    last = (_cells(field) - corners).T
    for axis in range(3):
        # Here too: at the box only what is outside is proved to be without a surface.
        by_node = np.moveaxis(positive, axis, 0)
        by_node[0, ..., corners[:, axis] == 0] = False
        at_end = np.flatnonzero(last[axis] <= LEAF_BLOCK)
        by_node[last[axis, at_end], ..., at_end] = False
    proved = _all_corners(positive)
    proved |= _all_corners(negative)
    for axis in range(3):
        beyond = np.flatnonzero(last[axis] < LEAF_BLOCK)
        by_cell = np.moveaxis(proved, axis, 0)
        for cell in range(1, LEAF_BLOCK):
            by_cell[cell, ..., beyond[last[axis, beyond] <= cell]] = True
    some = np.flatnonzero(
        ~np.logical_and.reduce(proved.reshape(LEAF_BLOCK**3, len(corners)), axis=0)
    )
    return OpenCells(corners[some], ~np.moveaxis(proved[..., some], 3, 0))


def _cells(field: LatticeField) -> npt.NDArray[np.int64]:
    """(3,) cells along each axis."""
    return np.asarray(field.shape, dtype=np.int64) - 1


def _all_corners(nodes: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(n, n, n, M) cells all of whose corners are set in (n + 1, n + 1, n + 1, M) nodes."""
    nodes = nodes[:-1] & nodes[1:]
    nodes = nodes[:, :-1] & nodes[:, 1:]
    return nodes[:, :, :-1] & nodes[:, :, 1:]
