"""Reading Wavefront OBJ: its vertices and faces, whatever else is there.

trimesh reads OBJ too. What version 5.2 makes of files that are read, or refused, here:

=======================================================  ==========================================
concave polygons, polygons with holes                    a fan from the first corner, holes filled
1/2/3, 1//3 and 1 in one face                            vertices mistaken: no area is left
negative numbers, more vertices after the face           counted from the last of all vertices
tabs between numbers, UTF-16 without a mark              nothing, without a word
lines that end in CR, comments after a face, 1.#IND      refused: "unmatched data"
a face with vertex 0                                     the last vertex
=======================================================  ==========================================
"""

from __future__ import annotations

import re

import numpy as np

from doh3d.geometry.polygons import FloatArray, IntArray, check_count, triangulate
from doh3d.geometry.text import as_utf8, to_coordinate


def read_obj(data: bytes) -> tuple[FloatArray, IntArray]:
    """Read the vertices and faces of an OBJ file, all groups and objects together.

    Normals, texture coordinates, colours, materials, lines and points are passed over.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    vertices : (V, 3) float64
    faces : (F, 3) int64
        Polygons cut into triangles.

    Raises
    ------
    ValueError
        If a number cannot be read, or a face uses a vertex that does not exist.
    """
    # A # within a word is no comment: 1.#IND is how some writers spell NaN.
    text = re.sub(rb"(?<!\S)#[^\r\n]*", b"", as_utf8(data))
    text = text.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").replace(b"\\\r", b" ")
    points: list[bytes] = []
    polygons: list[bytes] = []
    # How many vertices came before each face: negative numbers count back from there.
    before: list[int] = []
    check_count(len(re.findall(rb"(?m)^[ \t]*f[ \t]", text.replace(b"\r", b"\n"))))
    for line in text.splitlines():
        words = line.lstrip()
        if words[:2] in (b"v ", b"v\t"):
            points.append(words[2:])
        elif words[:2] in (b"f ", b"f\t"):
            polygons.append(words[2:])
            before.append(len(points))
    coordinates = np.fromiter(
        (to_coordinate(word) for row in points for word in row.split(maxsplit=3)[:3]), np.float64
    )
    if len(coordinates) != 3 * len(points):
        bad = next(k for k, row in enumerate(points) if len(row.split()) < 3)
        raise ValueError(f"vertex {bad + 1} has fewer than three coordinates")
    vertices = coordinates.reshape(-1, 3)

    # Only the first of the numbers in 12/3/4 is the vertex.
    rows = re.sub(rb"/[^\s/]*", b"", b"\n".join(polygons)).split(b"\n") if polygons else []
    sizes = np.fromiter((len(row.split()) for row in rows), np.int64, len(rows))
    given = np.fromiter((int(word) for row in rows for word in row.split()), np.int64)
    known = np.repeat(np.array(before, dtype=np.int64), sizes)
    corners = np.where(given < 0, known + given, given - 1)
    missing = (corners < 0) | (corners >= len(vertices))
    if missing.any():
        at = int(np.argmax(missing))
        face = int(np.searchsorted(np.cumsum(sizes), at, side="right"))
        raise ValueError(
            f"face {face + 1} uses vertex {given[at]}, but there are {len(vertices)}, "
            "numbered from 1"
        )
    return vertices, triangulate(vertices, sizes, corners)
