"""Meshes whose vertices lie where the field's tangent planes meet, so that creases stay creases.

Triangles stay, vertices move (Ohtake and Belyaev, "Dual/primal mesh optimization for polygonized
implicit surfaces", Solid Modeling 2002): each triangle's middle is put onto the surface, and each
vertex where the tangent planes there meet, in the sense of least squares. Marching cubes has two
rows of vertices at a crease, and both would go to it: where triangles would turn over or vanish,
one of their corners goes only to the surface nearby, or nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from doh3d.operations.batches import in_batches
from doh3d.operations.normalized import NormalizedField, unit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# How often planes are drawn and vertices are moved.
_ROUNDS = 2

# Directions in which the planes hardly differ, by their share of the largest eigenvalue: a vertex
# is moved along these no farther than halfway to the middle of its triangles (Ju et al., SIGGRAPH
# 2002).
_FLAT = 0.05

# How far a vertex may go in a round, in cells. Marching cubes cuts an edge off by somewhat more
# than a cell where the field bends between nodes.
_REACH = 1.5

# Who goes less far than this has no place on the surface to come back to, for the sake of time.
_NOTABLE = 0.2

# What a triangle keeps of its area, as seen along the normals around it. One that would keep less
# has turned over, or lies in a crease that more than one of its corners have gone to.
_THIN = 0.02

# Of a triangle's corners the one goes back whose normal is farthest along this direction. It is no
# plane's normal in what people make, so that along a crease one side's corners all go there.
_ALONG = np.array([0.36, 0.48, 0.8])

# What is left between a triangle's middle and the surface, in cells, where the field has none
# there: at the domain's faces the mesh is merely closed.
_LEFT = 0.1

_POINTS = 2**16


def sharpened(
    field: NormalizedField, vertices: FloatArray, faces: IntArray, cell: float
) -> FloatArray:
    """Move the vertices of an extracted mesh.

    Parameters
    ----------
    field : NormalizedField
    vertices : (V, 3) float64
        Normalised coordinates.
    faces : (F, 3) int64
    cell : float
        Side of a cell of the lattice.

    Returns
    -------
    (V, 3) float64
    """
    for _ in range(_ROUNDS if len(faces) else 0):
        outward = _outward(vertices, faces)
        planes = _tangents(field, vertices[faces].mean(axis=1), outward, cell)
        meeting = _where_planes_meet(vertices, faces, planes)
        far = np.linalg.norm(meeting - vertices, axis=1) / cell
        # At the domain's faces the mesh is merely closed: what is there stays.
        stays = ~(far <= _REACH) | (_of_corners(faces, planes.found, len(vertices)) == 0)
        stays[faces[planes.closed]] = True
        # These may have to come back, but to the surface.
        some = np.flatnonzero(stays | (far > _NOTABLE))
        outward = _of_corners(faces, outward, len(vertices))[some]
        near = _tangents(field, vertices[some], outward, cell)
        on_surface = meeting.copy()
        on_surface[some] = np.where(near.found[:, None], near.places, vertices[some])
        wished = np.where(stays[:, None], on_surface, meeting)
        vertices = _moved(np.stack([vertices, on_surface, wished]), faces, planes.normals, far > 1)
    return vertices


@dataclass(frozen=True)
class _Tangents:
    """Tangent planes of the surface near points.

    Attributes
    ----------
    places, normals : (N, 3) float64
        Of the surface; the points and the gradients' directions there where it was not found.
    found : (N,) bool
        Whether there is a place that looks outward: where a wall or a gap is thin the nearest may
        be of its other side.
    closed : (N,) bool
        Whether a mesh has the point only because the domain ends there.
    """

    places: FloatArray
    normals: FloatArray
    found: BoolArray
    closed: BoolArray


def _tangents(
    field: NormalizedField, points: FloatArray, outward: FloatArray, cell: float
) -> _Tangents:
    """Put (N, 3) points onto the surface that looks outward there, by a cell at most."""
    start = torch.from_numpy(points)
    places, normals = torch.empty_like(start), torch.empty_like(start)
    found, closed = (torch.empty(len(start), dtype=torch.bool) for _ in range(2))

    def move(some: slice) -> None:
        own = field.place(start[some])
        moved = field.to_surface(own, cell)
        logits, slopes = field.gradients(moved)
        places[some], normals[some] = moved.double().cpu(), -unit(slopes).double().cpu()
        with torch.no_grad():
            _, at_end = field.closed_at(own, cell)
        found[some] = (~at_end & (logits.abs() < _LEFT * cell * slopes.norm(dim=1))).cpu()
        closed[some] = at_end.cpu()

    in_batches(move, len(points), _POINTS)
    looks = (normals.numpy() * outward).sum(axis=1) > 0
    return _Tangents(places.numpy(), normals.numpy(), found.numpy() & looks, closed.numpy())


def _where_planes_meet(vertices: FloatArray, faces: IntArray, planes: _Tangents) -> FloatArray:
    """(V, 3) places nearest to the planes found of each vertex's triangles.

    Where these leave a direction open it is the place nearest to halfway between the vertex, which
    alone would let triangles shrink, and the middle of its triangles, which would round corners.
    """
    normals = planes.normals * planes.found[:, None]

    def sums(values: FloatArray | BoolArray) -> FloatArray:
        return _of_corners(faces, values, len(vertices))

    count = sums(planes.found)[:, None].clip(1)
    middle = (vertices + sums(planes.places * planes.found[:, None]) / count) / 2
    matrix = sums(normals[:, :, None] * normals[:, None, :])
    heights = (normals * planes.places).sum(axis=1, keepdims=True)
    right = sums(normals * heights) - np.einsum("vij,vj->vi", matrix, middle)
    sizes, axes = np.linalg.eigh(matrix)
    inverse = np.where(sizes > _FLAT * sizes[:, -1:], 1 / np.maximum(sizes, 1e-30), 0.0)
    along = np.einsum("vij,vi->vj", axes, right) * inverse
    found: FloatArray = middle + np.einsum("vij,vj->vi", axes, along)
    return found


def _of_corners(faces: IntArray, values: FloatArray | BoolArray, count: int) -> FloatArray:
    """Sum (F, ...) values of the triangles around each of V vertices."""
    corners, face = faces.ravel(), np.repeat(np.arange(len(faces)), 3)
    columns = values.reshape(len(values), -1).T
    found = np.stack([np.bincount(corners, column[face], count) for column in columns])
    shaped: FloatArray = found.T.reshape(count, *values.shape[1:]).astype(np.float64)
    return shaped


def _moved(choices: FloatArray, faces: IntArray, normals: FloatArray, far: BoolArray) -> FloatArray:
    """Take the last of (3, V, 3) places of each vertex with which no triangle turns or vanishes.

    Triangles are seen along the mean normal around their corners: at a crease one may come to lie
    on either side. Of a triangle that would turn one corner goes back to the place before, first
    one that has far to go.
    """
    around = _unit(_of_corners(faces, normals, choices.shape[1]))
    seen_along = _unit(around[faces].sum(axis=1))
    least = _THIN * _areas(choices[0], faces, seen_along)
    every = np.arange(choices.shape[1])
    rank = around @ _ALONG + 10 * far
    level = np.full(len(every), len(choices) - 1)
    asked = np.flatnonzero(least > 0)
    while len(asked):
        corners = faces[asked]
        wrong = _areas(choices[level, every], corners, seen_along[asked]) <= least[asked]
        corners = corners[wrong & (level[corners] > 0).any(axis=1)]
        # Corners of the highest place first: it is a step that may be wrong.
        order = rank[corners] + 100 * level[corners]
        back = np.unique(corners[np.arange(len(corners)), order.argmax(axis=1)])
        level[back] -= 1
        changed = np.zeros(len(every), dtype=bool)
        changed[back] = True
        asked = np.flatnonzero((least > 0) & changed[faces].any(axis=1))
    found: FloatArray = choices[level, every]
    return found


def _areas(vertices: FloatArray, faces: IntArray, directions: FloatArray) -> FloatArray:
    """Twice the (F,) areas of triangles as seen along directions; negative from behind."""
    return np.asarray(np.einsum("ij,ij->i", _outward(vertices, faces), directions))


def _outward(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """(F, 3) normals of triangles, as long as twice their areas."""
    one, second, third = vertices[faces].swapaxes(0, 1)
    return np.asarray(np.cross(second - one, third - one))


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: FloatArray = vectors / np.maximum(lengths, 1e-30)
    return found
