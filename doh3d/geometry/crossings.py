"""Winding numbers by counting where rays leave and enter: for surfaces that trees cannot sort.

Rays run in one direction. Seen along it, a ray is a point of the plane, and a grid over the plane
tells which triangles it can meet. Long slivers, a whole wall or fan of them, cross many cells, but
few of them any one cell; in a tree of boxes they all lie on top of one another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from doh3d.geometry.half_edges import HalfEdges
from doh3d.geometry.polygons import triangulate
from doh3d.geometry.repair import BoolArray, FloatArray, IntArray, has_repeated_corner

# Rays run along the last axis after one of these turns: along an axis of the mesh, in which the
# walls of many parts are seen from their edges, or, after turns by 0.7, 0.5 and 0.3, along none.
_C, _S = np.cos([0.7, 0.5, 0.3]), np.sin([0.7, 0.5, 0.3])
_TURNS = (
    *(np.roll(np.eye(3), shift, axis=0) for shift in range(3)),
    np.array([[_C[0], -_S[0], 0], [_S[0], _C[0], 0], [0, 0, 1]])
    @ np.array([[_C[1], 0, _S[1]], [0, 1, 0], [-_S[1], 0, _C[1]]])
    @ np.array([[1, 0, 0], [0, _C[2], -_S[2]], [0, _S[2], _C[2]]]),
)

# Cells of the grid, and triangles noted in cells, each for every cell that it touches: more would
# take longer to note than they save.
_MOST_CELLS = 1 << 22
_MOST_ENTRIES = 1 << 24
_ENTRIES_A_FACE = 64
_ENTRIES_ALWAYS = 1 << 20

# What it takes to note a triangle in a cell, beside looking at one for a point.
_ENTRY_COST = 2.5

# Triangles, or pairs of a point and a triangle, at a time: what is known of them stays within the
# cache.
_CHUNK = 1 << 16

# Widens the cells by rounding's share, so that none misses a triangle which touches it.
_MARGIN = 1e-6


@dataclass(frozen=True)
class RayCrossings:
    """Closed triangles in a grid of columns. Made by :meth:`of`.

    Attributes
    ----------
    corners : (V, 3) float64
        Rotated vertices.
    faces : (F, 3) int64
        Corners, the lowest number first: both faces at an edge have it in one direction, so
        that rounding puts a ray on the same side of it for both.
    edges : (8, F) float64
        For each face a b c: u of a and b, v of a, b and c, and du / dv of ab, bc and ac.
    sign : (F,) int8
        +1 where this order is the faces' own winding, else -1.
    turn : (3, 3) float64
        The rotation.
    low, cell : (2,) float64
        The grid's lowest corner, and the sides of a cell.
    grid : two integers
        Cells along each side.
    start, entries : int64, int32
        ``entries[start[c] : start[c + 1]]`` are the faces that touch cell c.
    """

    corners: FloatArray
    faces: IntArray
    edges: FloatArray
    sign: IntArray
    turn: FloatArray
    low: FloatArray
    cell: FloatArray
    grid: tuple[int, int]
    start: IntArray
    entries: IntArray

    @classmethod
    def of(
        cls,
        points: FloatArray,
        faces: IntArray,
        turns: Sequence[FloatArray] = _TURNS,
        asked: float = math.inf,
    ) -> RayCrossings:
        """Sort (F, 3) faces over (V, 3) normalised points, for rays along the best of some turns.

        Winding numbers need closed and welded faces. About how many points will be `asked` decides
        how finely faces are sorted, and nothing else.
        """
        order = np.argsort(faces, axis=1, kind="stable")
        # Even permutations of three are those that turn 0 1 2 round.
        even = (order[:, 1] - order[:, 0]) % 3 == 1
        ascending = np.take_along_axis(faces, order, axis=1)
        view = best_view(points, faces, turns, asked)
        corners = points @ view.turn
        low, high = corners[:, :2].min(axis=0), corners[:, :2].max(axis=0)
        cell = np.maximum(high - low, 1e-12) / view.grid
        cells, touching = _cells((corners[:, :2] - low) / cell, ascending, view.grid)
        by_cell = np.argsort(cells, kind="stable")
        counts = np.bincount(cells, minlength=view.grid[0] * view.grid[1])
        return cls(
            corners,
            ascending,
            _edges(corners, ascending),
            np.where(even, 1, -1).astype(np.int8),
            view.turn,
            low,
            cell,
            view.grid,
            np.concatenate([[0], np.cumsum(counts)]),
            touching[by_cell],
        )

    def candidates(self, points: FloatArray) -> IntArray:
        """Count the (N,) triangles that are looked at for (N, 3) normalised points."""
        first, after = self._ranges(points @ self.turn)
        return after - first

    def winding_number(self, points: FloatArray) -> FloatArray:
        """Count (N,) how often the surface winds round (N, 3) normalised points."""
        winding = np.zeros(len(points))
        for some, which, turns, above in self._met(points):
            winding[some] = np.bincount(which[above], weights=turns[above], minlength=len(some))
        return winding

    def crossings(self, points: FloatArray) -> tuple[IntArray, IntArray]:
        """Count how many faces lie above, (N,), and how many below (N, 3) normalised points.

        Windings do not matter, nor has the surface to be closed.
        """
        counts = np.zeros((2, len(points)), dtype=np.int64)
        for some, which, turns, above in self._met(points):
            for side, chosen in enumerate((above, ~above)):
                weights = np.abs(turns[chosen])
                counts[side, some] = np.bincount(which[chosen], weights, minlength=len(some))
        return counts[0], counts[1]

    def _met(self, points: FloatArray) -> Iterator[tuple[IntArray, IntArray, IntArray, BoolArray]]:
        """Yield some of the points after others, and what the lines through them meet.

        That is the points' numbers; and for each face met, which of those points it is met from,
        in which sense, and whether above it.
        """
        rotated = points @ self.turn
        first, after = self._ranges(rotated)
        # Neighbours meet the same triangles.
        order = np.argsort(first, kind="stable")
        total = np.cumsum((after - first)[order])
        begin = 0
        while begin < len(points):
            done = total[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, done + _CHUNK, side="right")))
            some = order[begin:end]
            which, entry = _spans(first[some], after[some] - 1)
            hit, turns, above = self._meet(rotated[some], which, self.entries[entry])
            yield some, which[hit], turns, above
            begin = end

    def _ranges(self, rotated: FloatArray) -> tuple[IntArray, IntArray]:
        """Where each point's triangles begin and end among the entries."""
        cell = np.floor((rotated[:, :2] - self.low) / self.cell).astype(np.int64)
        # The upmost points belong to the last cells; what lies beyond the grid meets nothing.
        on_grid = ((cell >= 0) & (cell <= self.grid)).all(axis=1)
        cell = np.minimum(cell.clip(0), np.array(self.grid) - 1)
        index = cell[:, 1] * self.grid[0] + cell[:, 0]
        return self.start[index], self.start[index + on_grid]

    def _meet(
        self, points: FloatArray, which: IntArray, faces: IntArray
    ) -> tuple[IntArray, IntArray, BoolArray]:
        """Find which of (N,) pairs of a point and a face meet: their numbers, sense, and side.

        In the plane, a triangle winds round a point as often as its three edges together cross
        the half-line from it to the right. Each edge counts with opposite signs for its two
        faces, so that no rounding can leave a closed surface open.
        """
        u, v = points[which, 0], points[which, 1]
        au, bu, av, bv, cv, ab, bc, ac = (numbers[faces] for numbers in self.edges)
        below_a, below_b, below_c = (av <= v).view(np.int8), (bv <= v).view(np.int8), cv <= v
        below_c = below_c.view(np.int8)
        # An edge that is level has no slope, but no end below a point that its other is not.
        with np.errstate(invalid="ignore"):
            turns = (below_a - below_b) * (au + (v - av) * ab > u)
            turns += (below_b - below_c) * (bu + (v - bv) * bc > u)
            turns -= (below_a - below_c) * (au + (v - av) * ac > u)
        hit = np.flatnonzero(turns)
        a, b, c = self.corners[self.faces[faces[hit]]].transpose(1, 0, 2)
        point = points[which[hit]]
        normal, away = np.cross(b - a, c - a), point - a
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            rise = (normal[:, 0] * away[:, 0] + normal[:, 1] * away[:, 1]) / normal[:, 2]
        heights = np.stack([a[:, 2], b[:, 2], c[:, 2]])
        # A triangle seen from its edge has no slope to speak of, but still its corners' heights.
        crossing = np.nan_to_num(a[:, 2] - rise).clip(heights.min(axis=0), heights.max(axis=0))
        return hit, turns[hit] * self.sign[faces[hit]], crossing > point[:, 2]


