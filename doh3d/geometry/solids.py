"""Taking solids away from others, by Manifold."""

from __future__ import annotations

from typing import Any

import numpy as np

from doh3d.geometry.polygons import FloatArray, IntArray


def difference(
    solids: list[tuple[FloatArray, IntArray]], others: list[tuple[FloatArray, IntArray]]
) -> tuple[FloatArray, IntArray]:
    """Take the union of `others` away from that of `solids`.

    Parameters
    ----------
    solids, others : lists of ((V, 3) float64 vertices, (F, 3) int64 faces)
        Closed each, in the same units.

    Returns
    -------
    vertices : (W, 3) float64
    faces : (G, 3) int64

    Raises
    ------
    ValueError
        If one of them is not closed.
    """
    from manifold3d import Manifold, OpType

    joined = [
        Manifold.batch_boolean([_manifold(*mesh) for mesh in meshes], OpType.Add)
        for meshes in (solids, others)
    ]
    mesh = (joined[0] - joined[1]).to_mesh64()
    return (
        np.array(mesh.vert_properties[:, :3], dtype=np.float64),
        np.array(mesh.tri_verts, dtype=np.int64).reshape(-1, 3),
    )


def _manifold(vertices: FloatArray, faces: IntArray) -> Any:
    from manifold3d import Error, Manifold, Mesh64

    used, index = np.unique(faces, return_inverse=True)
    points, corners = vertices[used], index.reshape(-1, 3)
    a, b, c = (points - points.mean(axis=0))[corners].transpose(1, 0, 2)
    if np.einsum("ij,ij->i", a, np.cross(b, c)).sum() < 0:
        corners = corners[:, ::-1]
    mesh = Mesh64(np.ascontiguousarray(points), np.ascontiguousarray(corners, dtype=np.uint64))
    # Vertices at one place become one where that closes the surface.
    mesh.merge()
    solid = Manifold(mesh)
    if solid.status() != Error.NoError:
        raise ValueError(
            "a negative volume cannot be subtracted, since it or what it is in is not a closed "
            "surface; subtract it in the slicer and export the result"
        )
    return solid
