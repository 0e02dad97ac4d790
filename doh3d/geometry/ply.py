"""Reading PLY: polygons of any sizes and triangle strips, ASCII and binary of both orders."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doh3d.geometry.polygons import (
    FloatArray,
    IntArray,
    check_corners,
    check_count,
    cut_strips,
    triangulate,
)

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
_STRUCT_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}
_BYTE_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}

# Names under which the corners of faces and strips go.
_CORNERS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class _Property:
    """One property of an element; a list where `count_type` is given."""

    name: str
    type: str
    count_type: str | None


@dataclass(frozen=True)
class _Element:
    """Rows of one kind: vertices, faces, strips, or what is not used here."""

    name: str
    count: int
    properties: tuple[_Property, ...]

    @property
    def has_lists(self) -> bool:
        return any(p.count_type for p in self.properties)


def read_ply(data: bytes) -> tuple[FloatArray, IntArray]:
    """Read the vertices and faces, or triangle strips, of a PLY file.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    vertices : (V, 3) float64
    faces : (F, 3) int64
        Polygons and strips cut into triangles.

    Raises
    ------
    ValueError
        If the header breaks the format's rules, the file ends before what it announces, or a
        face uses a vertex that does not exist.
    """
    form, elements, start = _read_header(data)
    body: _AsciiBody | _BinaryBody
    body = _AsciiBody(data[start:]) if form == "ascii" else _BinaryBody(data, start, form)
    vertices: FloatArray = np.zeros((0, 3))
    no_lists = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    lists = {"face": no_lists, "tristrips": no_lists}
    for element in elements:
        # Each takes a byte at least: what the file cannot hold is found to be missing below.
        if element.name == "face" and element.count <= len(data):
            check_count(element.count)
        if element.name == "vertex":
            names = [p.name for p in element.properties]
            if element.has_lists or not {"x", "y", "z"} <= set(names):
                raise ValueError("vertices need the properties x, y and z, and no lists")
            vertices = body.table(element)[:, [names.index(axis) for axis in "xyz"]]
        elif element.name in lists and element.has_lists:
            wanted = [
                k for k, p in enumerate(element.properties) if p.count_type and p.name in _CORNERS
            ]
            if not wanted:
                raise ValueError(f"{element.name} has no list {' or '.join(_CORNERS)}")
            lists[element.name] = body.lists(element, wanted[0])
        elif element.has_lists:
            body.lists(element, None)
        else:
            body.table(element)
    sizes, corners = lists["tristrips"]
    # What ends a strip within a row ends it after the row as well.
    strips = cut_strips(np.insert(corners, np.cumsum(sizes), -1))
    check_corners(strips.ravel(), len(vertices))
    return vertices, np.concatenate([triangulate(vertices, *lists["face"]), strips])


def _read_header(data: bytes) -> tuple[str, list[_Element], int]:
    """Return the form of the body, its elements, and where it starts."""
    # At the start of a line: comments may mention it.
    last = re.search(rb"^[ \t]*end_header", data, re.MULTILINE)
    end = last.start() if last else -1
    line_end = data.find(b"\n", end)
    if not data.startswith((b"ply", b"\xef\xbb\xbfply")) or end < 0:
        raise ValueError("it needs a header from 'ply' to 'end_header'")
    form = ""
    elements: list[tuple[str, int, list[_Property]]] = []
    for line in data[:end].decode("latin-1").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            form = words[1] if len(words) > 1 else ""
        elif words[:1] == ["element"]:
            if len(words) < 3 or not words[2].isdecimal() or len(words[2]) > 18:
                raise ValueError(f"a number of elements is needed in the line {line.strip()!r}")
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1][2].append(_read_property(line))
    if form not in _BYTE_ORDERS:
        raise ValueError(f"its format is {form!r}; it must be one of {', '.join(_BYTE_ORDERS)}")
    start = line_end + 1 if line_end >= 0 else len(data)
    return form, [_Element(name, count, tuple(p)) for name, count, p in elements], start


def _read_property(line: str) -> _Property:
    words = line.split()
    is_list = words[1:2] == ["list"]
    types = [_TYPES.get(word, "") for word in words[2 if is_list else 1 : -1]]
    if len(types) != (2 if is_list else 1) or "" in types:
        raise ValueError(f"the line {line.strip()!r} has no type that PLY knows")
    if is_list and types[0] not in _STRUCT_CODES:
        raise ValueError(f"the line {line.strip()!r} counts by a type that is no integer")
    return _Property(words[-1], types[-1], types[0] if is_list else None)


class _AsciiBody:
    """The numbers of an ASCII file, read from the first to the last."""

    def __init__(self, text: bytes) -> None:
        self._words = text.split()
        self._position = 0

    def table(self, element: _Element) -> FloatArray:
        """Read (count, properties) numbers."""
        width = len(element.properties)
        numbers = self._take(element, element.count * width)
        flat = np.fromiter(map(float, numbers), np.float64, len(numbers))
        return flat.reshape(element.count, width)

    def lists(self, element: _Element, wanted: int | None) -> tuple[IntArray, IntArray]:
        """Read rows with lists; return the sizes and the items of the property `wanted`."""
        sizes: list[int] = []
        items: list[int] = []
        for _ in range(element.count):
            for k, p in enumerate(element.properties):
                size = int(self._take(element, 1)[0]) if p.count_type else 1
                words = self._take(element, size)
                if k == wanted:
                    sizes.append(size)
                    items.extend(map(int, words))
        return np.array(sizes, dtype=np.int64), np.array(items, dtype=np.int64)

    def _take(self, element: _Element, count: int) -> list[bytes]:
        end = self._position + count
        if count < 0 or end > len(self._words):
            raise ValueError(_too_short(element))
        words = self._words[self._position : end]
        self._position = end
        return words


class _BinaryBody:
    """The rows of a binary file, read from the first to the last."""

    def __init__(self, data: bytes, start: int, form: str) -> None:
        self._data = data
        self._position = start
        self._order = _BYTE_ORDERS[form]

    def table(self, element: _Element) -> FloatArray:
        """Read (count, properties) numbers."""
        fields = [(f"p{k}", self._order + p.type) for k, p in enumerate(element.properties)]
        rows = self._rows(element, np.dtype(fields))
        columns = [rows[name].astype(np.float64) for name, _ in fields]
        return np.column_stack(columns) if columns else np.zeros((0, 0))

    def lists(self, element: _Element, wanted: int | None) -> tuple[IntArray, IntArray]:
        """Read rows with lists; return the sizes and the items of the property `wanted`."""
        uniform = self._uniform_lists(element, wanted)
        if uniform is not None:
            return uniform
        properties = [
            (
                k == wanted,
                struct.Struct(self._order + _STRUCT_CODES[p.count_type]) if p.count_type else None,
                int(p.type[1]),
            )
            for k, p in enumerate(element.properties)
        ]
        data, position = self._data, self._position
        chunks: list[bytes] = []
        sizes: list[int] = []
        for _ in range(element.count):
            for is_wanted, count, item_bytes in properties:
                size = 1
                if count:
                    if position + count.size > len(data):
                        raise ValueError(_too_short(element))
                    size = count.unpack_from(data, position)[0]
                    position += count.size
                if size < 0 or position + size * item_bytes > len(data):
                    raise ValueError(_too_short(element))
                if is_wanted:
                    sizes.append(size)
                    chunks.append(data[position : position + size * item_bytes])
                position += size * item_bytes
        self._position = position
        if wanted is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        item = self._order + element.properties[wanted].type
        items = np.frombuffer(b"".join(chunks), item).astype(np.int64)
        return np.array(sizes, dtype=np.int64), items

    def _uniform_lists(
        self, element: _Element, wanted: int | None
    ) -> tuple[IntArray, IntArray] | None:
        """Read rows whose lists are all as long as the first row's, or None where they are not."""
        start = position = self._position
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        sizes: dict[str, int] = {}
        for k, p in enumerate(element.properties):
            if not p.count_type:
                fields.append((f"p{k}", self._order + p.type))
                position += int(p.type[1])
                continue
            count = np.dtype(self._order + p.count_type)
            if not element.count or position + count.itemsize > len(self._data):
                return None
            size = int(np.frombuffer(self._data, count, 1, position)[0])
            if not 0 <= size * int(p.type[1]) <= len(self._data) - position:
                return None
            fields += [(f"n{k}", count.str), (f"p{k}", self._order + p.type, (size,))]
            sizes[f"n{k}"] = size
            position += count.itemsize + size * int(p.type[1])
        row = np.dtype(fields)
        if start + element.count * row.itemsize > len(self._data):
            return None
        rows = np.frombuffer(self._data, row, element.count, start)
        if any((rows[name] != size).any() for name, size in sizes.items()):
            return None
        self._position = start + rows.nbytes
        if wanted is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        items = rows[f"p{wanted}"].astype(np.int64).ravel()
        return np.full(element.count, sizes[f"n{wanted}"], dtype=np.int64), items

    def _rows(self, element: _Element, row: np.dtype[np.void]) -> npt.NDArray[np.void]:
        end = self._position + element.count * row.itemsize
        if end > len(self._data):
            raise ValueError(_too_short(element))
        rows = np.frombuffer(self._data[self._position : end], row)
        self._position = end
        return rows


def _too_short(element: _Element) -> str:
    return f"{element.count} of the element {element.name!r} are announced, but fewer follow"
