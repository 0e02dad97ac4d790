"""How close one shape is to another: volumetric IoU, and distances between surfaces.

Volumes are compared through inside tests, so that a mesh and a field are measured alike.
A number means little without the points that it was measured on: every result names its
protocol and how many points it took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError, MeshError
from doh3d.evaluation.protocols import FloatArray, Protocol, iou_points

if TYPE_CHECKING:
    import trimesh

BoolArray: TypeAlias = npt.NDArray[np.bool_]
# True or 1 inside; a judge that does not know says -1.
Inside: TypeAlias = Callable[[FloatArray], BoolArray | npt.NDArray[np.int8]]

__all__ = [
    "Inside",
    "IouCount",
    "IouResult",
    "Protocol",
    "SurfaceMetrics",
    "iou_points",
    "surface_metrics",
    "volumetric_iou",
]

# Longest side of the reference when surfaces are compared.
_SURFACE_LONGEST_SIDE = 2.0


@dataclass(frozen=True)
class IouResult:
    """Volumetric intersection over union.

    Attributes
    ----------
    iou : float
        In [0, 1]. It is 0 where no point lies in either shape: nothing was measured then,
        and an empty decode of a shape too thin for these points must not count as perfect.
    protocol : {"bbox", "occnet", "grid"}
        How the points were chosen, see `iou_points`.
    points : int
        How many points were evaluated.
    undecided : float
        Share of those in either shape, and of those on which a judge does not know, that were
        left out because it does not know.
    """

    iou: float
    protocol: Protocol
    points: int
    undecided: float = 0.0


@dataclass(frozen=True)
class SurfaceMetrics:
    """Distances between two surfaces, in units of half the reference's longest side.

    All are between point samples, so that even a surface measured against itself has
    distances of about half the spacing of the samples (0.0056 for a sphere and 100,000 of
    them) and an F-score below 1. Compare values only at equal `samples`.

    Attributes
    ----------
    chamfer_l1 : float
        (accuracy + completeness) / 2.
    f_score : float
        Harmonic mean of precision, the share of the other's samples that lie closer than the
        threshold to a sample of the reference, and recall, the same with the roles
        exchanged; in [0, 1], and 0 where both are.
    normal_consistency : float
        |cosine| between the normal at each sample and the normal at the nearest sample of the
        other surface; its mean over the reference's samples and its mean over the other's,
        averaged. In [0, 1].
    accuracy : float
        Mean distance from the other's samples to the nearest sample of the reference.
    completeness : float
        Mean distance from the reference's samples to the nearest sample of the other.
    """

    chamfer_l1: float
    f_score: float
    normal_consistency: float
    accuracy: float
    completeness: float


def volumetric_iou(
    reference_inside: Inside,
    other_inside: Inside,
    reference_bounds: npt.ArrayLike,
    other_bounds: npt.ArrayLike | None,
    *,
    protocol: Protocol = "bbox",
    points: int | None = None,
    grid: int | None = None,
    seed: int = 0,
) -> IouResult:
    """Measure the intersection over union of two shapes' volumes.

    Parameters
    ----------
    reference_inside, other_inside : callable
        From (N, 3) float64 points to (N,) bool, True inside: an inside test of a mesh, or a
        field's `occupancy`. Or to (N,) int8, -1 where a judge does not know: such points are left
        out.
    reference_bounds, other_bounds, protocol, points, grid, seed
        What to compare them on, see `iou_points`.

    Returns
    -------
    IouResult

    Raises
    ------
    ConfigError
        As `iou_points`.
    """
    count = IouCount(protocol)
    for chunk in iou_points(
        protocol, reference_bounds, other_bounds, points=points, grid=grid, seed=seed
    ):
        count.add(reference_inside(chunk), other_inside(chunk))
    return count.result()


class IouCount:
    """Counts points in both of two shapes, and in either, chunk by chunk."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._evaluated = self._intersection = self._union = self._undecided = 0

    def add(self, one: npt.ArrayLike, other: npt.ArrayLike) -> None:
        """Count points by what two tests say of them, as `Inside` says it."""
        labels = np.asarray(one, dtype=np.int8), np.asarray(other, dtype=np.int8)
        known = (labels[0] >= 0) & (labels[1] >= 0)
        in_one, in_other = (label[known] > 0 for label in labels)
        self._evaluated += len(labels[0])
        self._undecided += int(np.count_nonzero(~known))
        self._intersection += int(np.count_nonzero(in_one & in_other))
        self._union += int(np.count_nonzero(in_one | in_other))

    def result(self) -> IouResult:
        """Return what the counts come to."""
        union, undecided = self._union, self._undecided
        return IouResult(
            self._intersection / union if union else 0.0,
            self._protocol,
            self._evaluated,
            undecided / (union + undecided) if undecided else 0.0,
        )


