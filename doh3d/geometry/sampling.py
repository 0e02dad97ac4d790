"""Points of space with their occupancy: what a field is fitted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.geometry.distance import surface_distance
from doh3d.geometry.occupancy import inside_test

if TYPE_CHECKING:
    import trimesh

FloatArray = npt.NDArray[np.float64]

# Points drawn and labelled at a time: bounds the memory beside the result.
_CHUNK = 1 << 18

# Occupancy of a point on the surface itself, which a float32 sum may miss by its last digit.
_SURFACE_OCCUPANCY = 0.5

# Draws for a point that leaves the domain box before it is moved onto the box's face.
_REDRAWS = 8


@dataclass(frozen=True)
class OccupancySamples:
    """Points and whether they are inside, in random order.

    Every contiguous slice is itself an unbiased batch.

    Attributes
    ----------
    points : (N, 3) float32
        In [-1, 1], normalised coordinates.
    occupancy : (N,) float32
        1 where the mesh encloses the point and 0 elsewhere; with a softness, near the surface
        something between, 0.5 on it.
    """

    points: npt.NDArray[np.float32]
    occupancy: npt.NDArray[np.float32]

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """(N,) bool, True where the mesh encloses the point."""
        return self.occupancy > _SURFACE_OCCUPANCY

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """(N, 1) float32, the occupancy as a fit takes it."""
        return self.occupancy[:, None]

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.points)


def sample_occupancy(
    mesh: trimesh.Trimesh,
    half_extents: npt.ArrayLike,
    count: int,
    *,
    near_surface_fraction: float = 0.5,
    near_surface_std: float = 0.02,
    softness: float = 0.0,
    seed: int = 0,
    inside: Callable[[FloatArray], npt.NDArray[np.bool_]] | None = None,
) -> OccupancySamples:
    """Draw points in a box and label them inside or outside.

    Each point is, independently, near the surface with probability `near_surface_fraction` and
    uniform in the box otherwise. A point near the surface is uniform on the surface plus
    isotropic Gaussian noise. One that leaves the box is drawn anew, surface point and noise, up
    to eight times; the few that still leave it (where the surface itself lies outside the box)
    are moved to the nearest point of the box.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        In normalised coordinates: longest side 1.8, centred at 0.
    half_extents : (3,) float
        Half the sides of the domain box, which is centred at 0; each in (0, 1].
    count : int
        Number of points, >= 0.
    near_surface_fraction : float
        Expected share of points near the surface, in [0, 1].
    near_surface_std : float
        Standard deviation of the noise along each axis, in normalised units, >= 0.
    softness : float
        The occupancy of a point near the surface is the logistic function of its signed
        distance over this, in normalised units, >= 0. A network that is to be smooth anyway
        learns faster from it where its surface should be than from which side it should be on.
    seed : int
        Same seed, same points; global random state is neither read nor changed.
    inside : callable, optional
        Labels (N, 3) float64 points; by default the mesh's own reproducible
        :func:`doh3d.geometry.occupancy.inside_test`.

    Returns
    -------
    OccupancySamples
        The occupancy is that of the points as rounded to float32.
    """
    label = inside_test(mesh) if inside is None else inside
    half = np.asarray(half_extents, dtype=np.float64)
    generator = np.random.Generator(np.random.PCG64(seed))
    triangles = np.asarray(mesh.vertices, dtype=np.float64)[np.asarray(mesh.faces)]
    surface = _Surface.of(triangles)
    # Rounding to float32 must not leave the box either.
    limit = half.astype(np.float32)
    limit = np.where(limit > half, np.nextafter(limit, np.float32(0)), limit)
    points = np.empty((count, 3), dtype=np.float32)
    occupancy = np.empty(count, dtype=np.float32)
    distance = surface_distance(mesh) if softness else None
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        chunk = generator.uniform(-half, half, (size, 3))
        near_surface = np.flatnonzero(generator.random(size) < near_surface_fraction)
        pending = near_surface
        for _ in range(1 + _REDRAWS):
            near, _ = surface.draw(len(pending), generator)
            near += generator.normal(0.0, near_surface_std, near.shape)
            chunk[pending] = near
            pending = pending[(np.abs(near) > half).any(axis=1)]
            if not len(pending):
                break
        rounded = np.clip(chunk.astype(np.float32), -limit, limit)
        points[start : start + size] = rounded
        inside_chunk = label(rounded.astype(np.float64))
        chunk_occupancy = occupancy[start : start + size]
        chunk_occupancy[:] = inside_chunk
        if distance is not None:
            # Points all over the box are mostly too far for it to matter.
            depth = distance(rounded[near_surface]) / np.float32(softness)
            outer = np.exp(-depth) / (1 + np.exp(-depth))
            chunk_occupancy[near_surface] = np.where(inside_chunk[near_surface], 1 - outer, outer)
    return OccupancySamples(points, occupancy)


def surface_points(
    mesh: trimesh.Trimesh, count: int, generator: np.random.Generator
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Draw (count, 3) points on the surface, uniformly in area, each with its face's number."""
    triangles = np.asarray(mesh.vertices, dtype=np.float64)[np.asarray(mesh.faces)]
    return _Surface.of(triangles).draw(count, generator)


@dataclass(frozen=True)
class _Surface:
    """Triangles to draw points from, uniformly in area."""

    corner: FloatArray
    edges: FloatArray
    cumulative_area: FloatArray

    @classmethod
    def of(cls, triangles: FloatArray) -> _Surface:
        edges = triangles[:, 1:] - triangles[:, :1]
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        return cls(triangles[:, 0], edges, np.cumsum(area))

    def draw(
        self, count: int, generator: np.random.Generator
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Draw (count, 3) points, each with the number of its triangle."""
        at = generator.random(count) * self.cumulative_area[-1]
        face = np.searchsorted(self.cumulative_area, at, side="right")
        face = np.minimum(face, len(self.corner) - 1)
        # A point of the parallelogram, folded back over its diagonal into the triangle.
        weights = generator.random((count, 2))
        beyond = weights.sum(axis=1) > 1
        weights[beyond] = 1 - weights[beyond]
        points: FloatArray = self.corner[face] + np.einsum("nk,nkj->nj", weights, self.edges[face])
        return points, face
