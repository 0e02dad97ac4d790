"""Marching cubes on the nodes of a lattice: all at once, or slab by slab with the same result."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from doh3d.geometry.rims import Rim, match_rims, plane_rim

# Stands for what overflows float32 in a network that nobody fitted: interpolation between two
# such values must not overflow as well.
_LARGEST_LOGIT = 1e30

# A node exactly on the surface would collapse triangles around it and open the mesh when
# vertices are welded.
_SMALLEST_LOGIT = 1e-6

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
    _, y, z = values.shape
    for offset in (0, 1, z, z + 1, y * z, y * z + 1, (y + 1) * z, (y + 1) * z + 1):
        count += inside.take(corners + offset)
    found: npt.NDArray[np.int64] = corners[(count > 0) & (count < 8)]
    return found


class SlabMesher:
    """Marching cubes (Lewiner et al. 2003) over slabs of nodes, level 0, welded as it goes.

    Slabs are stacked along the first axis and share a plane of nodes with the next. A slab may
    span a part of the other axes only, and be left out where nothing crosses it. Vertices and
    faces come in the order in which marching cubes of all nodes gives them.
    """

    def __init__(self) -> None:
        self._storage = np.zeros(0, dtype=np.float32)
        self._vertices: list[npt.NDArray[np.float64]] = []
        self._faces: list[npt.NDArray[np.int32]] = []
        self._count = 0
        # The last slab's rim on its highest plane of nodes, in the mesh's numbers.
        self._plane = -1
        self._rim: Rim | None = None

    def buffer(self, shape: tuple[int, ...]) -> Values:
        """Lend an array for the values of one slab; its contents are finite but arbitrary."""
        size = int(np.prod(shape))
        if len(self._storage) < size:
            self._storage = np.zeros(size, dtype=np.float32)
        return cast(Values, self._storage[:size].reshape(shape))

    def add(self, values: Values, cells: npt.NDArray[np.bool_], low: npt.NDArray[np.int64]) -> int:
        """Mesh one slab.

        Parameters
        ----------
        values : (x + 1, y + 1, z + 1) float32
            As `closed_values` gives them, at the corners of `cells`; arbitrary elsewhere.
            Changed in place.
        cells : (x, y, z) bool
            The crossed cells are among these.
        low : (3,) int64
            The slab's lowest node.

        Returns
        -------
        int
            The number of crossed cells.
        """
        from skimage.measure import marching_cubes

        crossed = crossed_cells(values, cells)
        if not len(crossed):
            return 0
        # skimage looks a cell up at its highest corner.
        mask = np.zeros(values.shape, dtype=np.bool_)
        _, y, z = values.shape
        mask.reshape(-1)[crossed + ((y + 1) * z + 1)] = True
        vertices, faces, _, _ = marching_cubes(values, level=0.0, mask=mask)
        ids = np.full(len(vertices), -1, dtype=np.int64)
        if self._rim is not None and self._plane == low[0]:
            bottom = plane_rim(vertices, faces, 0, low[1:])
            ids[bottom.vertices] = match_rims(self._rim, bottom)
        new = np.flatnonzero(ids < 0)
        ids[new] = np.arange(self._count, self._count + len(new))
        self._count += len(new)
        self._vertices.append(vertices[new] + low.astype(np.float64))
        # skimage winds faces for objects that are below the level.
        self._faces.append(ids.astype(np.int32).take(faces[:, ::-1]))
        layers = len(cells)
        self._plane = int(low[0]) + layers
        self._rim = plane_rim(vertices, faces, layers, low[1:]).renumbered(ids)
        return len(crossed)

    def mesh(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(V, 3) vertices in units of nodes, and (F, 3) faces with normals pointing outside."""
        vertices = np.concatenate([np.zeros((0, 3)), *self._vertices])
        faces = [np.zeros((0, 3), dtype=np.int32), *self._faces]
        return vertices, np.concatenate(faces, dtype=np.int64)
