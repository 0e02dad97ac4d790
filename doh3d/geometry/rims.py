"""Where the meshes of two neighbouring slabs meet: which vertex of one is which of the other.

Marching cubes leaves open edges on the plane of nodes between them, closed loops of them, and
the same loops from both sides. A vertex of a loop lies on an edge of the lattice in the plane,
which its coordinates name unless float32 rounds it to a node; then its neighbours in the loop
say which it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rim:
    """The open edges of a slab's mesh on one plane.

    Attributes
    ----------
    vertices : (R,) int64
        Numbers of the loops' vertices.
    following : (R,) int64
        Where in `vertices` the next vertex of each one's loop is, as the faces wind.
    places : (R, 2) int64
        Twice the vertices' coordinates in the plane, what lies between nodes taken as half-way:
        one odd number for a vertex whose edge they name, none for one at a node.
    """

    vertices: Indices
    following: Indices
    places: Indices

    def renumbered(self, numbers: Indices) -> Rim:
        """Give its vertices other numbers."""
        return Rim(numbers[self.vertices], self.following, self.places)


def plane_rim(
    vertices: npt.NDArray[np.float32],
    faces: npt.NDArray[np.int32],
    level: int,
    low: Indices,
) -> Rim:
    """Find the rim of a slab's mesh on the plane whose first coordinate is `level`.

    Parameters
    ----------
    vertices : (V, 3) float32
    faces : (F, 3) int
    level : int
    low : (2,) int64
        What to add to the other coordinates.
    """
    on_plane = vertices[:, 0] == level
    first, second, third = on_plane.take(np.ascontiguousarray(faces.T))
    some = (first & second) | (second & third) | (third & first)
    corners = faces[some].astype(np.int64)
    tails, heads = corners.reshape(-1), corners[:, [1, 2, 0]].reshape(-1)
    inside = on_plane[tails] & on_plane[heads]
    tails, heads = tails[inside], heads[inside]
    # Edges within the mesh are passed in both directions.
    count = len(vertices)
    keys, reversed_keys = tails * count + heads, np.sort(heads * count + tails)
    at = np.searchsorted(reversed_keys, keys)
    is_open = np.append(reversed_keys, -1)[at] != keys
    tails, heads = tails[is_open], heads[is_open]
    order = np.argsort(tails)
    tails, heads = tails[order], heads[order]
    following = np.searchsorted(tails, heads)
    assert np.array_equal(tails[following], heads), "a rim is made of closed loops"
    places = np.floor(vertices[tails, 1:]) + np.ceil(vertices[tails, 1:])
    return Rim(tails, following, places.astype(np.int64) + 2 * low)


def match_rims(lower: Rim, upper: Rim) -> Indices:
    """Find the vertices of `upper` in `lower`, the same rim from the other side.

    Returns
    -------
    (R,) int64
        Each one's number in `lower`.
    """
    assert len(lower.vertices) == len(upper.vertices), "both slabs have the same rim"
    match = _match_places(lower.places, upper.places)
    # Seen from the other side, loops run backwards.
    preceding = np.empty_like(lower.following)
    preceding[lower.following] = np.arange(len(preceding))
    for start in np.flatnonzero((match >= 0) & (match[upper.following] < 0)):
        at, there = upper.following[start], preceding[match[start]]
        while match[at] < 0:
            match[at] = there
            at, there = upper.following[at], preceding[there]
    if (match < 0).any():
        _match_loops(lower, upper, preceding, match)
    return lower.vertices[match]


def _match_places(lower: Indices, upper: Indices) -> Indices:
    """(R,) where in `lower` the same edge is, -1 where coordinates do not name one."""
    match = np.full(len(upper), -1, dtype=np.int64)
    named_lower, named_upper = (
        np.flatnonzero((places % 2).sum(axis=1) == 1) for places in (lower, upper)
    )
    keys_lower, keys_upper = (
        (places[:, 0] << 32) + places[:, 1] for places in (lower[named_lower], upper[named_upper])
    )
    _, at_lower, at_upper = np.intersect1d(keys_lower, keys_upper, return_indices=True)
    match[named_upper[at_upper]] = named_lower[at_lower]
    return match


def _match_loops(lower: Rim, upper: Rim, preceding: Indices, match: Indices) -> None:
    """Match loops all of whose vertices are at nodes with loops that run along them, in place."""
    free = np.setdiff1d(np.arange(len(match)), match)
    by_place: dict[tuple[int, int], list[int]] = {}
    for there, (y, z) in zip(free.tolist(), lower.places[free].tolist(), strict=True):
        by_place.setdefault((y, z), []).append(there)
    for start in np.flatnonzero(match < 0).tolist():
        if match[start] >= 0:
            continue
        y, z = upper.places[start].tolist()
        # The two sides may differ in whether a vertex was rounded to its node.
        near = ((y + dy, z + dz) for dy in (-1, 0, 1) for dz in (-1, 0, 1))
        candidates = [there for place in near for there in by_place.get(place, [])]
        loops = (_along(lower, upper, preceding, start, there) for there in candidates)
        loop = next((loop for loop in loops if loop), None)
        assert loop is not None, "both slabs have the same rim"
        for at, there in loop:
            match[at] = there
            y, z = lower.places[there].tolist()
            by_place[y, z].remove(there)


def _along(
    lower: Rim, upper: Rim, preceding: Indices, start: int, there: int
) -> list[tuple[int, int]]:
    """Pairs of the loops from `start` and `there`, if they run along each other; else empty."""
    pairs: list[tuple[int, int]] = []
    at, first = start, there
    while np.abs(lower.places[there] - upper.places[at]).max() <= 1:
        pairs.append((at, there))
        at, there = int(upper.following[at]), int(preceding[there])
        if at == start or there == first:
            return pairs if at == start and there == first else []
    return []
