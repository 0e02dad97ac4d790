"""Meshes whose vertices lie where the field's tangent planes meet, so that creases stay creases.

Triangles stay, vertices move (Ohtake and Belyaev, "Dual/primal mesh optimization for polygonized
implicit surfaces", Solid Modeling 2002): each triangle's middle is put onto the surface, and each
vertex where the tangent planes there meet, in the sense of least squares.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from doh3d.operations.batches import in_batches
from doh3d.operations.normalized import NormalizedField, unit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# How often planes are drawn and vertices are moved.
_ROUNDS = 2

# Directions in which the planes hardly differ, by their share of the largest eigenvalue: a vertex
# is not moved along these away from the middle of its triangles (Ju et al., SIGGRAPH 2002).
_FLAT = 0.05

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
        Side of a cell of the lattice; no vertex goes farther in a round.

    Returns
    -------
    (V, 3) float64
    """
    for _ in range(_ROUNDS if len(faces) else 0):
        middles, normals, found = _tangents(field, vertices[faces].mean(axis=1), cell)
        target = _where_planes_meet(vertices, faces, middles, normals)
        moves = np.linalg.norm(target - vertices, axis=1) <= cell
        moves[faces[~found]] = False
        moves &= np.isfinite(target).all(axis=1)
        moved = np.where(moves[:, None], target, vertices)
        # A triangle that would turn over stays, and with it others' vertices: so it is asked again.
        faced = _cosines(vertices, faces, normals) > 0
        while (turned := faced & (_cosines(moved, faces, normals) <= 0)).any():
            moved[faces[turned]] = vertices[faces[turned]]
        vertices = moved
    return vertices


def _tangents(
    field: NormalizedField, points: FloatArray, cell: float
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Put points onto the surface; their places, the normals there, and whether it is there."""
    start = torch.from_numpy(points)
    places, normals = torch.empty_like(start), torch.empty_like(start)
    found = torch.empty(len(start), dtype=torch.bool)

    def move(some: slice) -> None:
        own = field.place(start[some])
        moved = field.to_surface(own, cell)
        logits, slopes = field.gradients(moved)
        places[some], normals[some] = moved.double().cpu(), -unit(slopes).double().cpu()
        with torch.no_grad():
            _, closed = field.closed_at(own, cell)
        found[some] = (~closed & (logits.abs() < _LEFT * cell * slopes.norm(dim=1))).cpu()

    in_batches(move, len(points), _POINTS)
    return places.numpy(), normals.numpy(), found.numpy()


def _where_planes_meet(
    vertices: FloatArray, faces: IntArray, middles: FloatArray, normals: FloatArray
) -> FloatArray:
    """(V, 3) places nearest to the planes of each vertex's triangles, and to their middle."""
    corners, face = faces.ravel(), np.repeat(np.arange(len(faces)), 3)

    def sums(values: FloatArray) -> FloatArray:
        columns = values.reshape(len(values), -1).T
        found = np.stack([np.bincount(corners, column[face], len(vertices)) for column in columns])
        shaped: FloatArray = found.T.reshape(len(vertices), *values.shape[1:]).astype(np.float64)
        return shaped

    count = np.bincount(corners, minlength=len(vertices))[:, None].clip(1)
    middle = sums(middles) / count
    outer = normals[:, :, None] * normals[:, None, :]
    matrix = sums(outer)
    heights = (normals * middles).sum(axis=1, keepdims=True)
    right = sums(normals * heights) - np.einsum("vij,vj->vi", matrix, middle)
    sizes, axes = np.linalg.eigh(matrix)
    inverse = np.where(sizes > _FLAT * sizes[:, -1:], 1 / np.maximum(sizes, 1e-30), 0.0)
    along = np.einsum("vij,vi->vj", axes, right) * inverse
    found: FloatArray = middle + np.einsum("vij,vj->vi", axes, along)
    return found


def _cosines(vertices: FloatArray, faces: IntArray, normals: FloatArray) -> FloatArray:
    one, second, third = vertices[faces].swapaxes(0, 1)
    return np.asarray(np.einsum("ij,ij->i", np.cross(second - one, third - one), normals))
