"""Where a shape lies: its transform and its frame, as bytes of a `.doh` file. No torch here."""

from __future__ import annotations

import math
import struct

from doh3d.codec.frame import ByteReader
from doh3d.errors import ConfigError
from doh3d.geometry.rotation import LARGEST_COMPONENT, NO_FRAME, Frame
from doh3d.geometry.transform import (
    FLOAT64_FORM,
    LATTICES,
    TRANSFORM_BYTES,
    NormalizingTransform,
    lattice_step,
)

# What a frame adds to a file, beside its feature.
FRAME_BYTES = 6

_FRAME_LAYOUT = "<3h"
_FLOAT64_LAYOUT = "<4d"

# Of the scale's exponent.
_EXPONENT_BIAS = 128


def pack_transform(transform: NormalizingTransform) -> bytes:
    """Pack centre and scale in the transform's form, and the frame where there is one."""
    framed = transform.frame != NO_FRAME
    frame = struct.pack(_FRAME_LAYOUT, *transform.frame) if framed else b""
    if transform.form == FLOAT64_FORM:
        return struct.pack(_FLOAT64_LAYOUT, *transform.centre, transform.scale) + frame
    size, halvings = LATTICES[transform.form]
    significand, exponent = math.frexp(transform.scale)
    packed = bytes([int(significand * 512) - 256, exponent - 1 + _EXPONENT_BIAS])
    step = lattice_step(exponent - 1, halvings)
    for number in transform.centre:
        packed += int(number / step).to_bytes(size, "little", signed=True)
    return packed + frame


def read_transform(reader: ByteReader, form: int, *, framed: bool) -> NormalizingTransform:
    """Read and check what `pack_transform` packed."""
    packed = ByteReader(reader.take(TRANSFORM_BYTES[form]))
    if form == FLOAT64_FORM:
        *centre, scale = packed.unpack(_FLOAT64_LAYOUT)
    else:
        size, halvings = LATTICES[form]
        significand, exponent = packed.byte(), packed.byte() - _EXPONENT_BIAS
        scale = math.ldexp(256 + significand, exponent - 8)
        step = lattice_step(exponent, halvings)
        centre = [int.from_bytes(packed.take(size), "little", signed=True) * step for _ in range(3)]
    frame: Frame = NO_FRAME
    if framed:
        x, y, z = reader.unpack(_FRAME_LAYOUT)
        frame = x, y, z
        if frame == NO_FRAME:
            raise ConfigError(
                "the frame is 0, 0, 0; where there is none, its feature must not be set"
            )
    transform = NormalizingTransform((centre[0], centre[1], centre[2]), scale, frame)
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
