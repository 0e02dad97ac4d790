"""Reading STL, binary and ASCII.

trimesh reads STL too. What version 5.2 makes of files that are read, or refused, here:

=======================================================  ==========================================
binary: a count that is too low, 0 or 2^32 - 1           nothing, without a word
binary: bytes behind the last triangle                   nothing, without a word
binary: ends early; ASCII: ends early, no endsolid       nothing, without a word
ASCII: lines that end in CR, 1.#IND in coordinates       refused: "unmatched data"
ASCII: a name of the format's own words                  refused: "incorrect number of vertices"
ASCII: UTF-16 without a mark                             nothing, without a word
=======================================================  ==========================================
"""

from __future__ import annotations

import re
import struct
from mmap import mmap

import numpy as np

from doh3d.geometry.polygons import MOST_FACES, FloatArray, IntArray, check_count
from doh3d.geometry.text import as_utf8, to_coordinate
from doh3d.geometry.thinning import Triangles

_HEADER_BYTES = 84
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])

# What some writers leave in the header that do not know yet how many triangles will follow;
# 0 is the other one.
_UNKNOWN_COUNT = 2**32 - 1


def read_stl(data: bytes) -> tuple[FloatArray, IntArray]:
    """Read an STL file.

    Parameters
    ----------
    data : bytes
        The file. Whether it is binary or ASCII shows in what it holds, not in its first word:
        binary files may start with ``solid`` too.

    Returns
    -------
    vertices : (3 F, 3) float64
    faces : (F, 3) int64

    Raises
    ------
    ValueError
        If the file is neither, or ends before its last triangle.
    """
    count, room, rest = _counts(data)
    if room < 0 or count != room or rest:
        text = as_utf8(data)
        if re.match(rb"(?i)\s*solid", text) and re.search(rb"(?i)facet|endsolid", text):
            return _read_ascii(text)
    if room < 0:
        raise ValueError(
            f"{len(data)} bytes are neither ASCII, which starts with 'solid', nor binary, which "
            f"has {_HEADER_BYTES} bytes before the first triangle"
        )
    # Where whole triangles fill the file to its end, a lower count is wrong.
    if rest == 0 and (count < room or count == _UNKNOWN_COUNT):
        count = room
    if count > room:
        raise ValueError(f"{count} triangles are announced, but only {room} follow")
    check_count(count)
    rows = np.frombuffer(data, _TRIANGLE, count, _HEADER_BYTES)
    return _as_soup(rows["corners"].reshape(-1, 3).astype(np.float64))


def many_in_stl(data: mmap) -> Triangles | None:
    """Find the triangles of a binary STL file of more than `MOST_FACES`, without reading them.

    Parameters
    ----------
    data : mmap
        The file.

    Returns
    -------
    Triangles or None
        None for any other file.
    """
    count, room, rest = _counts(data)
    if rest or count != room or count <= MOST_FACES:
        return None
    rows = np.frombuffer(data, _TRIANGLE, count, _HEADER_BYTES)["corners"]
    return Triangles(count, lambda part: rows[part].astype(np.float64))


def _counts(data: bytes | mmap) -> tuple[int, int, int]:
    """Return the triangles that a binary file announces, those it has room for, and bytes left."""
    count = struct.unpack_from("<I", data, 80)[0] if len(data) >= _HEADER_BYTES else 0
    room, rest = divmod(len(data) - _HEADER_BYTES, _TRIANGLE.itemsize)
    return count, room, rest


def _read_ascii(data: bytes) -> tuple[FloatArray, IntArray]:
    # A solid's name may be anything, the words that are counted below too.
    data = re.sub(rb"(?i)\b(end)?solid\b[^\r\n]*", rb"\1solid", data)
    rows = re.findall(rb"(?i)\bvertex[ \t]([^\r\n]*)", data)
    facets = len(re.findall(rb"(?i)\bendfacet", data))
    check_count(facets)
    if len(rows) != 3 * facets or not re.search(rb"(?i)\bendsolid", data):
        raise ValueError(
            f"{len(rows)} vertices and {facets} ends of facets are found, and "
            f"{'an' if re.search(rb'(?i)endsolid', data) else 'no'} endsolid; three vertices a "
            "facet and an endsolid are needed"
        )
    for number, row in enumerate(rows):
        if len(row.split()) != 3:
            raise ValueError(
                f"vertex {number} has {len(row.split())} coordinates; three are needed"
            )
    coordinates = (to_coordinate(word) for row in rows for word in row.split())
    flat = np.fromiter(coordinates, np.float64, 3 * len(rows))
    return _as_soup(flat.reshape(-1, 3))


def _as_soup(vertices: FloatArray) -> tuple[FloatArray, IntArray]:
    return vertices, np.arange(len(vertices), dtype=np.int64).reshape(-1, 3)
