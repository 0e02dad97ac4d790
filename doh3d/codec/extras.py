"""The optional fields of a `.doh` file, which decoders can do without. No torch here."""

from __future__ import annotations

import contextlib
import math
import struct
from dataclasses import dataclass
from typing import TypeAlias

from doh3d.codec.frame import SHORT_VARINT, ByteReader, pack_varint
from doh3d.errors import ConfigError, FormatError
from doh3d.limits import MAX_EXTRAS_BYTES, MAX_LABEL, MAX_NAME_BYTES, MAX_SIDE

Affine: TypeAlias = tuple[tuple[float, ...], ...]

# Types of fields.
_LATTICE, _AFFINE, _LABEL, _NAME = range(1, 5)
_LAST_KNOWN = _NAME

# How each of an affine's twelve numbers is kept, in two bits of three bytes: not at all, being 0;
# in float32; or in float64.
_AFFINE_CODES = ("", "<f", "<d")

# A label and its sign.
_LABEL_BYTES = 8
_WITHIN = "block of optional fields"


@dataclass(frozen=True)
class Extras:
    """What a file says beside its signal; each is absent, at no byte, where it is None.

    Attributes
    ----------
    lattice : three integers, 1 to 65536, optional
        Voxels along each axis of the grid that the signal was made from.
    affine : three rows of four floats, optional
        From a voxel's indices to world coordinates: ``world = A[:, :3] @ index + A[:, 3]``. Finite;
        kept to the bit.
    label : int, optional
        The number that marks the signal in that grid, of magnitude below 2^53.
    name : str, optional
        1 to 255 bytes of UTF-8, without control characters.
    unknown : tuple of (type, bytes)
        Fields of types that this release does not know, by ascending type, 5 or more. They are
        kept when a file that was read is written again.
    """

    lattice: tuple[int, int, int] | None = None
    affine: Affine | None = None
    label: int | None = None
    name: str | None = None
    unknown: tuple[tuple[int, bytes], ...] = ()

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.lattice is not None and not (
            len(self.lattice) == 3 and all(1 <= side <= MAX_SIDE for side in self.lattice)
        ):
            raise ConfigError(f"lattice is {self.lattice}; it must be three of 1 to {MAX_SIDE}")
        if self.affine is not None and not (
            [len(row) for row in self.affine] == [4, 4, 4]
            and all(math.isfinite(number) for row in self.affine for number in row)
        ):
            raise ConfigError(f"affine is {self.affine}; it must be 3 x 4 finite numbers")
        if self.label is not None and abs(self.label) > MAX_LABEL:
            raise ConfigError(f"label is {self.label}; its magnitude must be below 2^53")
        if self.name is not None:
            _check_name(self.name)
        types = [number for number, _ in self.unknown]
        if types != sorted(set(types)) or (types and types[0] <= _LAST_KNOWN):
            raise ConfigError(
                f"types of unknown fields are {types}; they must ascend from {_LAST_KNOWN + 1}"
            )


NO_EXTRAS = Extras()


def pack_extras(extras: Extras) -> bytes:
    """Pack the block: its length, and its fields by ascending type; nothing where there are none.

    Raises
    ------
    ConfigError
        If the block is longer than a file may hold.
    """
    fields: list[tuple[int, bytes]] = []
    if extras.lattice is not None:
        fields.append((_LATTICE, b"".join(map(pack_varint, extras.lattice))))
    if extras.affine is not None:
        fields.append((_AFFINE, _packed_affine(extras.affine)))
    if extras.label is not None:
        # Zigzag: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...
        folded = 2 * extras.label if extras.label >= 0 else -2 * extras.label - 1
        fields.append((_LABEL, pack_varint(folded)))
    if extras.name is not None:
        fields.append((_NAME, extras.name.encode()))
    fields += extras.unknown
    block = b"".join(
        pack_varint(number) + pack_varint(len(content)) + content for number, content in fields
    )
    if len(block) > MAX_EXTRAS_BYTES:
        raise ConfigError(
            f"the optional fields take {len(block)} bytes; at most {MAX_EXTRAS_BYTES} are allowed"
        )
    return pack_varint(len(block)) + block if block else b""


