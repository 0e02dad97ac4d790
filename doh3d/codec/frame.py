"""What every `.doh` file starts and ends with, and its bytes one after the other. No torch here."""

from __future__ import annotations

import struct
from enum import IntFlag
from typing import Any

from doh3d.errors import FormatError
from doh3d.files import MAGIC

VERSION = 1
CHECKSUM_BYTES = 4

# Version bytes from here on, and 0, are those of drafts, which only development versions wrote.
_FIRST_DRAFT = 128

# Bytes of a number in the header, but for those of the optional fields.
SHORT_VARINT = 3


class Feature(IntFlag):
    """What a file of any kind may have beyond the standard; bits 0 to 5 are the kind's own."""

    CELLS = 1 << 6
    LAYERS = 1 << 7
    ACTIVATION = 1 << 8
    SEED = 1 << 9
    DENSE = 1 << 10
    MODELS = 1 << 11
    EXTRAS = 1 << 12


# Bits of the features that are the kind's own.
OWN_FEATURES = 6


def check_version(data: bytes) -> None:
    """Raise FormatError unless bytes start as a `.doh` file of version 1 does."""
    if data[: len(MAGIC)] != MAGIC:
        raise FormatError("not a .doh file: it does not start with the bytes D0 4F 48")
    if len(data) < len(MAGIC) + 1 + CHECKSUM_BYTES:
        raise FormatError(f"truncated: {len(data)} bytes are too few for a .doh file")
    version = data[len(MAGIC)]
    if version == VERSION:
        return
    if version == 0 or version >= _FIRST_DRAFT:
        raise FormatError(
            f"a draft of the .doh format (version byte {version}), written by a 0.1.0 development "
            "version of doh3d; read it with the one that wrote it, or compress the original again "
            f"(this release reads version {VERSION})"
        )
    raise FormatError(
        f"version {version} of the .doh format, written by a later release of doh3d; read it with "
        f"that one (this release reads version {VERSION})"
    )


class ByteReader:
    """A position in bytes; reading past their end is a FormatError.

    `within` is what the bytes are, as the message calls them.
    """

    def __init__(self, data: bytes, position: int = 0, *, within: str = "the file") -> None:
        self._data = data
        self._position = position
        self._within = within

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._position + count
        if end > len(self._data):
            missing = end - len(self._data)
            raise FormatError(f"truncated: {self._within} ends {missing} bytes too early")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    @property
    def left(self) -> int:
        """Number of bytes that are left."""
        return len(self._data) - self._position

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(self.left)

    def byte(self) -> int:
        """Return the next byte's number."""
        return self.take(1)[0]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """Return the next numbers, laid out as `struct` has it."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def varint(self, what: str, most_bytes: int = SHORT_VARINT) -> int:
        """Return the next number that `pack_varint` packed; `what` is its name in messages."""
        number = 0
        for position in range(most_bytes):
            byte = self.byte()
            number |= (byte & 127) << (7 * position)
            if byte < 128:
                if byte == 0 and position > 0:
                    raise FormatError(f"{what} is not in its shortest form")
                return number
        raise FormatError(f"{what} takes more than {most_bytes} bytes")


def pack_varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the top bit says that another follows."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
