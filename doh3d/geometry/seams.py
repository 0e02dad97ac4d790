"""Which faces meet along edges that are not welded: across small gaps and T-junctions.

Programs that write every face, or every part, for itself leave surfaces that are closed to the
eye only: vertices that should be one differ by rounding, and a long edge runs beside several
short ones. Winding numbers do not mind. But who meets whom, and in which sense, has to be known
before any winding is judged.
"""

from __future__ import annotations

import numpy as np

from doh3d.geometry.half_edges import HalfEdges, components
from doh3d.geometry.repair import BoolArray, FloatArray, IntArray, groups_of_equal_rows

# Vertices this near to one another, or to an edge, may be one: a hundred thousandth of the
# longest side, well above what float32 coordinates lose and below any part worth having.
GAP = 1.8e-5

# Vertices are gathered by cells of this size first, so that the many copies of one vertex do not
# all have to be compared with one another.
_CELL = GAP / 2

# Pieces of edges that are looked at, for each edge, on average.
_PIECES_AN_EDGE = 4

# Vertices near a piece of an edge beyond which nothing is learnt from who lies on it.
_MOST_NEAR = 256


def stitched(points: FloatArray, faces: IntArray) -> HalfEdges:
    """Find which faces share an edge, also where it is not welded.

    Edges of a single face are compared with one another: vertices within `GAP` count as one, and
    an edge is cut where the vertex of another lies on it.

    Parameters
    ----------
    points : (V, 3) float64
        Normalised positions.
    faces : (F, 3) int64
        Over welded vertices.

    Returns
    -------
    HalfEdges
        Those of `HalfEdges.of`, some with other ends, some cut into several. Those that have no
        length left are gone.
    """
    half = HalfEdges.of(faces)
    single = _single(half)
    if not single.any():
        return half
    tail, head = half.tail[single], half.head[single]
    tail, head = _gathered(points, tail, head)
    kept = tail != head
    tail, head, face = tail[kept], head[kept], half.face[single][kept]
    loose = HalfEdges.between(tail, head, face)
    alone = _single(loose)
    cut_tail, cut_head, source = _cut(points, tail[alone], head[alone])
    whole = ~single
    return HalfEdges.between(
        np.concatenate([half.tail[whole], tail[~alone], cut_tail]),
        np.concatenate([half.head[whole], head[~alone], cut_head]),
        np.concatenate([half.face[whole], face[~alone], face[alone][source]]),
    )


def _single(half: HalfEdges) -> BoolArray:
    """Tell (H,) which half-edges have their edge for themselves."""
    return np.asarray(half.faces_at_edge()[half.edge] == 1, dtype=np.bool_)


def _gathered(points: FloatArray, tail: IntArray, head: IntArray) -> tuple[IntArray, IntArray]:
    """Replace the ends of edges by one vertex of all that lie within the gap."""
    from scipy.spatial import cKDTree

    vertices, ends = np.unique(np.concatenate([tail, head]), return_inverse=True)
    cell, first = groups_of_equal_rows(np.rint(points[vertices] / _CELL).astype(np.int64))
    pairs = cKDTree(points[vertices[first]]).query_pairs(GAP, output_type="ndarray")
    if len(first) == len(vertices) and not len(pairs):
        return tail, head
    label = components(len(first), pairs[:, 0], pairs[:, 1])[cell]
    _, chosen = np.unique(label, return_index=True)
    one = vertices[chosen[label]][ends]
    return one[: len(tail)], one[len(tail) :]


def _cut(points: FloatArray, tail: IntArray, head: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Cut (E,) edges where vertices of others lie on them: tails, heads, and whose part it is."""
    edge, vertex = _near_edges(points, tail, head)
    base, along = points[tail], points[head] - points[tail]
    length = np.linalg.norm(along, axis=1)
    away = points[vertex] - base[edge]
    at = np.einsum("ij,ij->i", away, along[edge]) / np.maximum(length[edge], 1e-300)
    distance = np.linalg.norm(
        away - (at / np.maximum(length[edge], 1e-300))[:, None] * along[edge], axis=1
    )
    within = (distance < GAP) & (at > GAP) & (at < length[edge] - GAP)
    edge, vertex, at = edge[within], vertex[within], at[within]
    # Each edge's vertices in their order along it, between its own ends.
    own = np.arange(len(tail))
    edge = np.concatenate([own, edge, own])
    vertex = np.concatenate([tail, vertex, head])
    at = np.concatenate([np.full(len(tail), -np.inf), at, np.full(len(tail), np.inf)])
    order = np.lexsort((at, edge))
    edge, vertex = edge[order], vertex[order]
    same = (edge[1:] == edge[:-1]) & (vertex[1:] != vertex[:-1])
    return vertex[:-1][same], vertex[1:][same], edge[:-1][same]


def _near_edges(points: FloatArray, tail: IntArray, head: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of an edge and a vertex of another that may lie on it: (P,) each, none twice."""
    from scipy.spatial import cKDTree

    none = np.zeros(0, dtype=np.int64)
    if not len(tail):
        return none, none
    along = points[head] - points[tail]
    length = np.linalg.norm(along, axis=1)
    # Long edges are looked at in pieces, so that few vertices are near the middle of each.
    piece = max(float(np.median(length)), float(length.sum()) / (_PIECES_AN_EDGE * len(length)))
    count = np.maximum(np.ceil(length / piece), 1).astype(np.int64)
    edge = np.repeat(np.arange(len(tail)), count)
    number = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    share = (number + 0.5) / count[edge]
    middles = points[tail[edge]] + share[:, None] * along[edge]
    reach = length[edge] / count[edge] / 2 + GAP
    vertices = np.unique(np.concatenate([tail, head]))
    tree = cKDTree(points[vertices])
    few = tree.query_ball_point(middles, reach, return_length=True) <= _MOST_NEAR
    edge, middles, reach = edge[few], middles[few], reach[few]
    found = tree.query_ball_point(middles, reach, return_sorted=False)
    sizes = np.fromiter(map(len, found), np.int64, len(found))
    if not sizes.any():
        return none, none
    near = vertices[np.concatenate([np.asarray(f, dtype=np.int64) for f in found])]
    edge = np.repeat(edge, sizes)
    pairs = np.unique(edge * (int(vertices.max()) + 1) + near)
    edge, near = np.divmod(pairs, int(vertices.max()) + 1)
    other = (near != tail[edge]) & (near != head[edge])
    return edge[other], near[other]
