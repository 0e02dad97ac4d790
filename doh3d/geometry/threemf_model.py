"""The XML of a 3MF model: its objects, and where its build puts them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from doh3d.geometry.repair import FloatArray
from doh3d.geometry.threemf_package import Package, part_name

_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"

# Extensions that change no triangle, or whose objects are refused where they are used. A slicer's
# own say how to paint and print.
_KNOWN = (
    _CORE,
    "http://schemas.microsoft.com/3dmanufacturing/production/",
    "http://schemas.microsoft.com/3dmanufacturing/material/",
    "http://schemas.microsoft.com/3dmanufacturing/slice/",
    "http://schemas.microsoft.com/3dmanufacturing/trianglesets/",
    "http://schemas.microsoft.com/3dmanufacturing/beamlattice/",
    "http://schemas.slic3r.org/3mf/",
    "http://schemas.bambulab.com/package/",
)

UNITS = {
    "micron": "micron",
    "millimeter": "millimetre",
    "centimeter": "centimetre",
    "inch": "inch",
    "foot": "foot",
    "meter": "metre",
}

# What extensions call a mesh that is meant as it is; others stand for a shape that lies elsewhere.
_FULL = "fullres"
_RESOLUTIONS = ("meshresolution", "modelresolution")

_WHAT = {
    "slicestack": "a stack of slices",
    "displacementmesh": "a displacement mesh",
    "booleanshape": "a boolean shape",
    "levelset": "a level set",
    "implicitfunction": "an implicit function",
}

# Determinants this small, against the product of the rows' lengths, are of a plane.
_SINGULAR = 1e-12

Number = TypeVar("Number", int, float)

# An object is told by the part of the archive that has it, and by its number there.
Key = tuple[str, str]


@dataclass(frozen=True)
class Place:
    """An object, and where it is put: ``points @ matrix[:3] + matrix[3]``."""

    key: Key
    matrix: FloatArray
    printable: bool = True


@dataclass
class Object:
    """A mesh, or an assembly of other objects.

    Attributes
    ----------
    type, name : str
        As the file has them.
    coordinates, corners : array
        Of the mesh.
    parts : list of Place
        Of an assembly.
    other : str
        What it consists of that is neither, by the element's name.
    beams : int
        Of its lattice.
    resolution : str
        "fullres", or what the file says that the mesh is good for.
    """

    type: str = "model"
    name: str = ""
    coordinates: array[float] = field(default_factory=lambda: array("d"))
    corners: array[int] = field(default_factory=lambda: array("q"))
    parts: list[Place] = field(default_factory=list)
    other: str = ""
    beams: int = 0
    resolution: str = _FULL

    def check(self, name: str) -> None:
        """Refuse, by the `name` that people know it by, what would vanish or come back in part.

        Raises
        ------
        ValueError
            If it consists of anything but triangles and components, or stands for another shape.
        """
        if self.beams:
            raise ValueError(
                f"{name} has a lattice of {self.beams} beams, which are not read; export it as "
                "triangles"
            )
        if not self.corners and not self.parts:
            kind = _WHAT.get(self.other, f"<{self.other}>") if self.other else ""
            reason = f"consists of {kind}, which is not read" if kind else "has no triangles"
            raise ValueError(f"{name} {reason}; export it as triangles")
        if self.resolution != _FULL:
            raise ValueError(
                f"{name} is marked {self.resolution}, so its triangles only stand for the shape; "
                "export it in full resolution"
            )
        if self.corners and self.parts:
            raise ValueError(f"{name} has a mesh and components; it must have one of them")


class Model:
    """What is kept of one model of a package: `part`, `objects`, `items` and `unit`.

    Raises
    ------
    ValueError
        If it requires an extension that is not known, has more than `most_faces` triangles, or
        an element lacks what it must have.
    """

    def __init__(self, package: Package, part: str, most_faces: int) -> None:
        self.objects: dict[Key, Object] = {}
        self.items: list[Place] = []
        self.unit = UNITS["millimeter"]
        self.part = part
        self._most_faces = most_faces
        self._prefixes: dict[str, str] = {}
        self._object = Object()
        self._path: list[str] = []
        package.parse(part, self._start, self._end, self._declare)

    def _declare(self, prefix: str, namespace: str) -> None:
        self._prefixes.setdefault(prefix, namespace)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        within = self._path[-1] if self._path else ""
        # Elements of extensions may have the same names, and mean something else.
        core = namespace in ("", _CORE)
        self._path.append(tag if core else name)
        if tag == "beam":
            self._object.beams += 1
        if not core:
            if within == "object":
                self._object.other = tag
        elif tag == "model":
            self._check_extensions(attributes.get("requiredextensions", ""))
            given = attributes.get("unit", "millimeter")
            if given not in UNITS:
                raise ValueError(f"its unit is {given!r}; it must be one of {', '.join(UNITS)}")
            self.unit = UNITS[given]
        elif tag == "object":
            self._add_object(attributes)
        elif tag == "vertex" and within == "vertices":
            self._object.coordinates.extend(_numbers(float, tag, attributes, "xyz"))
        elif tag == "triangle" and within == "triangles":
            self._object.corners.extend(_numbers(int, tag, attributes, ("v1", "v2", "v3")))
            if len(self._object.corners) > 3 * self._most_faces:
                raise ValueError(
                    f"it has more than {self._most_faces} triangles; simplify it first"
                )
        elif tag == "component":
            self._object.parts.append(self._place(tag, attributes))
        elif tag == "item":
            self.items.append(self._place(tag, attributes))

    def _end(self, name: str) -> None:
        self._path.pop()

    def _check_extensions(self, required: str) -> None:
        for prefix in required.split():
            namespace = self._prefixes.get(prefix, "")
            if not namespace.startswith(_KNOWN):
                raise ValueError(
                    f"it requires the extension {namespace or prefix}, which is not read; export "
                    "it without"
                )

    def _add_object(self, attributes: dict[str, str]) -> None:
        key = self.part, _needed("object", attributes, "id")
        if key in self.objects:
            raise ValueError(f"two objects have the id {key[1]}; each must have one of its own")
        self._object = Object(attributes.get("type", "model"), attributes.get("name", ""))
        self.objects[key] = self._object
        for name, value in attributes.items():
            local = name.rpartition(" ")[2]
            if local in _RESOLUTIONS:
                self._object.resolution = value
            elif local == "slicestackid":
                self._object.other = "slicestack"

    def _place(self, tag: str, attributes: dict[str, str]) -> Place:
        part = next((v for k, v in attributes.items() if k.rpartition(" ")[2] == "path"), None)
        key = (part_name(part) if part else self.part, _needed(tag, attributes, "objectid"))
        matrix = _matrix(key[1], attributes.get("transform", "1 0 0 0 1 0 0 0 1 0 0 0"))
        return Place(key, matrix, attributes.get("printable", "1") != "0")


def _needed(tag: str, attributes: dict[str, str], name: str) -> str:
    if name not in attributes:
        raise ValueError(f"a <{tag}> has no attribute {name}; it must have one")
    return attributes[name]


def _numbers(
    convert: Callable[[str], Number], tag: str, attributes: dict[str, str], names: Iterable[str]
) -> list[Number]:
    try:
        return [convert(attributes[name]) for name in names]
    except (KeyError, ValueError) as error:
        given = " ".join(f'{name}="{value}"' for name, value in attributes.items())[:80]
        kind = "whole numbers" if convert is int else "numbers"
        raise ValueError(
            f"a <{tag}> has {given or 'no attributes'}; it must have the {kind} {', '.join(names)}"
        ) from error


def _matrix(number: str, transform: str) -> FloatArray:
    try:
        matrix = np.array(transform.split(), dtype=np.float64).reshape(4, 3)
    except ValueError:
        matrix = np.full((4, 3), np.nan)
    if not np.isfinite(matrix).all():
        raise ValueError(
            f"object {number} is placed by the transform {transform[:80]!r}; it must be 12 finite "
            "numbers"
        )
    turn = matrix[:3]
    if abs(np.linalg.det(turn)) <= _SINGULAR * np.linalg.norm(turn, axis=1).prod():
        raise ValueError(
            f"object {number} is flattened by the transform {transform[:80]!r}; it must keep a "
            "volume"
        )
    return matrix
