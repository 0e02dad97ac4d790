"""What a `.doh` file says about one shape, as values. No torch here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.frame import ByteReader
from doh3d.codec.placement import check_transform, pack_transform, read_transform
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError, FormatError
from doh3d.geometry.rotation import NO_FRAME
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Activation
from doh3d.hypernetwork.partition import Box, Partition
from doh3d.limits import Limits

_EXTENT_STEPS = 32
_EXTENT_BITS = 15

# How far the band in which a cell's network is blended with its neighbours' reaches to either side
# of its faces, in half sides of the cell.
BAND = 0.08

# The kind's own features: an axis each, the frame, and two bits for the transform's form.
_MIRRORED_X = 1
_FRAMED = 1 << 3
_FORM_SHIFT, _FORM_MASK = 4, 0b11


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

    number: ClassVar[int] = 0
    held: ClassVar[str] = "a shape"
    decoded_by: ClassVar[str] = "doh3d decompress, or doh3d.load"
    own_features: ClassVar[int] = 0b111111
    standard_activation: ClassVar[Activation] = "smooth"
    standard_layers: ClassVar[tuple[int, int] | None] = (3, 3)

    transform: NormalizingTransform
    extents: tuple[int, int, int]

    def check_signal(self) -> None:
        """Raise ConfigError where network, extents or transform are not a shape's."""
        architecture = self.architecture
        if (architecture.in_dim, architecture.out_dim) != (3, 1):
            raise ConfigError("the target network must take 3 numbers and give 1")
        if not all(0 <= extent < _EXTENT_STEPS for extent in self.extents):
            raise ConfigError(f"extents are {self.extents}; each must be 0 to {_EXTENT_STEPS - 1}")
        partition = architecture.partition
        if partition.levels and partition.box != shape_box(self.extents, architecture.mirrored):
            raise ConfigError("the cells are not those of the shape's domain")
        check_transform(self.transform)

    def pack_fields(self) -> tuple[int, bytes, bytes]:
        """Return the features of mirror planes and transform, the extents, and the transform."""
        x, y, z = self.extents
        features = self.transform.form << _FORM_SHIFT
        features |= _FRAMED * (self.transform.frame != NO_FRAME)
        features |= sum(_MIRRORED_X << axis for axis in self.architecture.mirrored)
        extents = struct.pack("<H", x | y << 5 | z << 10)
        return features, extents, pack_transform(self.transform)

    @classmethod
    def network_of_features(cls, features: int) -> dict[str, Any]:
        """Return the arguments of a network that takes 3 numbers, gives 1 and may be mirrored."""
        return {"partition": Partition.whole(3), "out_dim": 1, "mirrored": _mirrored(features)}

    @classmethod
    def read_fields(
        cls, reader: ByteReader, features: int, limits: Limits
    ) -> tuple[dict[str, Any], Box]:
        """Read extents and transform."""
        (packed,) = reader.unpack("<H")
        if packed >> _EXTENT_BITS:
            raise FormatError("bit 15 of the extents is set; it must be 0")
        extents = (packed & 31, packed >> 5 & 31, packed >> 10 & 31)
        form = features >> _FORM_SHIFT & _FORM_MASK
        transform = read_transform(reader, form, framed=bool(features & _FRAMED))
        fields = {"extents": extents, "transform": transform}
        return fields, shape_box(extents, _mirrored(features))

    @property
    def half_extents(self) -> npt.NDArray[np.float64]:
        """(3,) half sides of the domain box, in normalised coordinates."""
        return domain_half_sides(self.extents)

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        """(2, 3) corners of the box around the domain, in the mesh's own units and axes."""
        return self.transform.box_bounds(self.half_extents)


def domain_half_sides(extents: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """(3,) half sides of the domain box that extents stand for, in normalised coordinates."""
    return (np.asarray(extents, dtype=np.float64) + 1) / _EXTENT_STEPS


def shape_box(extents: tuple[int, int, int], mirrored: tuple[int, ...]) -> Box:
    """Corners of what cells divide: the domain box, of mirrored axes its upper half."""
    high = domain_half_sides(extents).tolist()
    return tuple(0.0 if axis in mirrored else -side for axis, side in enumerate(high)), tuple(high)


def extents_for(half_sides: npt.ArrayLike) -> tuple[int, int, int]:
    """Smallest extents whose domain box holds one of these (3,) half sides (each <= 1)."""
    needed = np.ceil(np.asarray(half_sides, dtype=np.float64) * _EXTENT_STEPS).astype(int) - 1
    x, y, z = np.clip(needed, 0, _EXTENT_STEPS - 1).tolist()
    return x, y, z


def _mirrored(features: int) -> tuple[int, ...]:
    return tuple(axis for axis in range(3) if features & _MIRRORED_X << axis)
