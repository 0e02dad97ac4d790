"""Reading 3MF: its meshes, each at all places that the build and its assemblies give it."""

from __future__ import annotations

import zipfile
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from doh3d.geometry.polygons import FloatArray, IntArray, check_corners

_MODEL = "3d/3dmodel.model"

# Bytes of XML that are read: for millions of triangles enough, and little of what a zip archive of
# a megabyte can unfold to.
_MOST_BYTES = 1 << 28
_CHUNK = 1 << 16

# Bytes of one tag or comment, which are parsed anew with each chunk until it ends.
_LONGEST_TAG = 1 << 20

# Objects in objects: deeper assemblies have no use.
_DEEPEST = 64

# An object is told by the file in the archive that has it, and by its number there.
_Key = tuple[str, str]


@dataclass(frozen=True)
class _Place:
    """An object, and where it is put: ``points @ matrix[:3] + matrix[3]``."""

    key: _Key
    matrix: FloatArray


@dataclass
class _Object:
    """A mesh, or an assembly of other objects."""

    coordinates: array[float] = field(default_factory=lambda: array("d"))
    corners: array[int] = field(default_factory=lambda: array("q"))
    parts: list[_Place] = field(default_factory=list)


def read_3mf(path: Path, most_faces: int) -> tuple[FloatArray, IntArray]:
    """Read the triangles of all items to build.

    Parameters
    ----------
    path : Path
    most_faces : int
        The most triangles and instances, together.

    Returns
    -------
    vertices : (V, 3) float64
    faces : (F, 3) int64

    Raises
    ------
    ValueError
        If there is no model, it refers to what does not exist or to itself, or is too large.
    """
    with zipfile.ZipFile(path) as archive:
        objects, items = _read_models(archive, most_faces)
    sizes: dict[_Key, int] = {}
    count = sum(_size(item.key, objects, sizes, 0) for item in items)
    if count > most_faces:
        raise ValueError(
            f"its {count} triangles and instances are more than {most_faces}; simplify it first"
        )
    vertices: list[FloatArray] = [np.zeros((0, 3))]
    faces: list[IntArray] = [np.zeros((0, 3), dtype=np.int64)]
    offset = 0
    pending = items[::-1]
    while pending:
        place = pending.pop()
        what, turn, shift = objects[place.key], place.matrix[:3], place.matrix[3]
        pending += [
            _Place(p.key, np.vstack([p.matrix[:3] @ turn, p.matrix[3] @ turn + shift]))
            for p in reversed(what.parts)
        ]
        if what.corners:
            points = np.array(what.coordinates).reshape(-1, 3)
            own = np.array(what.corners, dtype=np.int64).reshape(-1, 3)
            check_corners(own.ravel(), len(points))
            vertices.append(points @ turn + shift)
            # A mirror image winds the other way.
            faces.append((own[:, ::-1] if np.linalg.det(turn) < 0 else own) + offset)
            offset += len(points)
    return np.concatenate(vertices), np.concatenate(faces)


def _size(key: _Key, objects: dict[_Key, _Object], sizes: dict[_Key, int], depth: int) -> int:
    """Count an object's triangles and instances, before any is copied."""
    if key not in objects:
        raise ValueError(f"object {key[1]} is referred to, but does not exist in {key[0]}")
    if depth > _DEEPEST:
        raise ValueError(
            f"objects are within objects more than {_DEEPEST} deep, or within themselves"
        )
    if key not in sizes:
        what = objects[key]
        parts = sum(_size(part.key, objects, sizes, depth + 1) for part in what.parts)
        sizes[key] = 1 + len(what.corners) // 3 + parts
    return sizes[key]


def _read_models(
    archive: zipfile.ZipFile, most_faces: int
) -> tuple[dict[_Key, _Object], list[_Place]]:
    """Read the model, and those that it refers to."""
    names = {name.lower().lstrip("/"): name for name in archive.namelist()}
    if _MODEL not in names:
        raise ValueError(f"the archive has no {_MODEL}")
    objects: dict[_Key, _Object] = {}
    items: list[_Place] = []
    pending, done = [_MODEL], {_MODEL}
    left = _MOST_BYTES
    while pending:
        part = pending.pop()
        if part not in names:
            raise ValueError(f"the archive has no {part}")
        info = archive.getinfo(names[part])
        left -= info.file_size
        if left < 0:
            raise ValueError(f"its models are larger than {_MOST_BYTES} bytes; simplify it first")
        model = _Model(part, most_faces)
        with archive.open(info) as file:
            while chunk := file.read(_CHUNK):
                model.parser.Parse(chunk, False)
                if file.tell() - model.parser.CurrentByteIndex > _LONGEST_TAG:
                    raise ValueError(f"a tag or comment is longer than {_LONGEST_TAG} bytes")
            model.parser.Parse(b"", True)
        objects |= model.objects
        if part == _MODEL:
            items = model.items
        for place in [*model.items, *(p for o in model.objects.values() for p in o.parts)]:
            if place.key[0] not in done:
                done.add(place.key[0])
                pending.append(place.key[0])
    if not items:
        raise ValueError("its build has no items")
    return objects, items


class _Model:
    """What is kept of one file of XML as it is parsed: `objects` and `items`."""

    def __init__(self, part: str, most_faces: int) -> None:
        self.objects: dict[_Key, _Object] = {}
        self.items: list[_Place] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.EntityDeclHandler = self._entity
        self._part = part
        self._most_faces = most_faces
        self._object = _Object()
        self._in_mesh = False

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "object":
            self._object = self.objects[self._part, attributes["id"]] = _Object()
        elif tag == "mesh":
            self._in_mesh = True
        elif tag == "vertex" and self._in_mesh:
            self._object.coordinates.extend([float(attributes[axis]) for axis in "xyz"])
        elif tag == "triangle" and self._in_mesh:
            self._object.corners.extend([int(attributes[k]) for k in ("v1", "v2", "v3")])
            if len(self._object.corners) > 3 * self._most_faces:
                raise ValueError(
                    f"it has more than {self._most_faces} triangles; simplify it first"
                )
        elif tag == "component":
            self._object.parts.append(self._place(attributes))
        elif tag == "item":
            self.items.append(self._place(attributes))

    def _end(self, name: str) -> None:
        if name.rpartition(" ")[2] == "mesh":
            self._in_mesh = False

    def _entity(self, *_: object) -> None:
        raise ValueError("it declares entities, which 3MF has no use for")

    def _place(self, attributes: dict[str, str]) -> _Place:
        part = next((v for k, v in attributes.items() if k.rpartition(" ")[2] == "path"), None)
        numbers = attributes.get("transform", "1 0 0 0 1 0 0 0 1 0 0 0").split()
        matrix = np.array(numbers, dtype=np.float64).reshape(4, 3)
        key = (part.lower().lstrip("/") if part else self._part, attributes["objectid"])
        return _Place(key, matrix)
