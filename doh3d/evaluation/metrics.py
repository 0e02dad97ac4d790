"""How close one shape is to another in volume: IoU.

Volumes are compared through inside tests, so that a mesh and a field are measured alike.
A number means little without the points that it was measured on: every result names its
protocol and how many points it took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.evaluation.protocols import FloatArray, Protocol, iou_points

BoolArray: TypeAlias = npt.NDArray[np.bool_]
Inside: TypeAlias = Callable[[FloatArray], BoolArray]

__all__ = [
    "Inside",
    "IouResult",
    "Protocol",
    "iou_points",
    "volumetric_iou",
]


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
    """

    iou: float
    protocol: Protocol
    points: int


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
        field's `occupancy`.
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
    evaluated = intersection = union = 0
    for chunk in iou_points(
        protocol, reference_bounds, other_bounds, points=points, grid=grid, seed=seed
    ):
        in_reference = np.asarray(reference_inside(chunk), dtype=np.bool_)
        in_other = np.asarray(other_inside(chunk), dtype=np.bool_)
        evaluated += len(chunk)
        intersection += int(np.count_nonzero(in_reference & in_other))
        union += int(np.count_nonzero(in_reference | in_other))
    return IouResult(intersection / union if union else 0.0, protocol, evaluated)
