"""Two surfaces in one unit, points on them, and what measures of both kinds make of distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from doh3d.errors import ConfigError, MeshError
from doh3d.evaluation.protocols import FloatArray
from doh3d.geometry.repair import IntArray

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True)
class Surface:
    """The triangles of a mesh that have an area.

    Attributes
    ----------
    triangles : (F, 3, 3) float64
        Corners, in the unit of the measurement.
    vectors : (F, 3) float64
        Along the normals.
    doubled_areas : (F,) float64
        Twice the triangles' areas: the vectors' lengths.
    """

    triangles: FloatArray
    vectors: FloatArray
    doubled_areas: FloatArray

    @classmethod
    def of(cls, triangles: FloatArray) -> Surface:
        """Keep the triangles that have an area."""
        edges = triangles[:, 1:] - triangles[:, :1]
        vectors = np.cross(edges[:, 0], edges[:, 1])
        doubled_areas = np.linalg.norm(vectors, axis=1)
        kept = doubled_areas > 0
        if kept.all():
            return cls(triangles, vectors, doubled_areas)
        return cls(triangles[kept], vectors[kept], doubled_areas[kept])

    def normals(self, face: IntArray) -> FloatArray:
        """Return the (N, 3) unit normals of some triangles."""
        return self.vectors[face] / self.doubled_areas[face, None]

    def sample(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        """Draw (count, 3) points uniformly by area, and the (count,) triangles they lie on."""
        face = rng.choice(
            len(self.triangles), size=count, p=self.doubled_areas / self.doubled_areas.sum()
        )
        # Uniform in a parallelogram, its outer half folded back onto the triangle.
        weights = rng.random((count, 2))
        outer = weights.sum(axis=1) > 1
        weights[outer] = 1 - weights[outer]
        origin, second, third = self.triangles[face].swapaxes(0, 1)
        points = origin + weights[:, :1] * (second - origin) + weights[:, 1:] * (third - origin)
        return points, face


def scaled_surfaces(
    reference_mesh: trimesh.Trimesh, other_mesh: trimesh.Trimesh, longest_side: float
) -> tuple[Surface, Surface | None]:
    """Bring two meshes to the unit in which the reference is `longest_side` long.

    Returns
    -------
    reference : Surface
    other : Surface or None
        None for one without a surface.

    Raises
    ------
    MeshError
        The reference has no surface.
    """
    reference = np.asarray(reference_mesh.triangles, dtype=np.float64)
    other = np.asarray(other_mesh.triangles, dtype=np.float64)
    corners = reference.reshape(-1, 3)
    extent = float(np.ptp(corners, axis=0).max()) if len(corners) else 0.0
    if extent > 0:
        centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
        surface = Surface.of((reference - centre) * (longest_side / extent))
        if len(surface.triangles):
            found = Surface.of((other - centre) * (longest_side / extent))
            return surface, found if len(found.triangles) else None
    raise MeshError("the reference mesh has no surface; it needs faces with an area")


def check_sampling(samples: int, seed: int) -> None:
    """Raise ConfigError where there are no samples, or none for such a seed."""
    if samples < 1:
        raise ConfigError(f"samples is {samples}; it must be 1 or more")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be 0 or more")


def f_score(to_reference: FloatArray, to_other: FloatArray, threshold: float) -> float:
    """Harmonic mean of precision and recall, from the distances of either side's samples."""
    precision = float(np.mean(to_reference < threshold))
    recall = float(np.mean(to_other < threshold))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def mean_cosine(normals: FloatArray, others: FloatArray) -> float:
    """Mean of |cosine| between (N, 3) normals and as many others."""
    return float(np.abs(np.einsum("ij,ij->i", normals, others)).mean())
