"""Distances between samples of two surfaces, as the literature reports them, each with its floor.

Both surfaces are sampled, and each sample compared with the nearest sample of the other: a surface
against itself is apart by about half the spacing of its samples. That is the floor below which no
figure means anything; it depends on the shape's area, and is measured with every figure. Measure
by :mod:`doh3d.evaluation.surface` unless the figures are to stand beside published ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

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

if TYPE_CHECKING:
    import trimesh

PointProtocol: TypeAlias = Literal["occnet", "necgs"]
SurfaceProtocol: TypeAlias = Literal["exact", "occnet", "necgs"]


@dataclass(frozen=True)
class _Definition:
    """Longest side of the reference in the protocol's unit, and thresholds of its F-scores."""

    longest_side: float
    thresholds: tuple[float, ...]


_DEFINITIONS: dict[str, _Definition] = {
    "occnet": _Definition(10.0, ()),
    "necgs": _Definition(2.0, (0.005, 0.01)),
}


@dataclass(frozen=True)
class PointMetrics:
    """Distances between the samples of two surfaces, in the unit of a protocol.

    Attributes
    ----------
    protocol : {"occnet", "necgs"}
        See `point_metrics`.
    chamfer_l1 : float
        Mean distance from the other's samples to the nearest sample of the reference, and from
        the reference's to the nearest of the other, averaged.
    normal_consistency : float
        |cosine| between the normals of each sample and of the nearest sample of the other
        surface; its mean over either side's samples, averaged. In [0, 1].
    f_scores : dict from float to float
        F-score at each threshold of the protocol, in its unit.
    floor : PointMetrics or None
        The same of the reference against itself, by independent samples; None in a floor.
    """

    protocol: PointProtocol
    chamfer_l1: float
    normal_consistency: float
    f_scores: dict[float, float]
    floor: PointMetrics | None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object; an infinite distance becomes None."""
        values: dict[str, Any] = {
            "protocol": self.protocol,
            "chamfer_l1": self.chamfer_l1 if math.isfinite(self.chamfer_l1) else None,
            "normal_consistency": self.normal_consistency,
        }
        values |= {f"f_score_{threshold:g}": score for threshold, score in self.f_scores.items()}
        return values if self.floor is None else values | {"floor": self.floor.to_dict()}


def check_surface_protocol(protocol: str) -> None:
    """Raise ConfigError where there is no such protocol."""
    if protocol not in get_args(SurfaceProtocol):
        names = ", ".join(get_args(SurfaceProtocol))
        raise ConfigError(f"surface is {protocol!r}; it must be one of {names}")


def point_metrics(
    reference_mesh: trimesh.Trimesh,
    other_mesh: trimesh.Trimesh,
    protocol: PointProtocol,
    *,
    samples: int = 100_000,
    seed: int = 0,
) -> PointMetrics:
    """Measure two surfaces as a published protocol does.

    Parameters
    ----------
    reference_mesh, other_mesh : trimesh.Trimesh
        The other may be empty: its distance is then infinite, its scores 0.
    protocol : {"occnet", "necgs"}
        ``occnet``: Mescheder et al., Occupancy Networks, CVPR 2019, section 4. Chamfer-L1 and
        normal consistency on 100,000 samples of each surface, uniform by area; the unit is a
        tenth of the longest side of the reference's bounding box. It has no F-score.

        ``necgs``: Ren et al., Neural Compression for 3D Geometry Sets, ICCV 2025
        (arXiv 2405.15034). Chamfer distance, normal consistency and F-scores at 0.005 and 0.01
        for models in [-1, 1]^3. Three things are assumed here: that the longest side is 2; that
        the Chamfer distance is the mean of both directions and not squared, without which the
        published distances and F-scores would contradict each other; and 100,000 samples.
    samples : int
        Points on each surface, >= 1; figures compare only at the protocol's own 100,000.
    seed : int
        >= 0; the same samples for the same seed.

    Returns
    -------
    PointMetrics

    Raises
    ------
    MeshError
        The reference has no surface.
    ConfigError
        No such protocol; `samples` or `seed` out of its range.
    """
    if protocol not in _DEFINITIONS:
        raise ConfigError(f"protocol is {protocol!r}; it must be one of {', '.join(_DEFINITIONS)}")
    check_sampling(samples, seed)
    definition = _DEFINITIONS[protocol]
    reference, other = scaled_surfaces(reference_mesh, other_mesh, definition.longest_side)
    rng = np.random.default_rng(seed)
    first = _sampled(reference, samples, rng)
    others = None if other is None else _sampled(other, samples, rng)
    floor = _compared(protocol, first, _sampled(reference, samples, rng), None)
    if others is None:
        return PointMetrics(
            protocol, math.inf, 0.0, dict.fromkeys(definition.thresholds, 0.0), floor
        )
    return _compared(protocol, first, others, floor)


def _sampled(
    surface: Surface, samples: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    points, face = surface.sample(samples, rng)
    return points, surface.normals(face)


def _compared(
    protocol: PointProtocol,
    reference: tuple[FloatArray, FloatArray],
    other: tuple[FloatArray, FloatArray],
    floor: PointMetrics | None,
) -> PointMetrics:
    """Compare (N, 3) points and their normals with others."""
    from scipy.spatial import cKDTree

    (points, normals), (other_points, other_normals) = reference, other
    to_reference, nearest = cKDTree(points).query(other_points, workers=-1)
    to_other, nearest_other = cKDTree(other_points).query(points, workers=-1)
    consistency = mean_cosine(other_normals, normals[nearest]) + mean_cosine(
        normals, other_normals[nearest_other]
    )
    return PointMetrics(
        protocol=protocol,
        chamfer_l1=float(to_reference.mean() + to_other.mean()) / 2,
        normal_consistency=consistency / 2,
        f_scores={
            threshold: f_score(to_reference, to_other, threshold)
            for threshold in _DEFINITIONS[protocol].thresholds
        },
        floor=floor,
    )