def _edges(corners: FloatArray, faces: IntArray) -> FloatArray:
    """Return (8, F) what `RayCrossings` says of its edges."""
    (au, bu, cu), (av, bv, cv) = corners[faces, 0].T, corners[faces, 1].T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slopes = [(bu - au) / (bv - av), (cu - bu) / (cv - bv), (cu - au) / (cv - av)]
    return np.stack([au, bu, av, bv, cv, *slopes])


@dataclass(frozen=True)
class View:
    """A direction of rays, the best grid for it, and about how many triangles a cell then has."""

    turn: FloatArray
    grid: tuple[int, int]
    candidates: float

    @classmethod
    def of(
        cls, points: FloatArray, faces: IntArray, turn: FloatArray, asked: float = math.inf
    ) -> View:
        """Find the grid that costs least for so many points: with infinitely many the finest."""
        flat = (points @ turn)[:, :2]
        sides = np.maximum(np.ptp(flat, axis=0), 1e-12)
        lengths, area = _sizes((flat / sides)[faces])
        u, v = lengths.sum(axis=0).tolist()
        most = min(_MOST_ENTRIES, _ENTRIES_ALWAYS + _ENTRIES_A_FACE * len(faces))
        views = []
        for columns in 2 ** np.arange(17):
            for rows in 2 ** np.arange(17):
                entries = len(faces) + columns * u + rows * v + columns * rows * float(area.sum())
                cells = int(columns * rows)
                if cells == 1 or (cells <= _MOST_CELLS and entries <= most):
                    view = cls(turn, (int(columns), int(rows)), entries / cells)
                    views.append((view.candidates + _ENTRY_COST * entries / asked, view))
        return min(views, key=lambda costed: costed[0])[1]


