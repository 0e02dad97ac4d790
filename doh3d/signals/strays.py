"""Samples where a shape's field has an inside, or an outside, that the mesh has nowhere near."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.geometry.sampling import OccupancySamples, surface_points
from doh3d.geometry.strays import FarCells, Inside

if TYPE_CHECKING:
    import trimesh

    from doh3d.field import OccupancyField

# Points on the surface: some twenty in each cell that it passes through.
_SURFACE_POINTS = 2**16

# Samples that are told at most.
_MOST = 512

# Their deviation from the points that were found, as a share of the cells' side.
_JITTER = 0.1


class StraySampler:
    """Searches fields of one shape for what the shape has nothing near to.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        The shape, in normalised coordinates.
    half_extents : (3,) float64
        Half sides of the domain box.
    inside : callable
        Whether (N, 3) float64 points are inside, (N,) bool.
    """

    def __init__(
        self, mesh: trimesh.Trimesh, half_extents: npt.NDArray[np.float64], inside: Inside
    ) -> None:
        surface, _ = surface_points(mesh, _SURFACE_POINTS, np.random.Generator(np.random.PCG64(0)))
        self._far = FarCells(surface, half_extents, inside)
        self._half_extents = half_extents

    def sample(
        self, field: OccupancyField, seed: int, *, thorough: bool
    ) -> OccupancySamples | None:
        """Draw samples where a field of the shape has strayed, in random order; None if nowhere."""
        corners = field.code.architecture.partition.corners.astype(np.float64)
        boxes = np.clip(corners, -self._half_extents, self._half_extents).swapaxes(0, 1)
        found, are_inside = self._far.strays(field.normalized_logits, boxes, thorough=thorough)
        if not len(found):
            return None
        generator = np.random.Generator(np.random.PCG64(seed))
        some = generator.permutation(len(found))[:_MOST]
        jitter = generator.uniform(-_JITTER, _JITTER, (len(some), 3)) * self._far.spacing
        points = np.clip(found[some] + jitter, -self._half_extents, self._half_extents)
        return OccupancySamples(points.astype(np.float32), are_inside[some].astype(np.float32))