def read_extras(reader: ByteReader) -> Extras:
    """Read the block that `pack_extras` packed, and keep what is of unknown types as it is."""
    length = reader.varint(f"the length of the {_WITHIN}")
    if not 1 <= length <= MAX_EXTRAS_BYTES:
        raise FormatError(f"the {_WITHIN} has {length} bytes; 1 to {MAX_EXTRAS_BYTES} are allowed")
    fields: dict[int, bytes] = {}
    block = ByteReader(reader.take(length), within=f"the {_WITHIN}")
    last = 0
    while block.left:
        number = block.varint("an optional field's type")
        if number <= last:
            raise FormatError(f"optional field {number} follows {last}; types must ascend from 1")
        fields[number] = block.take(block.varint("an optional field's length"))
        last = number
    known = {
        number: ByteReader(fields.pop(number), within=f"optional field {number}")
        for number in range(1, _LAST_KNOWN + 1)
        if number in fields
    }
    extras = Extras(
        lattice=_lattice(known[_LATTICE]) if _LATTICE in known else None,
        affine=_affine(known[_AFFINE]) if _AFFINE in known else None,
        label=_label(known[_LABEL]) if _LABEL in known else None,
        name=_name(known[_NAME]) if _NAME in known else None,
        unknown=tuple(fields.items()),
    )
    for number, field in known.items():
        if field.left:
            raise FormatError(f"optional field {number} is {field.left} bytes too long")
    return extras


def _lattice(field: ByteReader) -> tuple[int, int, int]:
    x, y, z = (field.varint("a side of the lattice", SHORT_VARINT) for _ in range(3))
    return x, y, z


def _packed_affine(affine: Affine) -> bytes:
    """Pack twelve numbers to the bit, each in no more bytes than it needs."""
    codes, content = 0, b""
    for place, number in enumerate(number for row in affine for number in row):
        code = _affine_code(number)
        codes |= code << 2 * place
        content += struct.pack(_AFFINE_CODES[code], number) if code else b""
    return codes.to_bytes(3, "little") + content


def _affine(field: ByteReader) -> Affine:
    codes = int.from_bytes(field.take(3), "little")
    numbers = []
    for place in range(12):
        code = codes >> 2 * place & 3
        if code == len(_AFFINE_CODES):
            raise FormatError("a number of the affine is kept in no known way")
        (number,) = field.unpack(_AFFINE_CODES[code]) if code else (0.0,)
        if _affine_code(number) != code:
            raise FormatError(f"{number:g} in the affine takes more bytes than it needs")
        numbers.append(number)
    return tuple(numbers[:4]), tuple(numbers[4:8]), tuple(numbers[8:])


def _affine_code(number: float) -> int:
    """Least of the codes that keep a number to the bit: 0.0 has one of its own, and -0.0 none."""
    if number == 0 and math.copysign(1.0, number) > 0:
        return 0
    with contextlib.suppress(OverflowError):
        if struct.unpack("<f", struct.pack("<f", number))[0] == number:
            return 1
    return 2


def _label(field: ByteReader) -> int:
    folded = field.varint("the label", _LABEL_BYTES)
    return -(folded + 1 >> 1) if folded & 1 else folded >> 1


def _name(field: ByteReader) -> str:
    try:
        return field.rest().decode()
    except UnicodeDecodeError as error:
        raise FormatError("the name is not UTF-8") from error


def _check_name(name: str) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise ConfigError(f"the name {name!r} cannot be written as UTF-8") from error
    if not 1 <= size <= MAX_NAME_BYTES:
        raise ConfigError(
            f"the name takes {size} bytes of UTF-8; it must take 1 to {MAX_NAME_BYTES}"
        )
    # What a terminal would obey.
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name):
        raise ConfigError(f"the name {name!r} has a control character")
