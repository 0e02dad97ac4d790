"""What a `.doh` file says about one image, as values. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError
from doh3d.limits import MAX_SIDE

# Numbers that a pixel may have: grey, or red, green and blue.
CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True)
class ImageCode(SignalCode):
    """Everything a `.doh` file says about one image.

    Attributes
    ----------
    architecture : Architecture
        The target network, 2 numbers in and 1 (grey) or 3 (RGB) out, without mirrored axes.
    width, height : int
        Pixels, 1 to 65536 each.
    """

    held: ClassVar[str] = "an image"
    decoded_by: ClassVar[str] = "doh3d image decompress, or doh3d.load_image"

    width: int
    height: int

    @property
    def channels(self) -> int:
        """Numbers of a pixel: 1 or 3."""
        return self.architecture.out_dim

    def check_signal(self) -> None:
        """Raise ConfigError where network or size are not an image's."""
        architecture = self.architecture
        if architecture.in_dim != 2 or architecture.out_dim not in CHANNELS:
            raise ConfigError("the target network must take 2 numbers and give 1 or 3")
        if architecture.mirrored:
            raise ConfigError("an image's network has no mirrored axes")
        if architecture.partition is not None:
            box = architecture.partition.low, architecture.partition.high
            if box != image_box(self.width, self.height):
                raise ConfigError("the cells are not those of the image")
        for name, side in (("width", self.width), ("height", self.height)):
            if not 1 <= side <= MAX_SIDE:
                raise ConfigError(f"the image's {name} is {side}; it must be 1 to {MAX_SIDE}")


def image_box(width: int, height: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corners of what cells divide: of the image, whose longer side is -1 to 1."""
    longest = max(width, height)
    return (-width / longest, -height / longest), (width / longest, height / longest)