def best_view(
    points: FloatArray,
    faces: IntArray,
    turns: Sequence[FloatArray] = _TURNS,
    asked: float = math.inf,
) -> View:
    """Choose the direction in which a ray has the fewest triangles near by."""
    views = (View.of(points, faces, turn, asked) for turn in turns)
    return min(views, key=lambda view: view.candidates)


def _sizes(corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sides (F, 2) of the box around each (F, 3, 2) triangle, and (F,) the triangle's area."""
    edges = corners[:, 1:] - corners[:, :1]
    area = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) / 2
    return np.ptp(corners, axis=1), area


def _cells(flat: FloatArray, faces: IntArray, grid: tuple[int, int]) -> tuple[IntArray, IntArray]:
    """Pairs of a cell and a face that touches it: (E,) int32 each. Lengths are in cells."""
    lengths, area = _sizes(flat[faces])
    chunk = (np.cumsum(3 + lengths.sum(axis=1) + area) / _CHUNK).astype(np.int64)
    begins = np.flatnonzero(np.diff(chunk, prepend=-1)).tolist()
    found = [
        _cells_of(flat[faces[begin:end]], grid, begin)
        for begin, end in zip(begins, [*begins[1:], len(faces)], strict=True)
    ]
    return np.concatenate([c for c, _ in found]), np.concatenate([f for _, f in found])