def surface_metrics(
    reference_mesh: trimesh.Trimesh,
    other_mesh: trimesh.Trimesh,
    *,
    samples: int = 100_000,
    threshold: float = 0.005,
    seed: int = 0,
) -> SurfaceMetrics:
    """Measure the distance between two surfaces on points sampled uniformly by area.

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
    from scipy.spatial import cKDTree

    if samples < 1:
        raise ConfigError(f"samples is {samples}; it must be 1 or more")
    if not threshold > 0:
        raise ConfigError(f"threshold is {threshold}; it must be more than 0")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be 0 or more")
    reference_triangles = np.asarray(reference_mesh.triangles, dtype=np.float64)
    other_triangles = np.asarray(other_mesh.triangles, dtype=np.float64)
    if not _has_surface(reference_triangles):
        raise MeshError("the reference mesh has no surface; it needs faces with an area")
    if not _has_surface(other_triangles):
        return SurfaceMetrics(np.inf, 0.0, 0.0, np.inf, np.inf)

    corners = reference_triangles.reshape(-1, 3)
    bounds = np.stack([corners.min(axis=0), corners.max(axis=0)])
    centre, scale = bounds.mean(axis=0), _SURFACE_LONGEST_SIDE / float(np.ptp(bounds, axis=0).max())
    rng = np.random.default_rng(seed)
    reference, reference_normals = _sample((reference_triangles - centre) * scale, samples, rng)
    other, other_normals = _sample((other_triangles - centre) * scale, samples, rng)

    to_reference, nearest_reference = cKDTree(reference).query(other, workers=-1)
    to_other, nearest_other = cKDTree(other).query(reference, workers=-1)
    accuracy, completeness = float(to_reference.mean()), float(to_other.mean())
    precision = float(np.mean(to_reference < threshold))
    recall = float(np.mean(to_other < threshold))
    return SurfaceMetrics(
        chamfer_l1=(accuracy + completeness) / 2,
        f_score=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        normal_consistency=(
            _mean_cosine(other_normals, reference_normals[nearest_reference])
            + _mean_cosine(reference_normals, other_normals[nearest_other])
        )
        / 2,
        accuracy=accuracy,
        completeness=completeness,
    )


def _face_vectors(triangles: FloatArray) -> FloatArray:
    """Return (F, 3) vectors along the normals of (F, 3, 3) triangles, twice their area long."""
    edges = triangles[:, 1:] - triangles[:, :1]
    return np.cross(edges[:, 0], edges[:, 1])


def _has_surface(triangles: FloatArray) -> bool:
    return len(triangles) > 0 and bool(_face_vectors(triangles).any())


def _sample(
    triangles: FloatArray, count: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw (count, 3) points uniformly by area, and the unit normals of their faces."""
    vectors = _face_vectors(triangles)
    doubled_area = np.linalg.norm(vectors, axis=1)
    face = rng.choice(len(triangles), size=count, p=doubled_area / doubled_area.sum())
    # Uniform in a parallelogram, its outer half folded back onto the triangle.
    weights = rng.random((count, 2))
    outer = weights.sum(axis=1) > 1
    weights[outer] = 1 - weights[outer]
    origin = triangles[face, 0]
    points = (
        origin
        + weights[:, :1] * (triangles[face, 1] - origin)
        + weights[:, 1:] * (triangles[face, 2] - origin)
    )
    return points, vectors[face] / doubled_area[face, None]


def _mean_cosine(normals: FloatArray, others: FloatArray) -> float:
    return float(np.abs(np.einsum("ij,ij->i", normals, others)).mean())
