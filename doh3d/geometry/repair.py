"""What is done to single faces and vertices of triangle soups: welding, and telling bad ones.

Everything here works on plain arrays, without a Python loop over faces.
Coordinates are normalised (longest side 1.8, see :mod:`doh3d.geometry.transform`), so that the
tolerances below are shares of the mesh's size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Vertices that round to the same point of this grid are one vertex: well below the resolution
# of float32 coordinates, so that only repeated vertices meet.
WELD_GRID = 1e-8

# A triangle is degenerate when its height is below this share of its longest edge.
_DEGENERATE_HEIGHT = 1e-10


def groups_of_equal_rows(rows: npt.NDArray[np.int64]) -> tuple[IntArray, IntArray]:
    """Return each row's group number (N,) and each group's first row, in order of appearance."""
    order = np.lexsort(rows.T)
    ordered = rows[order]
    starts = np.ones(len(rows), dtype=np.bool_)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.empty(len(rows), dtype=np.int64)
    group[order] = np.cumsum(starts) - 1
    # lexsort is stable, so a group's first entry has its lowest row number.
    first = order[starts]
    rank = np.empty(len(first), dtype=np.int64)
    by_appearance = np.argsort(first)
    rank[by_appearance] = np.arange(len(first))
    return rank[group], first[by_appearance]


def is_used(count: int, faces: IntArray) -> BoolArray:
    """Tell (count,) which vertices the faces use."""
    used = np.zeros(count, dtype=np.bool_)
    used[faces] = True
    return used


def weld(points: FloatArray, faces: IntArray) -> tuple[IntArray, IntArray]:
    """Join vertices by position and drop those that no face uses.

    Parameters
    ----------
    points : (V, 3) float64
        Normalised positions.
    faces : (F, 3) int64
        Corners, in range.

    Returns
    -------
    kept : (K,) int64
        The vertices to keep, as rows of `points`.
    faces : (F, 3) int64
        The same faces over the kept vertices; corners that met are now equal.
    """
    kept = np.flatnonzero(is_used(len(points), faces))
    group, first = groups_of_equal_rows(np.rint(points[kept] / WELD_GRID).astype(np.int64))
    renumber = np.zeros(len(points), dtype=np.int64)
    renumber[kept] = group
    return kept[first], renumber[faces]


def is_finite(points: FloatArray, faces: IntArray) -> BoolArray:
    """Tell (F,) which faces have finite coordinates at all corners."""
    finite = np.asarray(np.isfinite(points).all(axis=1), dtype=np.bool_)
    return np.asarray(finite[faces].all(axis=1), dtype=np.bool_)


def has_repeated_corner(faces: IntArray) -> BoolArray:
    """Tell (F,) which faces use a vertex twice."""
    a, b, c = faces.T
    return np.asarray((a == b) | (b == c) | (c == a), dtype=np.bool_)


def is_degenerate(points: FloatArray, faces: IntArray) -> BoolArray:
    """Tell (F,) which faces have no area, their corners being collinear."""
    corners = points[faces]
    edges = np.roll(corners, -1, axis=1) - corners
    longest = np.sqrt((edges**2).sum(axis=2).max(axis=1))
    doubled_area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    return np.asarray(doubled_area <= _DEGENERATE_HEIGHT * longest**2, dtype=np.bool_)


def flip(faces: IntArray, flipped: BoolArray) -> IntArray:
    """Reverse the winding of the (F,) faces that are marked."""
    return np.where(flipped[:, None], faces[:, ::-1], faces)
