"""How far points are from a surface, and which triangle they are nearest to.

Everything that asks for the nearest place on a surface goes through :class:`SurfaceTree`. It is
libigl's tree of triangles: in float64, unlike Embree, whose float32 puts points of a surface 1e-6
beside it, and as fast as that when asked in the order of a space-filling curve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.geometry.repair import FloatArray, IntArray
from doh3d.geometry.winding import along_curve

if TYPE_CHECKING:
    import trimesh


class SurfaceTree:
    """The nearest triangles of one surface, found exactly.

    Parameters
    ----------
    vertices : (V, 3) float
    faces : (F, 3) int
        At least one.
    """

    def __init__(self, vertices: npt.ArrayLike, faces: npt.ArrayLike) -> None:
        from igl import AABB

        self._vertices = np.ascontiguousarray(vertices, dtype=np.float64)
        self._faces = np.ascontiguousarray(faces, dtype=np.int64)
        self._tree = AABB()
        self._tree.init(self._vertices, self._faces)

    def nearest(self, points: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
        """Find the nearest triangle of each point.

        Parameters
        ----------
        points : (N, 3) float
            Any; those in [-1, 1]^3 are asked for in an order that is quick.

        Returns
        -------
        squared_distance : (N,) float64
            For a point on a triangle a thousand times as long as it is wide, or more, digits are
            lost; :func:`triangle_distance` has them.
        face : (N,) int64
            Where several are equally near, one of them.
        """
        squared, face, _ = self._ask(np.asarray(points, dtype=np.float64))
        return squared, face

    def closest(self, points: npt.ArrayLike) -> FloatArray:
        """(N, 3) float64 places of the surface nearest to (N, 3) points, see `nearest`."""
        return self._ask(np.asarray(points, dtype=np.float64))[2]

    def _ask(self, points: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
        squared, face = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
        places = np.empty((len(points), 3))
        if len(points):
            order = along_curve(points)
            squared[order], face[order], places[order] = self._tree.squared_distance(
                self._vertices, self._faces, np.ascontiguousarray(points[order])
            )
        return squared, face, places


def surface_distance(mesh: trimesh.Trimesh) -> Callable[[npt.ArrayLike], npt.NDArray[np.float32]]:
    """Prepare the distances of points to one mesh.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        In normalised coordinates.

    Returns
    -------
    callable
        Maps (N, 3) points in [-1, 1]^3 to (N,) float32 unsigned distances.
    """
    tree = SurfaceTree(mesh.vertices, mesh.faces)

    def distance(points: npt.ArrayLike) -> npt.NDArray[np.float32]:
        return np.sqrt(tree.nearest(points)[0]).astype(np.float32)

    return distance


def triangle_distance(points: FloatArray, triangles: FloatArray) -> FloatArray:
    """Measure how far each point is from a triangle of its own.

    Parameters
    ----------
    points : (N, 3) float64
    triangles : (N, 3, 3) float64
        Corners, of triangles with an area.

    Returns
    -------
    (N,) float64
        Right to rounding for needles, too. Barycentric coordinates are not: those of a triangle
        of width w and length 1 are uncertain by 1e-16 / w^2. Here the point is compared with each
        edge, and its height over the plane is taken from the nearest point of an edge, which is
        no farther than the triangle is wide.
    """
    edges = np.roll(triangles, -1, axis=1) - triangles
    normal = np.cross(edges[:, 0], edges[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    nearest = np.full(len(points), np.inf)
    from_nearest = np.zeros_like(points)
    above = np.ones(len(points), dtype=np.bool_)
    for corner, edge in zip(triangles.swapaxes(0, 1), edges.swapaxes(0, 1), strict=True):
        from_corner = points - corner
        along = _dot(from_corner, edge) / _dot(edge, edge)
        from_edge = from_corner - np.clip(along, 0, 1)[:, None] * edge
        distance = np.linalg.norm(from_edge, axis=1)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        from_nearest[closer] = from_edge[closer]
        above &= _dot(np.cross(normal, edge), from_corner) >= 0
    return np.where(above, np.abs(_dot(normal, from_nearest)), nearest)


def _dot(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->i", one, other), dtype=np.float64)
