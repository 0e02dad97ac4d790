"""Marching cubes on the nodes of a lattice: all at once, or slab by slab with the same result."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from doh3d.geometry.lattice import unravelled

# Stands for what overflows float32 in a network that nobody fitted: interpolation between two
# such values must not overflow as well.
_LARGEST_LOGIT = 1e30

# A node exactly on the surface would collapse triangles around it and open the mesh when
# vertices are welded.
_SMALLEST_LOGIT = 1e-6

# libigl's order of a cell's corners.
_CORNERS = np.array(
    [
        [0, 0, 0],
        [1, 0, 0],
        [1, 1, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 1],
        [1, 1, 1],
        [0, 1, 1],
    ]
)

Values = npt.NDArray[np.float32]


def closed_values(values: Values, at_box: npt.NDArray[np.bool_]) -> Values:
    """Node values that marching cubes can work on.

    Parameters
    ----------
    values : (...) float32
        Logits. NaN counts as outside.
    at_box : (...) bool
        Whether a node is one of the outermost, which become outside so that what leaves the
        box is closed. Mirrored values put the closing face half-way to the next node.

    Returns
    -------
    (...) float32
        Finite, and not near 0.
    """
    values = np.nan_to_num(values, nan=-1.0, posinf=_LARGEST_LOGIT, neginf=-_LARGEST_LOGIT)
    np.copyto(values, -np.abs(values), where=at_box)
    values[np.abs(values) < _SMALLEST_LOGIT] = -_SMALLEST_LOGIT
    return values


def crossed_cells(values: Values, cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Find the cells with corners of both signs.

    Parameters
    ----------
    values : (x + 1, y + 1, z + 1) float32
        Of the nodes.
    cells : (x, y, z) bool
        The cells to look at.

    Returns
    -------
    (N,) int64
        Flat indices, among the nodes, of the cells' lowest corners.
    """
    padded = np.zeros(values.shape, dtype=np.bool_)
    padded[:-1, :-1, :-1] = cells
    corners = np.flatnonzero(padded)
    inside = (values > 0).reshape(-1).view(np.uint8)
    count = np.zeros(len(corners), dtype=np.uint8)
    for offset in _corner_offsets(values.shape):
        count += inside.take(corners + offset)
    found: npt.NDArray[np.int64] = corners[(count > 0) & (count < 8)]
    return found


class SlabMesher:
    """Marching cubes (Lorensen and Cline 1987) over slabs of nodes, level 0, welded as it goes.

    Slabs are stacked along the first axis and share a plane of nodes with the next. A slab may
    span a part of the other axes only, and be left out where nothing crosses it. Vertices and
    faces come in the order in which marching cubes of all nodes gives them.

    Where two inside corners of a cell's face lie opposite each other and the other two are
    outside, the surface joins the inside ones, so that thin walls stay whole. Neighbouring cells
    agree in that, and no edge has more than two faces.
    """

    def __init__(self) -> None:
        # Kept from slab to slab: fresh memory costs more time than what is written into it.
        self._values = np.zeros(0, dtype=np.float32)
        self._numbers = np.zeros(0, dtype=np.int32)
        self._vertices: list[npt.NDArray[np.float64]] = []
        self._faces: list[npt.NDArray[np.int32]] = []
        self._count = 0
        # The last slab's highest plane of nodes, and the mesh's vertices there as `_rim` has them.
        self._plane = -1
        self._shared = np.zeros(0, dtype=np.int64)

    def buffer(self, shape: tuple[int, ...]) -> Values:
        """Lend an array for the values of one slab; its contents are finite but arbitrary."""
        size = int(np.prod(shape))
        if len(self._values) < size:
            self._values = np.zeros(size, dtype=np.float32)
        return cast(Values, self._values[:size].reshape(shape))

    def add(self, values: Values, cells: npt.NDArray[np.bool_], low: npt.NDArray[np.int64]) -> int:
        """Mesh one slab.

        Parameters
        ----------
        values : (x + 1, y + 1, z + 1) float32
            As `closed_values` gives them, at the corners of `cells`; finite elsewhere.
        cells : (x, y, z) bool
            The crossed cells are among these.
        low : (3,) int64
            The slab's lowest node.

        Returns
        -------
        int
            The number of crossed cells.
        """
        crossed = crossed_cells(values, cells)
        if not len(crossed):
            return 0
        vertices, faces, middles = self._march(values, crossed, low)
        ids = np.full(len(vertices), -1, dtype=np.int64)
        if self._plane == low[0]:
            ids[_rim(middles, self._plane)] = self._shared
        new = np.flatnonzero(ids < 0)
        ids[new] = np.arange(self._count, self._count + len(new))
        self._count += len(new)
        self._vertices.append(vertices[new])
        self._faces.append(ids.astype(np.int32)[faces])
        self._plane = int(low[0]) + len(cells)
        self._shared = ids[_rim(middles, self._plane)]
        return len(crossed)

    def _march(
        self, values: Values, crossed: npt.NDArray[np.int64], low: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Vertices, faces, and (V, 3) twice the middle of each vertex's edge of the lattice."""
        from igl import marching_cubes

        corners = crossed[:, None] + _corner_offsets(values.shape)
        used = np.zeros(values.size, dtype=np.bool_)
        used[corners] = True
        where = np.flatnonzero(used)
        if len(self._numbers) < values.size:
            self._numbers = np.zeros(values.size, dtype=np.int32)
        self._numbers[where] = np.arange(len(where), dtype=np.int32)
        nodes = unravelled(where, values.shape) + low
        # Negated, since libigl joins the corners that are below the level.
        vertices, faces, vertex_of_edge = marching_cubes(
            -values.reshape(-1)[where].astype(np.float64),
            nodes.astype(np.float64),
            self._numbers[corners].astype(np.int64),
            0.0,
        )
        # An edge's key is its two nodes, 32 bits each.
        keys, at = (
            np.fromiter(numbers, dtype=np.int64, count=len(vertices))
            for numbers in (vertex_of_edge.keys(), vertex_of_edge.values())
        )
        middles = np.empty((len(vertices), 3), dtype=np.int64)
        middles[at] = nodes[keys & 0xFFFFFFFF] + nodes[keys >> 32]
        return vertices, faces, middles

    def mesh(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(V, 3) vertices in units of nodes, and (F, 3) faces with normals pointing outside."""
        vertices = np.concatenate([np.zeros((0, 3)), *self._vertices])
        faces = [np.zeros((0, 3), dtype=np.int32), *self._faces]
        return vertices, np.concatenate(faces, dtype=np.int64)


def _corner_offsets(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """(8,) what to add to the flat index of a cell's lowest corner."""
    _, y, z = shape
    offsets: npt.NDArray[np.int64] = _CORNERS @ np.array([y * z, z, 1])
    return offsets


def _rim(middles: npt.NDArray[np.int64], plane: int) -> npt.NDArray[np.int64]:
    """(R,) vertices on a plane of nodes, in the order of their edges: alike from both sides."""
    found = np.flatnonzero(middles[:, 0] == 2 * plane)
    order = np.lexsort((middles[found, 2], middles[found, 1]))
    return found[order]
