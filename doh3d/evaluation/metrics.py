"""How close one shape is to another in volume: IoU.

Volumes are compared through inside tests, so that a mesh and a field are measured alike.
A number means little without the points that it was measured on: every result names its
protocol and how many points it took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.evaluation.protocols import FloatArray, Protocol, iou_points

BoolArray: TypeAlias = npt.NDArray[np.bool_]
# True or 1 inside; a judge that does not know says -1.
Inside: TypeAlias = Callable[[FloatArray], BoolArray | npt.NDArray[np.int8]]


@dataclass(frozen=True)
class IouResult:
    """Volumetric intersection over union.

    Attributes
    ----------
    iou : float
        In [0, 1]. It is 0 where no point lies in either shape: nothing was measured then,
        and an empty decode of a shape too thin for these points must not count as perfect.
    protocol : {"bbox", "occnet", "grid", "voxels"}
        How the points were chosen, see `iou_points`; "voxels" are the centres of the reference's.
    points : int
        How many points were evaluated.
    undecided : float
        Share of those in either shape, and of those on which a judge does not know, that were
        left out because it does not know.
    """

    iou: float
    protocol: Protocol | Literal["voxels"]
    points: int
    undecided: float = 0.0

    @property
    def dice(self) -> float:
        """Dice coefficient, of the same points: 2 IoU / (1 + IoU)."""
        return 2 * self.iou / (1 + self.iou)


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
