"""How far points are from a surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import trimesh

FloatArray = npt.NDArray[np.float32]


def surface_distance(mesh: trimesh.Trimesh) -> Callable[[npt.ArrayLike], FloatArray]:
    """Prepare the distances of points to one mesh, by Embree through Open3D.

    It asks an exact tree of triangles, a dozen times as fast as libigl's, and answers the same
    every time.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        In normalised coordinates, as float32 is all that Embree has.

    Returns
    -------
    callable
        Maps (N, 3) points to (N,) float32 unsigned distances, in the mesh's units.
    """
    from open3d.t.geometry import RaycastingScene

    scene = RaycastingScene()
    scene.add_triangles(
        np.ascontiguousarray(mesh.vertices, dtype=np.float32),
        np.ascontiguousarray(mesh.faces, dtype=np.uint32),
    )

    def distance(points: npt.ArrayLike) -> FloatArray:
        found = scene.compute_distance(np.ascontiguousarray(points, dtype=np.float32))
        return np.asarray(found.numpy(), dtype=np.float32)

    return distance
