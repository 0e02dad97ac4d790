"""What a `.doh` file says about one image, as values. No torch here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

from doh3d.codec.frame import ByteReader
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Activation
from doh3d.hypernetwork.partition import Box, Partition
from doh3d.limits import MAX_SIDE, Limits

# Numbers that a pixel may have: grey, or red, green and blue.
CHANNELS = (1, 3)

# The kind's own feature; colour is standard.
_GREY = 1


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

    number: ClassVar[int] = 1
    held: ClassVar[str] = "an image"
    decoded_by: ClassVar[str] = "doh3d image decompress, or doh3d.load_image"
    own_features: ClassVar[int] = _GREY
    standard_activation: ClassVar[Activation] = "relu"
    # The octaves of images follow their size.
    standard_layers: ClassVar[tuple[int, int] | None] = None

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
        partition = architecture.partition
        if partition.levels and partition.box != image_box(self.width, self.height):
            raise ConfigError("the cells are not those of the image")
        for name, side in (("width", self.width), ("height", self.height)):
            if not 1 <= side <= MAX_SIDE:
                raise ConfigError(f"the image's {name} is {side}; it must be 1 to {MAX_SIDE}")

    def pack_fields(self) -> tuple[int, bytes, bytes]:
        """Return the feature of grey, width and height, and no transform."""
        size = struct.pack("<HH", self.width - 1, self.height - 1)
        return _GREY * (self.channels == 1), size, b""

    @classmethod
    def network_of_features(cls, features: int) -> dict[str, Any]:
        """Return the arguments of a network that takes 2 numbers and gives 1 or 3."""
        return {"partition": Partition.whole(2), "out_dim": 1 if features & _GREY else 3}

    @classmethod
    def read_fields(
        cls, reader: ByteReader, features: int, limits: Limits
    ) -> tuple[dict[str, Any], Box]:
        """Read width and height."""
        width, height = (side + 1 for side in reader.unpack("<HH"))
        limits.check_pixels(width, height)
        return {"width": width, "height": height}, image_box(width, height)


def image_box(width: int, height: int) -> Box:
    """Corners of what cells divide: of the image, whose longer side is -1 to 1."""
    longest = max(width, height)
    return (-width / longest, -height / longest), (width / longest, height / longest)
