"""From a field to a closed triangle mesh, evaluating only where the surface can be.

The mesh is that of marching cubes on all nodes of the lattice, vertex by vertex and face by
face, but memory follows the surface: the lattice is passed through in slabs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from doh3d.geometry.lattice import unravelled
from doh3d.geometry.search import LEAF_BLOCK, LatticeField, OpenCells, open_cells
from doh3d.geometry.surface import SlabMesher, closed_values

# Layers of cells in a slab: a multiple of the leaves' side that divides the coarsest blocks'.
_LAYERS = 16

# Nodes evaluated at a time: bounds the memory for their indices.
_NODES = 2**20


def extract(
    field: LatticeField,
    check: Callable[[int], None] = lambda crossed: None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Extract the surface, closed where it leaves the lattice.

    Parameters
    ----------
    field : LatticeField
    check : int -> None
        Called with the number of cells that the surface crosses as it grows; may raise.

    Returns
    -------
    vertices : (V, 3) float64
        In units of nodes.
    faces : (F, 3) int64
        Wound so that normals point outside.
    """
    mesher = SlabMesher()
    crossed = 0
    for first, leaves in open_cells(field):
        for slab_first, slab in _slabs(first, leaves):
            crossed += _mesh_slab(field, slab_first, slab, mesher)
            check(crossed)
    return mesher.mesh()


def _slabs(first: int, leaves: OpenCells) -> Iterator[tuple[int, OpenCells]]:
    slab = (leaves.corners[:, 0] - first) // _LAYERS
    for number in np.unique(slab):
        mine = slab == number
        yield first + int(number) * _LAYERS, OpenCells(leaves.corners[mine], leaves.cells[mine])


def _mesh_slab(field: LatticeField, first: int, leaves: OpenCells, mesher: SlabMesher) -> int:
    """Evaluate and mesh the open cells of one slab; the number of cells crossed."""
    # Only the rectangle that the slab's leaves span.
    low = leaves.corners.min(axis=0)
    low[0] = first
    high = leaves.corners.max(axis=0) + LEAF_BLOCK
    high[0] = first + _LAYERS
    cells = np.zeros(high - low, dtype=np.bool_)
    blocks = cells.reshape([n for side in cells.shape for n in (side // LEAF_BLOCK, LEAF_BLOCK)])
    i, j, k = ((leaves.corners - low) // LEAF_BLOCK).T
    blocks[i, :, j, :, k, :] = leaves.cells
    last = np.asarray(field.shape) - 1
    x, y, z = np.minimum(high, last) - low
    cells = cells[:x, :y, :z]

    nodes = np.zeros((x + 1, y + 1, z + 1), dtype=np.bool_)
    nodes[:-1, :-1, :-1] = cells
    nodes[1:] |= nodes[:-1].copy()
    nodes[:, 1:] |= nodes[:, :-1].copy()
    nodes[:, :, 1:] |= nodes[:, :, :-1].copy()
    where = np.flatnonzero(nodes)
    values = mesher.buffer(nodes.shape)
    flat = values.reshape(-1)
    for start in range(0, len(where), _NODES):
        some = where[start : start + _NODES]
        index = unravelled(some, nodes.shape) + low
        at_box = np.zeros(len(some), dtype=np.bool_)
        for axis in range(3):
            if low[axis] == 0:
                at_box |= index[:, axis] == 0
            if high[axis] >= last[axis]:
                at_box |= index[:, axis] == last[axis]
        flat[some] = closed_values(field.logits(index), at_box)
    return mesher.add(values, cells, low)
