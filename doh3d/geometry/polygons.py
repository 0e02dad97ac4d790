"""Polygons and triangle strips into triangles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# More triangles than this are refused: checking takes about 550 bytes for each, and compression,
# which compares what it wrote with all of them, 900, so that 2 GB are enough for this many.
MOST_FACES = 2_000_000

# Polygons of up to this many corners are cut from their best corner, larger ones in halves.
_MOST_FAN_APEXES = 64


def triangulate(vertices: FloatArray, sizes: IntArray, corners: IntArray) -> IntArray:
    """Cut polygons of any sizes into triangles; those of fewer than three corners are left out.

    Parameters
    ----------
    vertices : (V, 3) float64
        Positions, in any units.
    sizes : (P,) int64
        Corners of each polygon, >= 0.
    corners : (sum of sizes,) int64
        The polygons' corners, one polygon after the other.

    Returns
    -------
    (T, 3) int64
        Triangles, those of smaller polygons first.

    Raises
    ------
    ValueError
        If a polygon uses a vertex that does not exist.
    """
    start = np.cumsum(sizes) - sizes
    check_corners(corners, len(vertices), sizes)
    triangles = [np.zeros((0, 3), dtype=np.int64)]
    for size in np.unique(sizes[sizes >= 3]):
        rows = start[sizes == size][:, None] + np.arange(size)
        triangles.append(cut_polygons(vertices, corners[rows]))
    return np.concatenate(triangles)


def check_count(count: int) -> None:
    """Raise ValueError where a file announces too many faces to be read."""
    if count > MOST_FACES:
        raise ValueError(f"its {count} faces are more than {MOST_FACES}; simplify it first")


def check_corners(corners: IntArray, vertex_count: int, sizes: IntArray | None = None) -> None:
    """Raise ValueError, naming the face, where one uses a vertex that does not exist.

    Parameters
    ----------
    corners : (C,) int64
        The faces' corners, one face after the other.
    vertex_count : int
    sizes : (P,) int64, optional
        Corners of each face; three unless given.
    """
    missing = (corners < 0) | (corners >= vertex_count)
    if not missing.any():
        return
    at = int(np.argmax(missing))
    face = at // 3 if sizes is None else int(np.searchsorted(np.cumsum(sizes), at, side="right"))
    raise ValueError(
        f"face {face} uses vertex {corners[at]}, but there are {vertex_count} vertices, "
        "numbered from 0"
    )


def cut_polygons(vertices: FloatArray, polygons: IntArray) -> IntArray:
    """Cut polygons of k corners into triangles.

    Small polygons become fans that start at the corner from which the triangles overlap least,
    so that every convex and many concave polygons are cut exactly. Large ones are halved again
    and again, which leaves few long triangles where a fan has only slivers. Where triangles do
    overlap they run in opposite directions there, so the solid angles, and with them inside and
    outside, stay right.

    Parameters
    ----------
    vertices : (V, 3) float64
        Positions, in any units.
    polygons : (N, k) int64
        Corners of each polygon in order, in range, k >= 3.

    Returns
    -------
    (N (k - 2), 3) int64
        Triangles.
    """
    size = polygons.shape[1]
    if 3 < size <= _MOST_FAN_APEXES:
        worst = np.full(len(polygons), -np.inf)
        best = np.zeros(len(polygons), dtype=np.int64)
        for apex in range(size):
            spokes = vertices[np.roll(polygons, -apex, axis=1)]
            spokes = spokes[:, 1:] - spokes[:, :1]
            normals = np.cross(spokes[:, :-1], spokes[:, 1:])
            # The sum of a fan's normals is the same from every corner.
            smallest = np.einsum("nij,nj->ni", normals, normals.sum(axis=1)).min(axis=1)
            better = smallest > worst
            worst[better], best[better] = smallest[better], apex
        best = _as_first_copy(polygons, best)
        order = (np.arange(size) + best[:, None]) % size
        polygons = np.take_along_axis(polygons, order, axis=1)
    elif size > _MOST_FAN_APEXES:
        return np.asarray(polygons[:, _halves(size)].reshape(-1, 3), dtype=np.int64)
    fans = [polygons[:, [0, k, k + 1]] for k in range(1, size - 1)]
    return np.stack(fans, axis=1).reshape(-1, 3)


def _as_first_copy(polygons: IntArray, best: IntArray) -> IntArray:
    """Start each copy of a polygon at the first one's corner: copies are told by their triangles.

    Surfaces that are doubled for display have them, in the other winding and from another corner.
    """
    rows = np.sort(polygons, axis=1)
    order = np.lexsort(rows.T)
    ordered = rows[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    if not same.any():
        return best
    # Sorting is stable: the first copy comes first.
    starts = np.flatnonzero(np.append(True, ~same))
    first = np.empty(len(polygons), dtype=np.int64)
    first[order] = order[np.repeat(starts, np.diff(np.append(starts, len(order))))]
    apex = polygons[first, best[first]]
    return np.asarray((polygons == apex[:, None]).argmax(axis=1), dtype=np.int64)


def _halves(size: int) -> IntArray:
    """Return (size - 2, 3) corners of the triangles that halve a polygon down to its edges."""
    triangles = []
    chains = [(0, size - 1)]
    while chains:
        first, last = chains.pop()
        if last - first > 1:
            middle = (first + last) // 2
            triangles.append((first, middle, last))
            chains += [(first, middle), (middle, last)]
    return np.array(triangles, dtype=np.int64)


def cut_strips(index: IntArray) -> IntArray:
    """Cut triangle strips into (F, 3) triangles of one winding.

    Parameters
    ----------
    index : (M,) int64
        Vertex numbers of all strips, with -1 between them.
    """
    if len(index) < 3:
        return np.zeros((0, 3), dtype=np.int64)
    triangles = np.column_stack([index[:-2], index[1:-1], index[2:]])
    # Every second triangle of a strip runs the other way round, counted from the strip's start.
    position = np.arange(len(index))
    start = np.maximum.accumulate(np.where(index == -1, position + 1, 0))
    odd = (position - start)[:-2] % 2 == 1
    triangles[odd] = triangles[odd][:, ::-1]
    whole = (triangles != -1).all(axis=1)
    return np.asarray(triangles[whole], dtype=np.int64)
