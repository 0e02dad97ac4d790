"""The XML of a 3MF model: its objects, and where its build puts them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

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
    """

    type: str = "model"
    name: str = ""
    coordinates: array[float] = field(default_factory=lambda: array("d"))
    corners: array[int] = field(default_factory=lambda: array("q"))
    parts: list[Place] = field(default_factory=list)
    other: str = ""
    beams: int = 0


class Model:
    """What is kept of one model of a package: `objects`, `items` and `unit`.

    Raises
    ------
    ValueError
        If it requires an extension that is not known, or has more than `most_faces` triangles.
    """

    def __init__(self, package: Package, part: str, most_faces: int) -> None:
        self.objects: dict[Key, Object] = {}
        self.items: list[Place] = []
        self.unit = UNITS["millimeter"]
        self._part = part
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
            self._object = Object(attributes.get("type", "model"), attributes.get("name", ""))
            self.objects[self._part, attributes["id"]] = self._object
        elif tag == "vertex" and within == "vertices":
            self._object.coordinates.extend([float(attributes[axis]) for axis in "xyz"])
        elif tag == "triangle" and within == "triangles":
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
        self._path.pop()

    def _check_extensions(self, required: str) -> None:
        for prefix in required.split():
            namespace = self._prefixes.get(prefix, "")
            if not namespace.startswith(_KNOWN):
                raise ValueError(
                    f"it requires the extension {namespace or prefix}, which is not read; export "
                    "it without"
                )

    def _place(self, attributes: dict[str, str]) -> Place:
        part = next((v for k, v in attributes.items() if k.rpartition(" ")[2] == "path"), None)
        numbers = attributes.get("transform", "1 0 0 0 1 0 0 0 1 0 0 0").split()
        matrix = np.array(numbers, dtype=np.float64).reshape(4, 3)
        key = (part_name(part) if part else self._part, attributes["objectid"])
        return Place(key, matrix, attributes.get("printable", "1") != "0")
