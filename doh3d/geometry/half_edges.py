"""Which faces of a triangle soup meet at which edges, and in which sense.

Everything here works on plain arrays, without a Python loop over faces or components.

Term: a *patch* is a set of faces connected over edges that exactly two faces share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from doh3d.geometry.repair import BoolArray, IntArray


@dataclass(frozen=True)
class HalfEdges:
    """The directed edges of faces, by the undirected edge that they lie on.

    Attributes
    ----------
    tail, head : (H,) int64
        Vertices that each half-edge runs from and to.
    face : (H,) int64
        The face that it is a side of, or a part of a side.
    edge : (H,) int64
        Number of the undirected edge.
    sign : (H,) int8
        +1 from the lower to the higher vertex number, else -1.
    start, order : int64
        ``order[start[e] : start[e + 1]]`` are the half-edges of edge e.
    """

    tail: IntArray
    head: IntArray
    face: IntArray
    edge: IntArray
    sign: npt.NDArray[np.int8]
    start: IntArray
    order: IntArray

    @classmethod
    def of(cls, faces: IntArray) -> HalfEdges:
        """Find which sides of (F, 3) faces share an edge; half-edge 3 f + k leaves corner k."""
        return cls.between(
            faces.ravel(),
            np.roll(faces, -1, axis=1).ravel(),
            np.repeat(np.arange(len(faces), dtype=np.int64), 3),
        )

    @classmethod
    def between(cls, tail: IntArray, head: IntArray, face: IntArray) -> HalfEdges:
        """Find which of (H,) half-edges share an edge."""
        most = int(max(tail.max(initial=0), head.max(initial=0)))
        key = np.minimum(tail, head) * (most + 1) + np.maximum(tail, head)
        # As np.unique does it, but sorted once.
        order = np.argsort(key, kind="stable")
        key = key[order]
        new = np.ones(len(key), dtype=np.bool_)
        new[1:] = key[1:] != key[:-1]
        edge = np.empty(len(key), dtype=np.int64)
        edge[order] = np.cumsum(new) - 1
        start = np.append(np.flatnonzero(new), len(key))
        sign = np.where(tail < head, 1, -1).astype(np.int8)
        return cls(tail, head, face, edge, sign, start, order)

    def turned(self, flipped: BoolArray) -> HalfEdges:
        """Return the half-edges after the (F,) marked faces have been reversed."""
        if not flipped.any():
            return self
        mine = flipped[self.face]
        return replace(
            self,
            tail=np.where(mine, self.head, self.tail),
            head=np.where(mine, self.tail, self.head),
            sign=np.where(mine, -self.sign, self.sign),
        )

    def faces_at_edge(self) -> IntArray:
        """Count (E,) the faces at each edge."""
        return np.diff(self.start)

    def pairs(self, most: int | None) -> tuple[IntArray, IntArray]:
        """Half-edges that share an edge of 2 to `most` faces: (P,) first ones, (P,) others."""
        count = np.diff(self.start)
        chosen = (count >= 2) & ((count <= most) if most else True)
        in_chosen = np.flatnonzero(np.repeat(chosen, count))
        first = np.repeat(self.start[:-1], count)[in_chosen]
        other = in_chosen != first
        return self.order[first[other]], self.order[in_chosen[other]]

    def patches(self, count: int) -> IntArray:
        """Label each of `count` faces by its patch."""
        one, two = self.pairs(most=2)
        return components(count, self.face[one], self.face[two])

    def unbalanced(self, label: IntArray) -> BoolArray:
        """Tell (H,) where an edge's directions do not cancel among faces of one `label`."""
        # Most edges have two faces of one label.
        first, last = self.order[self.start[:-1]], self.order[self.start[1:] - 1]
        simple = np.diff(self.start) == 2
        same = label[self.face[first]] == label[self.face[last]]
        found = (~same | (self.sign[first] == self.sign[last]))[self.edge]
        rest = np.flatnonzero(~simple[self.edge])
        if len(rest):
            key = label[self.face[rest]] * (len(self.start) - 1) + self.edge[rest]
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
    return not components(len(faces), half.face[one], half.face[two]).any()


def edge_survey(faces: IntArray) -> tuple[IntArray, int]:
    """Count the faces at each edge, and the edges whose two faces wind in opposite ways.

    Returns
    -------
    faces_at_edge : (E,) int64
    flipped : int
    """
    half = HalfEdges.of(faces)
    one, two = half.pairs(most=2)
    return half.faces_at_edge(), int((half.sign[one] == half.sign[two]).sum())
