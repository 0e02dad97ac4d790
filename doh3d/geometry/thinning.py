"""Scans of tens of millions of triangles, thinned while they are read.

Vertices are clustered on a cubic lattice, and each cluster is represented by the point nearest to
the planes of its triangles (Lindstrom, "Out-of-core simplification of large polygonal models",
SIGGRAPH 2000). Triangles whose corners lie in fewer than three cells are left out. Clustering maps
a closed surface to a closed surface, so that winding numbers stay whole; triangles that come to lie
on each other cancel, or count as often as they are wound one way more than the other.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from doh3d.geometry.distance import SurfaceTree
from doh3d.geometry.polygons import MOST_FACES, FloatArray, IntArray
from doh3d.geometry.raw_mesh import RawMesh

_log = logging.getLogger(__name__)

# Of what is thinned; 1.5 GB of binary STL.
MOST_THINNED = 30_000_000

# About so many triangles are left: cells of a four hundredth of the longest side, on most shapes.
_FACES_LEFT = 1_000_000

_CHUNK = 1 << 20

# The lattice is chosen by the cells that a sample of corners is in, at a width at which there are
# many corners to each; cells in use then grow as the square of their number along the longest side.
_SAMPLE, _COARSE_CELLS = 1 << 20, 128
_MOST_CELLS = 4096

# Directions in which a cluster's planes leave its point open keep it at the corners' mean: those in
# which the planes' normals have less than this share of their sum of squares.
_LEAST_SHARE = 1e-2

# Corners whose distances from the thinned surface are measured.
_MEASURED = 100_000


@dataclass(frozen=True)
class Triangles:
    """Triangles of a file that are too many to hold.

    Attributes
    ----------
    count : int
    corners : callable
        Reads the triangles of a slice: (m, 3, 3) float64, in the file's own units.
    """

    count: int
    corners: Callable[[slice], FloatArray]

    def chunks(self) -> list[slice]:
        """Cut all of them into slices."""
        starts = range(0, self.count, _CHUNK)
        return [slice(start, min(start + _CHUNK, self.count)) for start in starts]


@dataclass(frozen=True)
class _Lattice:
    """Cubic cells over a box."""

    low: FloatArray
    cell: float
    cells: int

    def ids(self, points: FloatArray) -> IntArray:
        """Return the numbers of the cells that (..., 3) points, in cells, are in."""
        x, y, z = np.moveaxis(points.astype(np.int64), -1, 0)
        ids: IntArray = (x * self.cells + y) * self.cells + z
        return ids


def thin(triangles: Triangles) -> RawMesh:
    """Cluster the corners of very many triangles, reading them piece by piece.

    Parameters
    ----------
    triangles : Triangles
        At most `MOST_THINNED`.

    Returns
    -------
    RawMesh
        About a million triangles, at most `MOST_FACES`; its note tells how many there were, and
        how far the corners that were given lie from those that are left.

    Raises
    ------
    ValueError
        If there are too many, a corner is not finite, or nothing is left.
    """
    if triangles.count > MOST_THINNED:
        raise ValueError(
            f"its {triangles.count} triangles are more than {MOST_THINNED}; simplify it first"
        )
    low, high, sample = _survey(triangles)
    longest = float((high - low).max())
    if not longest:
        raise ValueError("all its corners are in one place; a surface is needed")
    coarse = _lattice(low, longest, _COARSE_CELLS)
    in_use = len(np.unique(coarse.ids((sample - low) / coarse.cell)))
    # A closed surface has twice as many triangles as vertices.
    cells = math.floor(_COARSE_CELLS * math.sqrt(_FACES_LEFT / 2 / in_use))
    cells = min(max(cells, 2), _MOST_CELLS)
    while True:
        vertices, faces = _cluster(triangles, _lattice(low, longest, cells))
        if len(faces) <= MOST_FACES:
            break
        cells = math.floor(cells * 0.7)
    if not len(faces):
        raise ValueError("nothing is left of its surface when it is thinned; simplify it first")
    mean, largest = _distances(vertices, faces, sample, longest)
    note = (
        f"{triangles.count} triangles were thinned to {len(faces)} while they were read; the "
        f"corners given lie {mean:.4%} of the longest side from these in the mean, "
        f"{largest:.3%} at most; quality is measured against these"
    )
    return RawMesh(vertices, faces, notes=(note,))


def _lattice(low: FloatArray, longest: float, cells: int) -> _Lattice:
    # A little more than the longest side, so that no corner is on the far rim.
    return _Lattice(low, longest * (1 + 1e-9) / cells, cells)


def _survey(triangles: Triangles) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the bounds of all corners, and a sample of them (N, 3)."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    step = max(1, triangles.count // _SAMPLE)
    samples = []
    for part in triangles.chunks():
        corners = triangles.corners(part)
        if not np.isfinite(corners).all():
            raise ValueError("a corner is not finite; a scan of finite numbers is needed")
        low = np.minimum(low, corners.min(axis=(0, 1)))
        high = np.maximum(high, corners.max(axis=(0, 1)))
        samples.append(corners[::step, 0].copy())
    return low, high, np.concatenate(samples)


def _cluster(triangles: Triangles, lattice: _Lattice) -> tuple[FloatArray, IntArray]:
    """Return a point for each cell that is in use, and the triangles over these."""
    found, sums, kept = [], [], []
    for part in triangles.chunks():
        # In cells, from the lattice's corner: in the file's units digits may be lost.
        corners = (triangles.corners(part) - lattice.low) / lattice.cell
        ids = lattice.ids(corners)
        cells, inverse = np.unique(ids, return_inverse=True)
        of_corners = [corners.reshape(-1, 3), np.ones((3 * len(ids), 1))]
        columns = np.hstack([*of_corners, np.repeat(_planes(corners), 3, axis=0)])
        found.append(cells)
        sums.append(_sums(inverse.ravel(), columns))
        a, b, c = ids.T
        kept.append(ids[(a != b) & (b != c) & (c != a)])
    cells, inverse = np.unique(np.concatenate(found), return_inverse=True)
    points = _representatives(_sums(inverse, np.concatenate(sums)))
    faces = _without_cancelled(np.searchsorted(cells, np.concatenate(kept)), len(cells))
    used = np.unique(faces)
    return points[used] * lattice.cell + lattice.low, np.searchsorted(used, faces)


def _sums(groups: IntArray, columns: FloatArray) -> FloatArray:
    """Sum (N, k) rows by their groups."""
    return np.stack([np.bincount(groups, weights=column) for column in columns.T], axis=1)


def _planes(corners: FloatArray) -> FloatArray:
    """Return each triangle's plane as (m, 9): n n^T, its upper half, and n (n . p), by its area."""
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(areas, axis=1, keepdims=True)
    normals = areas / np.where(lengths > 0, lengths, 1)
    x, y, z = normals.T
    products = np.stack([x * x, x * y, x * z, y * y, y * z, z * z], axis=1)
    heights = np.einsum("ij,ij->i", normals, corners[:, 0])[:, None]
    planes: FloatArray = np.hstack([products, normals * heights]) * lengths
    return planes


