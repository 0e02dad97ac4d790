"""What every `.doh` file starts and ends with, and its bytes one after the other. No torch here."""

from __future__ import annotations

import struct
from typing import Any

from doh3d.errors import FormatError

VERSION = 128
CHECKSUM_BYTES = 4


class ByteReader:
    """A position in the bytes before the checksum; reading past their end is a FormatError."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._position + count
        if end > len(self._data):
            raise FormatError(
                f"truncated: {end + CHECKSUM_BYTES} bytes expected, found "
                f"{len(self._data) + CHECKSUM_BYTES}"
            )
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self._data) - self._position)

    def byte(self) -> int:
        """Return the next byte's number."""
        return self.take(1)[0]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """Return the next numbers, laid out as `struct` has it."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def latent_length(self) -> int:
        """Return the next number that `pack_varint` packed, of at most three bytes."""
        number = 0
        for position in range(3):
            byte = self.byte()
            number |= (byte & 127) << (7 * position)
            if byte < 128:
                if byte == 0 and position > 0:
                    raise FormatError("the latent's length is not in its shortest form")
                return number
        raise FormatError("the latent's length takes more than three bytes")


def pack_varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the top bit says that another follows."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
