"""Rate and distortion of shapes: one codec's files, and the best of them at each size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from doh3d.errors import ConfigError


class RatedShape(Protocol):
    """Whatever has a size and a quality: `RatePoint`, or a row of a sweep."""

    @property
    def bytes(self) -> int:
        """Size of the file on disk."""

    @property
    def iou(self) -> float:
        """Volumetric IoU in [0, 1]."""


RatedT = TypeVar("RatedT", bound=RatedShape)


@dataclass(frozen=True)
class RatePoint:
    """One file of one codec.

    Attributes
    ----------
    bytes : int
        Size of the file on disk, >= 1.
    iou : float
        Volumetric IoU with the reference, in [0, 1].
    """

    bytes: int
    iou: float

    def __post_init__(self) -> None:
        """Refuse what is no measurement."""
        if self.bytes < 1:
            raise ConfigError(f"bytes is {self.bytes}; it must be 1 or more")
        if not 0 <= self.iou <= 1:
            raise ConfigError(f"iou is {self.iou}; it must be in [0, 1]")


def pareto_front(points: Iterable[RatedT]) -> list[RatedT]:
    """Keep the points that no other point equals or beats in both bytes and IoU.

    Parameters
    ----------
    points : iterable of RatePoint, or of anything with `bytes` and `iou`

    Returns
    -------
    list
        Some of the given points, bytes and IoU strictly increasing. Of points equal in both, the
        first.
    """
    front: list[RatedT] = []
    for point in sorted(points, key=lambda point: (point.bytes, -point.iou)):
        if not front or point.iou > front[-1].iou:
            front.append(point)
    return front