def _representatives(sums: FloatArray) -> FloatArray:
    """Return the points nearest to the planes of clusters, (N, 3), in cells.

    `sums` are (N, 13): of the corners, their number, and their triangles' planes.
    """
    means = sums[:, :3] / sums[:, 3:4]
    matrices = sums[:, [4, 5, 6, 5, 7, 8, 6, 8, 9]].reshape(-1, 3, 3)
    pulls = sums[:, 10:] - np.einsum("nij,nj->ni", matrices, means)
    shares, directions = np.linalg.eigh(matrices)
    total = shares.sum(axis=1, keepdims=True)
    along = np.einsum("nji,nj->ni", directions, pulls)
    told = shares > _LEAST_SHARE * total
    moves = np.where(told, along / np.where(told, shares, 1), 0)
    moved = np.einsum("nij,nj->ni", directions, moves)
    # What leaves its cell by more than a cell follows planes that hardly meet there.
    near = (np.abs(moved) <= 1).all(axis=1, keepdims=True)
    points: FloatArray = np.where(near, means + moved, means)
    return points


def _without_cancelled(faces: IntArray, count: int) -> IntArray:
    """Cancel triangles of opposite windings over the same three of `count` vertices."""
    first = faces.argmin(axis=1)
    turned = np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, axis=1)
    forwards = turned[:, 1] < turned[:, 2]
    low, middle, high = turned[:, 0], turned[:, 1:].min(axis=1), turned[:, 1:].max(axis=1)
    # The vertices of three million would not fit three to an integer: two do.
    edges, edge = np.unique(low * count + middle, return_inverse=True)
    keys, index = np.unique(edge * count + high, return_inverse=True)
    net = np.bincount(index, weights=np.where(forwards, 1, -1)).astype(np.int64)
    edge, high = np.divmod(keys, count)
    low, middle = np.divmod(edges[edge], count)
    wound = np.where((net > 0)[:, None], np.stack([low, middle, high], 1), 0)
    wound = np.where((net < 0)[:, None], np.stack([low, high, middle], 1), wound)
    result: IntArray = np.repeat(wound, np.abs(net), axis=0)
    return result


def _distances(
    vertices: FloatArray, faces: IntArray, sample: FloatArray, longest: float
) -> tuple[float, float]:
    """Return how far corners lie from a surface, in the mean and at most, by the longest side."""
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    tree = SurfaceTree((vertices - centre) / longest, faces)
    points = sample[:: max(1, len(sample) // _MEASURED)]
    squared, _ = tree.nearest((points - centre) / longest)
    distances = np.sqrt(squared)
    return float(distances.mean()), float(distances.max())
