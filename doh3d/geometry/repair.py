"""Topological repair of triangle soups: welding, duplicate faces, winding.

Everything here works on plain arrays, without a Python loop over faces or components.
Coordinates are normalised (longest side 1.8, see :mod:`doh3d.geometry.transform`), so that the
tolerances below are shares of the mesh's size.

Term: a *patch* is a set of faces connected over edges that exactly two faces share.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def _groups_of_equal_rows(rows: npt.NDArray[np.int64]) -> tuple[IntArray, IntArray]:
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
    group, first = _groups_of_equal_rows(np.rint(points[kept] / WELD_GRID).astype(np.int64))
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


@dataclass(frozen=True)
class HalfEdges:
    """The three directed edges of each face: half-edge 3 f + k leaves corner k of face f.

    Attributes
    ----------
    edge : (3 F,) int64
        Number of the undirected edge.
    sign : (3 F,) int8
        +1 from the lower to the higher vertex number, else -1.
    start, order : int64
        ``order[start[e] : start[e + 1]]`` are the half-edges of edge e.
    """

    edge: IntArray
    sign: npt.NDArray[np.int8]
    start: IntArray
    order: IntArray

    @classmethod
    def of(cls, faces: IntArray) -> HalfEdges:
        """Find which half-edges of (F, 3) faces share an edge."""
        tail, head = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
        key = np.minimum(tail, head) * (int(faces.max(initial=0)) + 1) + np.maximum(tail, head)
        # As np.unique does it, but sorted once.
        order = np.argsort(key, kind="stable")
        key = key[order]
        new = np.ones(len(key), dtype=np.bool_)
        new[1:] = key[1:] != key[:-1]
        edge = np.empty(len(key), dtype=np.int64)
        edge[order] = np.cumsum(new) - 1
        start = np.append(np.flatnonzero(new), len(key))
        return cls(edge, np.where(tail < head, 1, -1).astype(np.int8), start, order)

    def pairs(self, most: int | None) -> tuple[IntArray, IntArray]:
        """Half-edges that share an edge of 2 to `most` faces: (P,) first ones, (P,) others."""
        count = np.diff(self.start)
        chosen = (count >= 2) & ((count <= most) if most else True)
        in_chosen = np.flatnonzero(np.repeat(chosen, count))
        first = np.repeat(self.start[:-1], count)[in_chosen]
        other = in_chosen != first
        return self.order[first[other]], self.order[in_chosen[other]]

    def unbalanced(self, label: IntArray) -> BoolArray:
        """Tell (3 F,) where an edge's directions do not cancel among faces of one `label`."""
        # Most edges have two faces of one label.
        first, last = self.order[self.start[:-1]], self.order[self.start[1:] - 1]
        simple = np.diff(self.start) == 2
        same = label[first // 3] == label[last // 3]
        found = (~same | (self.sign[first] == self.sign[last]))[self.edge]
        rest = np.flatnonzero(~simple[self.edge])
        if len(rest):
            key = label[rest // 3] * (len(self.start) - 1) + self.edge[rest]
            _, group = np.unique(key, return_inverse=True)
            found[rest] = np.bincount(group, weights=self.sign[rest])[group] != 0
        return np.asarray(found, dtype=np.bool_)


def components(count: int, first: IntArray, second: IntArray) -> IntArray:
    """Label (count,) nodes by connected component of the undirected edges given."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    return np.asarray(label, dtype=np.int64)


def open_edge_count(faces: IntArray) -> int:
    """Count half-edges that no opposite one cancels: 0 for a closed, consistent surface."""
    return int(HalfEdges.of(faces).unbalanced(np.zeros(len(faces), dtype=np.int64)).sum())


def is_one_body(faces: IntArray) -> bool:
    """Whether a surface is closed, consistently wound, without forks, and in one piece."""
    half = HalfEdges.of(faces)
    if (np.diff(half.start) != 2).any():
        return False
    one, two = half.order[::2], half.order[1::2]
    if (half.sign[one] == half.sign[two]).any():
        return False
    return not components(len(faces), one // 3, two // 3).any()


def drop_duplicates(faces: IntArray) -> IntArray:
    """Keep one of the faces on the same three corners, or none where two bodies touch.

    Among copies of both windings the more frequent one stays. A wall between two bodies, that
    is a patch of faces which all come in two opposite copies and which meets other faces at its
    rim, separates inside from inside: both copies go. A surface given twice for two-sided
    display meets nothing else, and one copy stays.
    """
    lowest = np.argmin(faces, axis=1)
    rows = np.arange(len(faces))
    positive = faces[rows, (lowest + 1) % 3] < faces[rows, (lowest + 2) % 3]
    sign = np.where(positive, 1, -1)
    group, first = _groups_of_equal_rows(np.sort(faces, axis=1))
    if len(first) == len(faces):
        return faces
    net = np.bincount(group, weights=sign)
    wanted = np.where(net == 0, sign[first], np.sign(net)).astype(np.int64)
    candidates = np.flatnonzero(sign == wanted[group])
    _, position = np.unique(group[candidates], return_index=True)
    unique = faces[candidates[position]]

    half = HalfEdges.of(unique)
    one, two = half.pairs(most=2)
    patch = components(len(unique), one // 3, two // 3)
    unpaired = np.bincount(patch, weights=net != 0)
    shared = np.diff(half.start)[half.edge] > 2
    rim = np.bincount(np.repeat(patch, 3), weights=shared)
    wall = (unpaired == 0) & (rim > 0)
    return np.asarray(unique[~wall[patch]], dtype=np.int64)


def flip(faces: IntArray, flipped: BoolArray) -> IntArray:
    """Reverse the winding of the (F,) faces that are marked."""
    return np.where(flipped[:, None], faces[:, ::-1], faces)


def make_consistent(faces: IntArray) -> tuple[IntArray, IntArray]:
    """Give the faces of each patch one winding: that of the majority of its faces.

    A patch that has no consistent winding (a Moebius strip) is left as it is.

    Returns
    -------
    faces : (F, 3) int64
        The same faces, some reversed.
    patch : (F,) int64
        Each face's patch.
    """
    count = len(faces)
    half = HalfEdges.of(faces)
    one, two = half.pairs(most=2)
    f, g = one // 3, two // 3
    # Two-colouring through the double cover: node f stands for face f as given, node f + count
    # for f reversed. Neighbours agree when they run along their edge in opposite directions.
    agree = half.sign[one] != half.sign[two]
    other = np.where(agree, g, g + count)
    mirror = np.where(agree, g + count, g)
    sheet = components(2 * count, np.concatenate([f, f + count]), np.concatenate([other, mirror]))
    given, reverse = sheet[:count], sheet[count:]
    votes = np.bincount(given, minlength=int(sheet.max()) + 1)
    ties = (votes[reverse] == votes[given]) & (reverse < given)
    flipped = (votes[reverse] > votes[given]) | ties
    return flip(faces, flipped), components(count, f, g)


def edge_survey(faces: IntArray) -> tuple[IntArray, int]:
    """Count the faces at each edge, and the edges whose two faces wind in opposite ways.

    Returns
    -------
    faces_at_edge : (E,) int64
    flipped : int
    """
    half = HalfEdges.of(faces)
    one, two = half.pairs(most=2)
    return np.diff(half.start), int((half.sign[one] == half.sign[two]).sum())
