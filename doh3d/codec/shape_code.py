"""What a `.doh` file says about one shape, as values. No torch here."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.frame import ByteReader
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError
from doh3d.geometry.rotation import LARGEST_COMPONENT, NO_FRAME
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.partition import Box, Partition
from doh3d.limits import Limits

_EXTENT_STEPS = 32

# How far the band in which a cell's network is blended with its neighbours' reaches to either side
# of its faces, in half sides of the cell.
BAND = 0.08

# What a frame adds to a file.
FRAME_BYTES = 4

# Of the last byte of the scale.
_SIGN = 1 << 7

_FLAG_DOUBLE = 1 << 4
_FLAG_MIRRORED_X = 1 << 5
# Of the packed extents.
_CELLS = 1 << 15


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
        if partition.levels and partition.box != shape_box(self.extents, architecture.mirrored):
            raise ConfigError("the cells are not those of the shape's domain")
        check_transform(transform)
        if not transform.scale_fits:
            raise ConfigError("the scale's last bits must be 0: the frame takes their place")
        if not transform.double:
            numbers = np.array([*transform.centre, transform.scale])
            with np.errstate(over="ignore", under="ignore"):
                exact = bool((numbers.astype(np.float32) == numbers).all())
            if not exact:
                raise ConfigError("the transform is not exact in float32; mark it as double")

    def pack_fields(self) -> tuple[int, bytes, bytes]:
        """Return the flags of precision and mirror planes, the extents, and the transform."""
        x, y, z = self.extents
        extents = x | y << 5 | z << 10 | _CELLS * (self.architecture.partition.levels > 0)
        flags = _FLAG_DOUBLE * self.transform.double
        flags |= sum(_FLAG_MIRRORED_X << axis for axis in self.architecture.mirrored)
        return flags, struct.pack("<H", extents), pack_transform(self.transform)

    @classmethod
    def network_of_flags(cls, flags: int) -> dict[str, Any]:
        """Return the arguments of a network that takes 3 numbers, gives 1 and may be mirrored."""
        return {"partition": Partition.whole(3), "out_dim": 1, "mirrored": _mirrored(flags)}

    @classmethod
    def read_fields(
        cls, reader: ByteReader, flags: int, limits: Limits
    ) -> tuple[dict[str, Any], Box | None]:
        """Read extents and transform; the extents say whether there are cells."""
        (packed,) = reader.unpack("<H")
        extents = (packed & 31, packed >> 5 & 31, packed >> 10 & 31)
        double = bool(flags & _FLAG_DOUBLE)
        transform = read_transform(reader, double=double)
        box = shape_box(extents, _mirrored(flags)) if packed & _CELLS else None
        return {"extents": extents, "transform": transform}, box

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


def pack_transform(transform: NormalizingTransform) -> bytes:
    """Pack centre and scale; a negative scale says that a frame follows.

    The frame's first number is in the place of the scale's last 16 bits, which are 0.
    """
    centre, scale, frame = transform.centre, transform.scale, transform.frame
    layout = "<4d" if transform.double else "<4f"
    if frame == NO_FRAME:
        return struct.pack(layout, *centre, scale)
    packed = bytearray(struct.pack(layout, *centre, -scale))
    at = 24 if transform.double else 12
    packed[at : at + 2] = struct.pack("<h", frame[0])
    return bytes(packed) + struct.pack("<2h", *frame[1:])


def read_transform(reader: ByteReader, *, double: bool) -> NormalizingTransform:
    """Read and check what `pack_transform` packed."""
    layout, size = ("<d", 8) if double else ("<f", 4)
    x, y, z = (reader.unpack(layout)[0] for _ in range(3))
    packed = bytearray(reader.take(size))
    frame = NO_FRAME
    if packed[-1] & _SIGN:
        packed[-1] &= ~_SIGN
        (first,) = struct.unpack_from("<h", packed)
        packed[:2] = bytes(2)
        frame = (first, *reader.unpack("<2h"))
        if frame == NO_FRAME:
            raise ConfigError("the frame is 0, 0, 0; where there is none, the scale is above 0")
    (scale,) = struct.unpack(layout, packed)
    transform = NormalizingTransform((x, y, z), scale, double=double, frame=frame)
    check_transform(transform)
    return transform


def check_transform(transform: NormalizingTransform) -> None:
    """Raise ConfigError unless the domain's corners are finite numbers."""
    scale, frame = transform.scale, transform.frame
    if not all(math.isfinite(number) for number in (*transform.centre, scale)) or scale <= 0:
        raise ConfigError("the transform must be finite, with a scale above 0")
    reach = scale if frame == NO_FRAME else 2 * scale
    if not all(math.isfinite(abs(number) + reach) for number in transform.centre):
        raise ConfigError("the transform overflows")
    if max(map(abs, frame)) > LARGEST_COMPONENT:
        raise ConfigError(
            f"the frame is {frame}; its numbers must be -{LARGEST_COMPONENT} to {LARGEST_COMPONENT}"
        )


def _mirrored(flags: int) -> tuple[int, ...]:
    return tuple(axis for axis in range(3) if flags & _FLAG_MIRRORED_X << axis)
