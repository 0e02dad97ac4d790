"""How close one surface is to another, measured from points of each to the other surface itself.

A surface has distance 0 from itself: how dense the points are decides how well a mean is known,
not what it is. What the literature measures, from points to points, is in
:mod:`doh3d.evaluation.point_metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from doh3d.errors import ConfigError
from doh3d.evaluation.protocols import FloatArray
from doh3d.evaluation.surface_samples import (
    Surface,
    check_sampling,
    f_score,
    mean_cosine,
    scaled_surfaces,
)
from doh3d.geometry.distance import SurfaceTree, triangle_distance
from doh3d.geometry.pieces import in_pieces
from doh3d.geometry.repair import IntArray

if TYPE_CHECKING:
    import trimesh

# Longest side of the reference, in the unit of the distances.
_LONGEST_SIDE = 2.0

# Results have so many decimals. What is cut off is rounding: float64 puts a point that is sampled
# on a triangle 1e-16 beside it, or 1e-9 where triangles are a million times as long as wide.
_DECIMALS = 8


@dataclass(frozen=True)
class SurfaceMetrics:
    """Distances between two surfaces, in units of half the reference's longest side.

    Distances are from points sampled on one surface to the nearest point of the other: a surface
    against itself has distances 0 and scores 1.

    Attributes
    ----------
    chamfer_l1 : float
        (accuracy + completeness) / 2.
    f_score : float
        Harmonic mean of precision, the share of the other's samples that lie closer than the
        threshold to the reference, and recall, the same with the roles exchanged; in [0, 1],
        and 0 where both are.
    normal_consistency : float
        |cosine| between the normal at each sample and that of the nearest triangle of the other
        surface, at an edge of either of its two; its mean over the reference's samples and its
        mean over the other's, averaged. In [0, 1].
    accuracy : float
        Mean distance from the other's samples to the reference.
    completeness : float
        Mean distance from the reference's samples to the other.
    """

    chamfer_l1: float
    f_score: float
    normal_consistency: float
    accuracy: float
    completeness: float


def surface_metrics(
    reference_mesh: trimesh.Trimesh,
    other_mesh: trimesh.Trimesh,
    *,
    samples: int = 100_000,
    threshold: float = 0.005,
    seed: int = 0,
) -> SurfaceMetrics:
    """Measure the distance between two surfaces from points sampled uniformly by area.

    Both meshes are scaled by the factor that makes the reference's longest side 2.

    Parameters
    ----------
    reference_mesh, other_mesh : trimesh.Trimesh
        The other may be empty: its distances are then infinite, its scores 0.
    samples : int
        Points on each surface, >= 1.
    threshold : float
        Distance of the F-score in the scaled unit, > 0.
    seed : int
        >= 0; the same samples for the same seed.

    Returns
    -------
    SurfaceMetrics

    Raises
    ------
    MeshError
        The reference has no surface.
    ConfigError
        `samples`, `threshold` or `seed` out of its range.
    """
    check_sampling(samples, seed)
    if not threshold > 0:
        raise ConfigError(f"threshold is {threshold}; it must be more than 0")
    reference, other = scaled_surfaces(reference_mesh, other_mesh, _LONGEST_SIDE)
    if other is None:
        return SurfaceMetrics(np.inf, 0.0, 0.0, np.inf, np.inf)
    rng = np.random.default_rng(seed)
    points, face = reference.sample(samples, rng)
    other_points, other_face = other.sample(samples, rng)
    to_reference, nearest_reference = _nearest(reference, other_points)
    to_other, nearest_other = _nearest(other, points)
    accuracy, completeness = float(to_reference.mean()), float(to_other.mean())
    consistency = (
        mean_cosine(other.normals(other_face), reference.normals(nearest_reference))
        + mean_cosine(reference.normals(face), other.normals(nearest_other))
    ) / 2
    return SurfaceMetrics(
        chamfer_l1=round((accuracy + completeness) / 2, _DECIMALS),
        f_score=f_score(to_reference, to_other, threshold),
        normal_consistency=round(consistency, _DECIMALS),
        accuracy=round(accuracy, _DECIMALS),
        completeness=round(completeness, _DECIMALS),
    )


def _nearest(surface: Surface, points: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the distances of points to a surface, and the triangles they are nearest to."""
    pieces, whole = in_pieces(surface.triangles)
    tree = SurfaceTree(pieces.reshape(-1, 3), np.arange(3 * len(pieces)).reshape(-1, 3))
    face = whole[tree.nearest(points)[1]]
    return triangle_distance(points, surface.triangles[face]), face
