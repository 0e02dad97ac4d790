"""How flat a surface is: what tells a machined part from a scan, whatever its triangles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from doh3d.geometry.sampling import surface_points

if TYPE_CHECKING:
    import trimesh

# Points on the surface, of which some are asked about all points around them.
_POINTS, _ASKED = 2**14, 2**10

# Around a point is what lies within this of it, where the longest side is 1.8.
_RADIUS = 0.1

# A point around it lies in its plane if it is no further from the plane, and the normals differ by
# a degree at most: triangles that approximate something round differ by more.
_THICKNESS, _COSINE = 2e-3, np.cos(np.radians(1.0))

# Cosine above which a normal faces the same side: a right angle, however it is rounded, does not.
_FACING = 1e-3


def flat_share(mesh: trimesh.Trimesh) -> float:
    """Share of the surface around a point that lies in the point's own plane, in the mean.

    Of what is around a point only that counts which faces the same side, so that both sides of a
    thin plate are flat.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        In normalised coordinates: longest side 1.8.

    Returns
    -------
    float
        1 where all is flat within the radius, about 0.01 for a scan, 0.3 and more for most
        machined parts.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    points, faces = surface_points(mesh, _POINTS, generator)
    corners = np.asarray(mesh.vertices, dtype=np.float64)[np.asarray(mesh.faces)[faces]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    asked = slice(_ASKED)
    around = cKDTree(points).query_ball_point(points[asked], _RADIUS)
    shares = []
    for point, normal, near in zip(points[asked], normals[asked], around, strict=True):
        cosine = normals[near] @ normal
        in_plane = (cosine > _COSINE) & (np.abs((points[near] - point) @ normal) < _THICKNESS)
        shares.append(in_plane.sum() / (cosine > _FACING).sum())
    return float(np.mean(shares))
