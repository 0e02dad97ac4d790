"""Reading OFF.

trimesh reads OFF too. What version 5.2 makes of files that are read, or refused, here:

=======================================================  ==========================================
polygons of five corners and more                        a TypeError
a concave quadrangle                                     a fan from the first corner
no line breaks, a number a line, counts apart            refused: "malformed", "invalid literal"
no OFF on the first line, UTF-16 without a mark          refused: "not enough values"
1.#IND                                                   faces go missing, without a word
fewer faces than announced                               the faces before, without a word
=======================================================  ==========================================
"""

from __future__ import annotations

import re

import numpy as np

from doh3d.geometry.polygons import FloatArray, IntArray, check_corners, check_count, triangulate
from doh3d.geometry.text import as_utf8, to_coordinate

_HEADER = re.compile(r"(?P<prefix>(?:ST)?C?N?4?n?)OFF(?P<rest>.*)", re.DOTALL)


def read_off(data: bytes) -> tuple[FloatArray, IntArray]:
    """Read an ASCII OFF file with polygons of any size.

    Parameters
    ----------
    data : bytes
        The file. Colours, normals and comments are passed over; line breaks may mean nothing.

    Returns
    -------
    vertices : (V, 3) float64
    faces : (F, 3) int64
        Polygons cut into triangles.

    Raises
    ------
    ValueError
        If the file is binary or four-dimensional, holds less than it announces, or a face uses
        a vertex that does not exist.
    """
    # A # after a point is no comment: 1.#IND is how some writers spell NaN.
    text = re.sub(r"#(?<!\d\.#)[^\r\n]*", "", as_utf8(data).decode(errors="replace")).strip()
    header = _HEADER.match(text)
    rest = header["rest"].lstrip() if header else text
    if rest.startswith("BINARY") or "4" in (header["prefix"] if header else ""):
        raise ValueError("binary and four-dimensional OFF are not supported")
    counts = rest.split(maxsplit=2)[:2]
    if len(counts) < 2 or not all(re.fullmatch(r"[+-]?\d{1,18}", word) for word in counts):
        raise ValueError("the numbers of vertices and faces are missing")
    vertex_count, face_count = (int(word) for word in counts)
    if vertex_count < 0 or face_count < 0:
        raise ValueError(f"{vertex_count} vertices and {face_count} faces are announced")
    check_count(face_count)
    triangles = _read_triangles(rest, vertex_count, face_count)
    if triangles:
        return triangles
    lines = [line for line in map(str.strip, rest.splitlines()) if line]
    words = rest.split()
    on_first = len(lines[0].split())
    rows = [line.split()[:3] for line in lines[1 : vertex_count + 1]]
    faces = [line.split() for line in lines[vertex_count + 1 : vertex_count + face_count + 1]]
    if not (on_first > 1 and len(faces) == face_count and all(map(_is_whole, faces))):
        if header and header["prefix"]:
            raise ValueError("colours, normals and the like need one vertex, or one face, a line")
        numbers = " ".join(lines[1:]).split() if on_first in (2, 3) else words[3:]
        rows, faces = _split_free_form(numbers, vertex_count, face_count)
    short = next((k for k, row in enumerate(rows) if len(row) < 3), None)
    if short is not None:
        raise ValueError(f"vertex {short} has {len(rows[short])} coordinates; three are needed")
    coordinates = (to_coordinate(word) for row in rows for word in row)
    vertices = np.fromiter(coordinates, np.float64, 3 * len(rows)).reshape(-1, 3)
    sizes = np.fromiter((max(int(words[0]), 0) for words in faces), np.int64, len(faces))
    corners = np.fromiter(
        (int(word) for words in faces for word in words[1 : max(int(words[0]), 0) + 1]), np.int64
    )
    return vertices, triangulate(vertices, sizes, corners)


def _read_triangles(
    rest: str, vertex_count: int, face_count: int
) -> tuple[FloatArray, IntArray] | None:
    """Read a file of nothing but triangles, as most are, in a tenth of the memory."""
    # Where it meets no number older versions of numpy stop, and too few are found.
    try:
        numbers = np.fromstring(rest, sep=" ")
    except ValueError:
        return None
    counts = len(numbers) - 3 * vertex_count - 4 * face_count
    if counts not in (2, 3):
        return None
    body = numbers[counts:]
    rows = body[3 * vertex_count :].reshape(-1, 4)
    if not (rows[:, 0] == 3).all() or not (rows == np.rint(rows)).all():
        return None
    faces = rows[:, 1:].astype(np.int64)
    check_corners(faces.ravel(), vertex_count)
    return body[: 3 * vertex_count].reshape(-1, 3), faces


def _is_whole(words: list[str]) -> bool:
    """Whether a line holds a whole face, which a colour may follow."""
    return re.fullmatch(r"[+-]?\d{1,18}", words[0]) is not None and len(words) > int(words[0])


def _split_free_form(
    words: list[str], vertex_count: int, face_count: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Split the numbers of a file whose line breaks mean nothing into vertices and faces."""
    rows = [words[3 * k : 3 * k + 3] for k in range(min(vertex_count, len(words) // 3))]
    position = 3 * vertex_count
    faces: list[list[str]] = []
    while len(faces) < face_count and position < len(words):
        end = position + 1 + max(int(words[position]), 0)
        faces.append(words[position:end])
        position = end
    if position > len(words) or len(faces) < face_count:
        raise ValueError(
            f"{vertex_count} vertices and {face_count} faces are announced, but only "
            f"{len(words)} numbers follow"
        )
    return rows, faces
