"""How far points are from a surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.geometry.winding import along_curve

if TYPE_CHECKING:
    import trimesh


def surface_distance(mesh: trimesh.Trimesh) -> Callable[[npt.ArrayLike], npt.NDArray[np.float32]]:
    """Prepare the distances of points to one mesh.

    libigl's tree of triangles is exact, and asked in the order of a space-filling curve as fast
    as Embree.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        In normalised coordinates.

    Returns
    -------
    callable
        Maps (N, 3) points in [-1, 1]^3 to (N,) float32 unsigned distances.
    """
    from igl import point_mesh_squared_distance

    vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
    faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)

    def distance(points: npt.ArrayLike) -> npt.NDArray[np.float32]:
        points = np.asarray(points, dtype=np.float64)
        found = np.empty(len(points), dtype=np.float32)
        if len(points):
            order = along_curve(points)
            squared = point_mesh_squared_distance(
                np.ascontiguousarray(points[order]), vertices, faces
            )[0]
            found[order] = np.sqrt(squared)
        return found

    return distance
