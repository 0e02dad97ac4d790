"""The header of a PLY file: which elements follow, with which properties, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
STRUCT_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}
BYTE_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Property:
    """One property of an element; a list where `count_type` is given."""

    name: str
    type: str
    count_type: str | None


@dataclass(frozen=True)
class Element:
    """Rows of one kind: vertices, faces, strips, or what is not used here."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def has_lists(self) -> bool:
        """Whether rows may differ in length."""
        return any(p.count_type for p in self.properties)


def read_header(data: bytes) -> tuple[str, list[Element], int]:
    """Return the form of the body, its elements, and where it starts."""
    first = re.match(rb"ply[^\r\n]*(\r\n|\n\r|\r|\n)", data)
    # At the start of a line: comments may mention it.
    last = re.search(rb"[\r\n][ \t]*end_header\b[^\r\n]*", data)
    if not first or not last:
        raise ValueError("it needs a header from 'ply' to 'end_header'")
    # A binary body may start with bytes that look like another line's end.
    start = last.end()
    if data.startswith(first[1], start):
        start += len(first[1])
    elif line_end := re.compile(rb"\r\n|\r|\n").match(data, start):
        start = line_end.end()
    form = ""
    elements: list[tuple[str, int, list[Property]]] = []
    for line in re.split("[\r\n]+", data[: last.start()].decode("latin-1")):
        words = line.split()
        if words[:1] == ["format"]:
            form = words[1] if len(words) > 1 else ""
        elif words[:1] == ["element"]:
            if len(words) < 3 or not words[2].isdecimal() or len(words[2]) > 18:
                raise ValueError(f"a number of elements is needed in the line {line.strip()!r}")
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            if not elements:
                raise ValueError(f"the line {line.strip()!r} comes before the first element")
            elements[-1][2].append(_read_property(line))
    if form not in BYTE_ORDERS:
        raise ValueError(f"its format is {form!r}; it must be one of {', '.join(BYTE_ORDERS)}")
    return form, [Element(name, count, tuple(p)) for name, count, p in elements], start


def _read_property(line: str) -> Property:
    words = line.split()
    is_list = words[1:2] == ["list"]
    types = [_TYPES.get(word, "") for word in words[2 if is_list else 1 : -1]]
    if len(types) != (2 if is_list else 1) or "" in types:
        raise ValueError(f"the line {line.strip()!r} has no type that PLY knows")
    if is_list and types[0] not in STRUCT_CODES:
        raise ValueError(f"the line {line.strip()!r} counts by a type that is no integer")
    return Property(words[-1], types[-1], types[0] if is_list else None)
