"""The kinds of signal that a `.doh` file can hold. A new kind is listed here. No torch here."""

from __future__ import annotations

from doh3d.codec.image_code import ImageCode
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import FormatError

KINDS: dict[int, type[SignalCode]] = {kind.number: kind for kind in (ShapeCode, ImageCode)}


def find_kind(number: int) -> type[SignalCode]:
    """Return the kind of this number, or raise the FormatError that names those there are."""
    if number not in KINDS:
        raise FormatError(
            f"signal kind {number} is unknown to this release; 0 is a shape's occupancy, 1 an image"
        )
    return KINDS[number]
