"""Polygons and triangle strips into triangles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doh3d.geometry.ear_clipping import clip_ears

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# More triangles than this are refused: checking takes about 550 bytes for each, and compression,
# which compares what it wrote with all of them, 900, so that 2 GB are enough for this many.
MOST_FACES = 2_000_000

# Polygons of up to this many corners are cut from their best corner, larger ones in halves.
_MOST_FAN_APEXES = 64

# Ears of larger polygons are not clipped: those of 65,536 teeth take about ten seconds, twice as
# many four times as long.
_MOST_EAR_CORNERS = 1 << 16

# A fan's triangle that is upside down with this share of the polygon's area is so by float64's
# rounding. A polygon whose area is this share of its length squared has none.
_ROUNDING = 1e-12

# Large polygons may fold back by this share of their length: round ones do, after their corners
# were rounded to a few decimals. It is a hundredth of a cell at the finest resolution.
_MOST_FOLD = 1e-5


def triangulate(
    vertices: FloatArray, sizes: IntArray, corners: IntArray, *, may_overlap: bool = False
) -> IntArray:
    """Cut polygons of any sizes into triangles; those of fewer than three corners are left out.

    Parameters
    ----------
    vertices : (V, 3) float64
        Positions, in any units.
    sizes : (P,) int64
        Corners of each polygon, >= 0.
    corners : (sum of sizes,) int64
        The polygons' corners, one polygon after the other.
    may_overlap : bool, optional
        Whether triangles may overlap, running in opposite directions there, which is all the
        same to solid angles; large concave polygons then have fewer slivers, and take no time.

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
        triangles.append(cut_polygons(vertices, corners[rows], may_overlap=may_overlap))
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


def cut_polygons(
    vertices: FloatArray, polygons: IntArray, *, may_overlap: bool = False
) -> IntArray:
    """Cut polygons of k corners into triangles.

    Small polygons become fans that start at the corner from which the triangles overlap least, so
    that every convex and many concave polygons are cut exactly. Large ones are halved again and
    again, which leaves few long triangles where a fan has only slivers. What that does not cut
    exactly, holes above all, has its ears clipped. Polygons that are not flat are seen along their
    vector area.

    Whatever the polygons, their edges bound the triangles. Where edges cross, and triangles have
    to overlap, those run in opposite directions there, so the solid angles, and with them inside
    and outside, stay right. The triangles are the same from whichever corner and in whichever
    direction a polygon is written, so that copies are known by them: surfaces that are doubled for
    display have such copies.

    Parameters
    ----------
    vertices : (V, 3) float64
        Positions, in any units.
    polygons : (N, k) int64
        Corners of each polygon in order, in range, k >= 3.
    may_overlap : bool, optional
        Whether no ears are clipped, see :func:`triangulate`.

    Returns
    -------
    (T, 3) int64
        Triangles, k - 2 of each polygon; more or fewer where ears are clipped, which come last.
    """
    size = polygons.shape[1]
    if size == 3:
        return polygons
    polygons, turned, repeats = _from_one_corner(polygons)
    corners = vertices[polygons]
    corners -= corners[:, :1].copy()
    # In units of their own, no product of the coordinates leaves float64.
    corners /= np.abs(corners).max(axis=(1, 2), keepdims=True).clip(np.finfo(np.float64).tiny)
    # Twice the vector area.
    area = np.cross(corners[:, 1:-1], corners[:, 2:]).sum(axis=1)
    length = np.linalg.norm(area, axis=1)
    if size <= _MOST_FAN_APEXES:
        apex, smallest = _best_fan(corners, area)
        order = (np.arange(size) + apex[:, None]) % size
        fans = np.take_along_axis(polygons, order, axis=1)
        triangles = np.stack([fans[:, [0, k, k + 1]] for k in range(1, size - 1)], axis=1)
        is_exact = smallest >= -_ROUNDING * length**2
    else:
        halves = _halves(size)
        triangles = polygons[:, halves]
        is_exact = _deepest_fold(corners[:, halves], area) <= _MOST_FOLD
    triangles[turned] = triangles[turned][:, :, ::-1]
    # Of a quadrangle both diagonals have been looked at. Without an area there is no view.
    is_cut = (repeats | ~is_exact) & (length > _ROUNDING)
    is_cut &= not may_overlap and 4 < size <= _MOST_EAR_CORNERS
    ears = [
        polygons[row][clip_ears(corners[row])][:, :: -1 if turned[row] else 1]
        for row in np.flatnonzero(is_cut)
    ]
    return np.concatenate([triangles[~is_cut].reshape(-1, 3), *ears])


