"""Polygons that no fan cuts: with holes, or concave from every corner.

A polygon is one list of corners, so its holes hang on bridges: edges that it follows once in each
direction. Those bound nothing, and are taken out before ears are clipped. So bridges may lie
anywhere, across other holes too, and it makes no difference in which order several of them leave
one corner, nor whether a corner that is passed twice is one vertex or two at the same place.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def clip_ears(points: FloatArray) -> IntArray:
    """Cut a polygon into triangles that do not overlap, by ear clipping.

    Manifold does the work: it joins holes to their outlines where they can see each other, leaves
    out no corner, even on a straight edge, and bounds what it returns by the edges that it was
    given, whether they cross or not.

    Parameters
    ----------
    points : (k, 3) float64
        The corners' positions in order, finite. Seen along the polygon's vector area (Newell's
        normal), which must not be zero, the surface lies to the left of each edge.

    Returns
    -------
    (T, 3) int64
        Triangles, as numbers of corners. Corners at one place all go by the first one's number.
    """
    from manifold3d import triangulate

    outlines = _outlines(points)
    if not outlines:
        return np.zeros((0, 3), dtype=np.int64)
    spokes = points - points[0]
    normal = np.cross(spokes[:-1], spokes[1:]).sum(axis=0)
    # Across the axis that is furthest from it, the normal has a direction of its own.
    right = np.cross(np.eye(3)[np.abs(normal).argmin()], normal)
    right /= np.linalg.norm(right)
    up = np.cross(normal / np.linalg.norm(normal), right)
    plane = spokes @ np.column_stack([right, up])
    triangles = triangulate([plane[outline] for outline in outlines])
    return np.asarray(np.concatenate(outlines)[triangles], dtype=np.int64)


def _outlines(points: FloatArray) -> list[IntArray]:
    """Return the loops, none of which passes a corner twice, that bound a polygon's surface."""
    first: dict[tuple[float, ...], int] = {}
    corners = [first.setdefault(tuple(p), corner) for corner, p in enumerate(points.tolist())]
    edges = Counter(zip(corners, corners[1:] + corners[:1], strict=True))
    after: dict[int, list[int]] = {}
    for (tail, head), count in edges.items():
        surplus = count - edges.get((head, tail), 0)
        after.setdefault(tail, []).extend([head] * surplus)
    # As many edges end at a corner as begin there, so a walk stops where it started only.
    outlines = []
    for start in after:
        path = {start: None}
        corner = start
        while after[corner]:
            corner = after[corner].pop()
            if corner in path:
                loop = [corner]
                while (last := path.popitem()[0]) != corner:
                    loop.append(last)
                outlines.append(np.array(loop[::-1], dtype=np.int64))
            path[corner] = None
    return outlines