def _cells_of(corners: FloatArray, grid: tuple[int, int], begin: int) -> tuple[IntArray, IntArray]:
    """Cells of (M, 3, 2) triangles, row by row of the grid."""
    columns, rows = grid
    v = corners[:, :, 1]
    bottom = np.floor(v.min(axis=1) - _MARGIN).astype(np.int64).clip(0, rows - 1)
    top = np.floor(v.max(axis=1) + _MARGIN).astype(np.int64).clip(0, rows - 1)
    face, row = _spans(bottom, top)
    below, above = row - _MARGIN, row + 1 + _MARGIN
    left, right = np.full(len(face), np.inf), np.full(len(face), -np.inf)
    for k in range(3):
        p, q = corners[face, k], corners[face, (k + 1) % 3]
        rise = q[:, 1] - p[:, 1]
        # The part of the edge within the row, as shares of its length.
        with np.errstate(divide="ignore", invalid="ignore"):
            s, t = (below - p[:, 1]) / rise, (above - p[:, 1]) / rise
        level = np.abs(rise) < _MARGIN / 2
        s, t = np.where(level, 0.0, np.minimum(s, t)), np.where(level, 1.0, np.maximum(s, t))
        meets = (s <= 1) & (t >= 0) & (~level | ((p[:, 1] >= below) & (p[:, 1] <= above)))
        for share in (s.clip(0, 1), t.clip(0, 1)):
            at = p[:, 0] + share * (q[:, 0] - p[:, 0])
            left = np.where(meets, np.minimum(left, at), left)
            right = np.where(meets, np.maximum(right, at), right)
    first = np.floor(left.clip(0, columns) - _MARGIN).astype(np.int64).clip(0, columns - 1)
    final = np.floor(right.clip(0, columns) + _MARGIN).astype(np.int64).clip(0, columns - 1)
    # Where a row is touched by the margin alone there may be no edge.
    span, column = _spans(first, np.where(left <= right, final, first - 1))
    return (row[span] * columns + column).astype(np.int32), (face[span] + begin).astype(np.int32)


def _spans(first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """List the whole numbers from each (N,) first to its last, and which span each is of."""
    count = np.maximum(last - first + 1, 0)
    span = np.repeat(np.arange(len(count)), count)
    return span, first[span] + np.arange(len(span)) - (np.cumsum(count) - count)[span]


def caps(points: FloatArray, faces: IntArray) -> IntArray:
    """Close a surface: (C, 3) triangles over its vertices that cancel all of its open edges.

    They join the edges into loops, and cut each as one polygon, flat or not. They may overlap:
    their own winding number is taken away again, whatever it is.
    """
    half = HalfEdges.of(faces)
    net = np.bincount(half.edge, weights=half.sign, minlength=len(half.start) - 1).astype(np.int64)
    unequal = np.flatnonzero(net)
    if not len(unequal):
        return np.zeros((0, 3), dtype=np.int64)
    tail, head = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    at = half.order[half.start[unequal]]
    ends = np.sort(np.stack([tail[at], head[at]]), axis=0)
    ends = np.repeat(ends, np.abs(net[unequal]), axis=1)
    # Against the surplus.
    up = np.repeat(net[unequal], np.abs(net[unequal])) < 0
    tail, head = np.where(up, ends, ends[::-1])
    # As many edges end at a vertex as begin there: each goes on with one of those.
    after = np.empty(len(tail), dtype=np.int64)
    after[np.argsort(head, kind="stable")] = np.argsort(tail, kind="stable")
    corners, sizes, following = [], [], after.tolist()
    left = np.ones(len(tail), dtype=np.bool_).tolist()
    for edge in range(len(following)):
        size = 0
        while left[edge]:
            left[edge] = False
            corners.append(edge)
            size += 1
            edge = following[edge]
        sizes.append(size)
    loops = tail[np.array(corners, dtype=np.int64)]
    triangles = triangulate(points, np.array(sizes, dtype=np.int64), loops, may_overlap=True)
    # A loop may come by a vertex twice.
    return triangles[~has_repeated_corner(triangles)]
