"""What a `.doh` file says about one shape, as values. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError
from doh3d.geometry.transform import NormalizingTransform

_EXTENT_STEPS = 32


@dataclass(frozen=True, kw_only=True)
class ShapeCode(SignalCode):
    """Everything a `.doh` file says about one shape.

    Attributes
    ----------
    architecture : Architecture
        The target network, 3 numbers in and 1 out.
    transform : NormalizingTransform
    extents : three integers, 0 to 31
        The field's domain is the box of half side (e + 1) / 32 around 0, in normalised
        coordinates; beyond it everything is outside.
    """

    held: ClassVar[str] = "a shape"
    decoded_by: ClassVar[str] = "doh3d decompress, or doh3d.load"

    transform: NormalizingTransform
    extents: tuple[int, int, int]

    def check_signal(self) -> None:
        """Raise ConfigError where network, extents or transform are not a shape's."""
        architecture, transform = self.architecture, self.transform
        if (architecture.in_dim, architecture.out_dim) != (3, 1):
            raise ConfigError("the target network must take 3 numbers and give 1")
        if not all(0 <= extent < _EXTENT_STEPS for extent in self.extents):
            raise ConfigError(f"extents are {self.extents}; each must be 0 to {_EXTENT_STEPS - 1}")
        partition = architecture.partition
        if partition is not None and (partition.low, partition.high) != shape_box(
            self.extents, architecture.mirrored
        ):
            raise ConfigError("the cells are not those of the shape's domain")
        check_transform(transform)
        if not transform.double:
            numbers = np.array([*transform.centre, transform.scale])
            with np.errstate(over="ignore", under="ignore"):
                exact = bool((numbers.astype(np.float32) == numbers).all())
            if not exact:
                raise ConfigError("the transform is not exact in float32; mark it as double")

    @property
    def half_extents(self) -> npt.NDArray[np.float64]:
        """(3,) half sides of the domain box, in normalised coordinates."""
        return domain_half_sides(self.extents)

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        """(2, 3) corners of the domain box, in the mesh's own units."""
        return self.transform.to_world(np.stack([-self.half_extents, self.half_extents]))


def domain_half_sides(extents: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """(3,) half sides of the domain box that extents stand for, in normalised coordinates."""
    return (np.asarray(extents, dtype=np.float64) + 1) / _EXTENT_STEPS


def shape_box(
    extents: tuple[int, int, int], mirrored: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corners of what cells divide: the domain box, of mirrored axes its upper half."""
    high = domain_half_sides(extents).tolist()
    return tuple(0.0 if axis in mirrored else -side for axis, side in enumerate(high)), tuple(high)


def extents_for(half_sides: npt.ArrayLike) -> tuple[int, int, int]:
    """Smallest extents whose domain box holds one of these (3,) half sides (each <= 1)."""
    needed = np.ceil(np.asarray(half_sides, dtype=np.float64) * _EXTENT_STEPS).astype(int) - 1
    x, y, z = np.clip(needed, 0, _EXTENT_STEPS - 1).tolist()
    return x, y, z


def check_transform(transform: NormalizingTransform) -> None:
    """Raise ConfigError unless the domain's corners are finite numbers."""
    scale = transform.scale
    if not all(math.isfinite(number) for number in (*transform.centre, scale)) or scale <= 0:
        raise ConfigError("the transform must be finite, with a scale above 0")
    if not all(math.isfinite(abs(number) + scale) for number in transform.centre):
        raise ConfigError("the transform overflows")