def _from_one_corner(polygons: IntArray) -> tuple[IntArray, BoolArray, BoolArray]:
    """Turn polygons so that copies agree, whatever their first corner and their direction.

    Parameters
    ----------
    polygons : (N, k) int64

    Returns
    -------
    polygons : (N, k) int64
        The lowest vertex that is used once comes first, the lower of its neighbours next.
    turned : (N,) bool
        Whether the direction has changed.
    repeats : (N,) bool
        Whether a vertex is used more than once; not looked for in quadrangles, in which it
        leaves a triangle at most.
    """
    size = polygons.shape[1]
    repeated = np.zeros(polygons.shape, dtype=np.bool_)
    if size > 4:
        order = np.argsort(polygons, axis=1)
        same = np.diff(np.take_along_axis(polygons, order, axis=1), axis=1) == 0
        same = np.pad(same, ((0, 0), (1, 1)))
        np.put_along_axis(repeated, order, same[:, 1:] | same[:, :-1], axis=1)
    first = np.where(repeated, np.iinfo(np.int64).max, polygons).argmin(axis=1)
    order = (np.arange(size) + first[:, None]) % size
    polygons = np.take_along_axis(polygons, order, axis=1)
    onwards, back = polygons[:, 1:], polygons[:, :0:-1]
    at = (onwards != back).argmax(axis=1)[:, None]
    turned = np.take_along_axis(onwards > back, at, axis=1)[:, 0]
    polygons[turned, 1:] = back[turned]
    return polygons, turned, np.asarray(repeated.any(axis=1))


def _best_fan(corners: FloatArray, area: FloatArray) -> tuple[IntArray, FloatArray]:
    """Find the (N,) corners from which fans overlap least, and twice their smallest triangles.

    Triangles are seen along the polygons' area: below zero one is upside down, and multiplied by
    its length. Where none is, no two overlap.
    """
    count, size, _ = corners.shape
    smallest = np.full(count, -np.inf)
    best = np.zeros(count, dtype=np.int64)
    # From opposite corners of a quadrangle the fans are the same.
    for apex in range(2 if size == 4 else size):
        spokes = np.roll(corners, -apex, axis=1)
        spokes = spokes[:, 1:] - spokes[:, :1]
        normals = np.cross(spokes[:, :-1], spokes[:, 1:])
        found = np.einsum("nij,nj->ni", normals, area).min(axis=1)
        better = found > smallest
        smallest[better], best[better] = found[better], apex
    return best, smallest


def _deepest_fold(triangles: FloatArray, area: FloatArray) -> FloatArray:
    """Find the (N,) largest heights of those of (N, T, 3, 3) triangles that are upside down."""
    sides = np.roll(triangles, -1, axis=2) - triangles
    longest = np.linalg.norm(sides, axis=3).max(axis=2)
    normals = np.cross(sides[:, :, 0], sides[:, :, 1])
    direction = area / np.linalg.norm(area, axis=1, keepdims=True).clip(_ROUNDING)
    seen = np.einsum("nij,nj->ni", normals, direction)
    return np.asarray((-seen / longest.clip(_ROUNDING)).max(axis=1))


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
