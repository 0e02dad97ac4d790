"""Closed contours of values on a grid: marching squares, oriented."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def _segments(case: int) -> list[tuple[int, int]]:
    """Edges of a cell at which its segments start and end, with the inside on their left.

    Corner k, counterclockwise from the lowest, is inside where bit k of the case is set; edge k
    follows it. Where inside corners lie opposite each other, they are joined.
    """
    inside = [bool(case >> corner & 1) for corner in (0, 1, 2, 3, 0)]
    starts = [edge for edge in range(4) if inside[edge] and not inside[edge + 1]]
    ends = [edge for edge in range(4) if not inside[edge] and inside[edge + 1]]
    return [(start, min(ends, key=lambda end: (end - start) % 4)) for start in starts]


_CASES = [_segments(case) for case in range(16)]


def closed_contours(values: npt.NDArray[np.floating]) -> list[FloatArray]:
    """Find where values change sign, as closed polygons.

    Parameters
    ----------
    values : (H, W) float
        Above 0 inside; the outermost rows and columns are not. All are finite.

    Returns
    -------
    list of (K, 2) float64
        Column and row of the corners, by linear interpolation between nodes. Outer contours run
        counterclockwise (columns to the right, rows upwards), those of holes clockwise; none
        crosses another.
    """
    height, width = values.shape
    inside = values > 0
    corners = (inside[:-1, :-1], inside[:-1, 1:], inside[1:, 1:], inside[1:, :-1])
    cases = np.stack([corner << np.int64(bit) for bit, corner in enumerate(corners)]).sum(axis=0)
    starts, ends = [], []
    for case, segments in enumerate(_CASES):
        if segments:
            rows, columns = np.nonzero(cases == case)
            at = rows * width + columns
            # By their first node; the vertical ones come after all the horizontal ones.
            edges = (at, height * width + at + 1, at + width, height * width + at)
            starts += [edges[start] for start, _ in segments]
            ends += [edges[end] for _, end in segments]
    if not starts:
        return []
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start)
    start, end = start[order], end[order]
    corners_at = _interpolated(values, start)
    return [corners_at[loop] for loop in _loops(np.searchsorted(start, end))]


def _interpolated(values: npt.NDArray[np.floating], edges: IntArray) -> FloatArray:
    """(N, 2) column and row where the values on the edges are 0."""
    height, width = values.shape
    upward, first = np.divmod(edges, height * width)
    second = first + np.where(upward > 0, width, 1)
    flat = values.reshape(-1).astype(np.float64)
    share = flat[first] / (flat[first] - flat[second])
    rows, columns = np.divmod(first, width)
    return np.stack([columns + share * (1 - upward), rows + share * upward], axis=1)


def _loops(following: IntArray) -> list[IntArray]:
    """Cycles of a permutation, each from its lowest number."""
    after, seen, loops = following.tolist(), np.zeros(len(following), dtype=np.bool_), []
    for first in range(len(after)):
        if seen[first]:
            continue
        loop, number = [first], after[first]
        while number != first:
            loop.append(number)
            number = after[number]
        found = np.array(loop, dtype=np.int64)
        seen[found] = True
        loops.append(found)
    return loops
