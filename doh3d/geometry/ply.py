"""Reading PLY: polygons of any sizes and triangle strips, ASCII and binary of both orders.

trimesh reads PLY too. What version 5.2 makes of files that are read here:

=======================================================  ==========================================
polygons of several sizes, binary                        refused: "unexpected length"
concave polygons, polygons with holes                    a fan from the first corner, holes filled
triangle strips                                          points without faces
lists on vertices, each of its own length                refused where binary
several lists in a row of faces                          refused: "shape mismatch"
header lines that end in CR, or LF CR                    refused: "index out of range"
1.#IND, in properties that are not used too              refused: "unmatched data"
UTF-16                                                   refused: "not a ply file"
ASCII that ends early                                    the faces before, without a word
=======================================================  ==========================================
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from mmap import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.geometry.ply_header import BYTE_ORDERS, STRUCT_CODES, Element, read_header
from doh3d.geometry.polygons import (
    MOST_FACES,
    FloatArray,
    IntArray,
    check_corners,
    check_count,
    cut_strips,
    triangulate,
)
from doh3d.geometry.text import as_utf8, to_coordinate
from doh3d.geometry.thinning import Triangles

# Names under which the corners of faces and strips go.
_CORNERS = ("vertex_indices", "vertex_index")

# Headers take some hundred bytes.
_HEADER_BYTES = 1 << 16


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
    data = as_utf8(data)
    form, elements, start = read_header(data)
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
            vertices = _positions(body, element)
        elif element.name in lists and element.has_lists:
            lists[element.name] = body.lists(element, _corner_list(element))
        else:
            body.table(element, [])
    sizes, corners = lists["tristrips"]
    # What ends a strip within a row ends it after the row as well.
    strips = cut_strips(np.insert(corners, np.cumsum(sizes), -1))
    check_corners(strips.ravel(), len(vertices))
    return vertices, np.concatenate([triangulate(vertices, *lists["face"]), strips])


def _positions(body: _AsciiBody | _BinaryBody, element: Element) -> FloatArray:
    """Read (V, 3) positions."""
    columns = {p.name: k for k, p in enumerate(element.properties) if not p.count_type}
    if not {"x", "y", "z"} <= set(columns):
        raise ValueError("vertices need the properties x, y and z, each a number")
    return body.table(element, [columns[axis] for axis in "xyz"])


def _corner_list(element: Element) -> int:
    """Return the number of the property that lists corners."""
    for k, p in enumerate(element.properties):
        if p.count_type and p.name in _CORNERS:
            return k
    raise ValueError(f"{element.name} has no list {' or '.join(_CORNERS)}")


def many_in_ply(data: mmap) -> Triangles | None:
    """Find the triangles of a binary PLY file of more than `MOST_FACES`, without reading them.

    Parameters
    ----------
    data : mmap
        The file.

    Returns
    -------
    Triangles or None
        None for text, for fewer faces, and for faces that are not all triangles.

    Raises
    ------
    ValueError
        As `read_ply` does. That corners exist is found out when they are read.
    """
    head = data[:_HEADER_BYTES]
    # Binary files have no byte order mark.
    if not head.startswith(b"ply") or b"end_header" not in head:
        return None
    form, elements, start = read_header(head)
    counts = {element.name: element.count for element in elements}
    if form == "ascii" or not MOST_FACES < counts.get("face", 0) <= len(data):
        return None
    body, vertices = _BinaryBody(data, start, form), np.zeros((0, 3))
    corners = None
    for element in elements:
        if element.name == "vertex":
            vertices = _positions(body, element)
        elif element.name == "face":
            corners = body.uniform_list(element)
            break
        else:
            body.table(element, [])
    if corners is None or corners.shape[1] != 3:
        return None
    return Triangles(len(corners), partial(_corners, vertices, corners))


def _corners(vertices: FloatArray, faces: npt.NDArray[Any], part: slice) -> FloatArray:
    own = faces[part].astype(np.int64)
    check_corners(own.ravel(), len(vertices))
    return vertices[own]


class _AsciiBody:
    """The numbers of an ASCII file, read from the first to the last."""

    def __init__(self, text: bytes) -> None:
        self._words = text.split()
        self._position = 0

    def table(self, element: Element, wanted: Sequence[int]) -> FloatArray:
        """Read (count, wanted) numbers; the words of other properties may be anything."""
        if element.has_lists:
            columns = [words for _, words in self._walk(element, wanted)]
        else:
            width = len(element.properties)
            words = self._take(element, element.count * width)
            columns = [words[k::width] for k in wanted]
        table = np.empty((element.count, len(wanted)))
        for k, column in enumerate(columns):
            table[:, k] = np.fromiter(map(to_coordinate, column), np.float64, element.count)
        return table

    def lists(self, element: Element, wanted: int) -> tuple[IntArray, IntArray]:
        """Read rows with lists; return the sizes and the items of the property `wanted`."""
        ((sizes, words),) = self._walk(element, [wanted])
        items = np.fromiter(map(int, words), np.int64, len(words))
        return np.array(sizes, dtype=np.int64), items

    def _walk(self, element: Element, wanted: Sequence[int]) -> list[tuple[list[int], list[bytes]]]:
        """Read row by row, and return the sizes and the words of each property `wanted`."""
        found: list[tuple[list[int], list[bytes]]] = [([], []) for _ in wanted]
        into = [
            (p.count_type is not None, found[list(wanted).index(k)] if k in wanted else None)
            for k, p in enumerate(element.properties)
        ]
        for _ in range(element.count):
            for is_list, lists in into:
                size = int(self._take(element, 1)[0]) if is_list else 1
                words = self._take(element, size)
                if lists is not None:
                    lists[0].append(size)
                    lists[1].extend(words)
        return found

    def _take(self, element: Element, count: int) -> list[bytes]:
        end = self._position + count
        if count < 0 or end > len(self._words):
            raise ValueError(_too_short(element))
        words = self._words[self._position : end]
        self._position = end
        return words


class _BinaryBody:
    """The rows of a binary file, read from the first to the last."""

    def __init__(self, data: bytes | mmap, start: int, form: str) -> None:
        self._data = data
        self._position = start
        self._order = BYTE_ORDERS[form]

    def table(self, element: Element, wanted: Sequence[int]) -> FloatArray:
        """Read (count, wanted) numbers."""
        columns = [items for _, items in self._read(element, wanted)]
        table = np.empty((element.count, len(wanted)))
        for k, column in enumerate(columns):
            table[:, k] = column
        return table

    def lists(self, element: Element, wanted: int) -> tuple[IntArray, IntArray]:
        """Read rows with lists; return the sizes and the items of the property `wanted`."""
        ((sizes, items),) = self._read(element, [wanted])
        return sizes, items.astype(np.int64)

    def uniform_list(self, element: Element) -> npt.NDArray[Any] | None:
        """See the corners of faces as (F, size), in the file's own type; None if sizes differ."""
        wanted = _corner_list(element)
        rows = self._uniform_rows(element)
        return None if rows is None else rows[f"p{wanted}"]

    def _read(
        self, element: Element, wanted: Sequence[int]
    ) -> list[tuple[IntArray, npt.NDArray[Any]]]:
        """Return the sizes and the items, in the file's own types, of each property `wanted`."""
        rows = self._uniform_rows(element)
        if rows is None:
            return self._walk(element, wanted)
        columns = [rows[f"p{k}"] for k in wanted]
        return [(np.full(len(rows), c.shape[1], dtype=np.int64), c.ravel()) for c in columns]

    def _uniform_rows(self, element: Element) -> npt.NDArray[np.void] | None:
        """Read rows whose lists are all as long as the first row's, or None where they are not."""
        position = self._position
        fields: list[tuple[str, str, tuple[int]]] = []
        sizes: dict[str, int] = {}
        for k, p in enumerate(element.properties):
            size = 1
            if p.count_type and element.count:
                count = np.dtype(self._order + p.count_type)
                if position + count.itemsize > len(self._data):
                    raise ValueError(_too_short(element))
                size = sizes[f"n{k}"] = int(np.frombuffer(self._data, count, 1, position)[0])
                position += count.itemsize
                fields.append((f"n{k}", count.str, (1,)))
            position += size * int(p.type[1])
            if size < 0 or position > len(self._data):
                raise ValueError(_too_short(element))
            fields.append((f"p{k}", self._order + p.type, (size,)))
        row = np.dtype(fields)
        end = self._position + element.count * row.itemsize
        if not element.count or not row.itemsize:
            return np.zeros(0, row)
        if end > len(self._data):
            if not element.has_lists:
                raise ValueError(_too_short(element))
            return None
        rows = np.frombuffer(self._data, row, element.count, self._position)
        if any((rows[name] != size).any() for name, size in sizes.items()):
            return None
        self._position = end
        return rows

    def _walk(
        self, element: Element, wanted: Sequence[int]
    ) -> list[tuple[IntArray, npt.NDArray[Any]]]:
        """Do as `_read`, row by row."""
        found: list[tuple[list[int], list[bytes]]] = [([], []) for _ in wanted]
        into = [
            (
                struct.Struct(self._order + STRUCT_CODES[p.count_type]) if p.count_type else None,
                int(p.type[1]),
                found[list(wanted).index(k)] if k in wanted else None,
            )
            for k, p in enumerate(element.properties)
        ]
        data, position = self._data, self._position
        for _ in range(element.count):
            for count, item_bytes, lists in into:
                size = 1
                if count:
                    if position + count.size > len(data):
                        raise ValueError(_too_short(element))
                    size = count.unpack_from(data, position)[0]
                    position += count.size
                end = position + size * item_bytes
                if size < 0 or end > len(data):
                    raise ValueError(_too_short(element))
                if lists is not None:
                    lists[0].append(size)
                    lists[1].append(data[position:end])
                position = end
        self._position = position
        types = [self._order + element.properties[k].type for k in wanted]
        return [
            (np.array(sizes, dtype=np.int64), np.frombuffer(b"".join(chunks), item))
            for (sizes, chunks), item in zip(found, types, strict=True)
        ]


def _too_short(element: Element) -> str:
    return f"{element.count} of the element {element.name!r} are announced, but fewer follow"
