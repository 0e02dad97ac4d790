"""Reading 3MF: its meshes, each at all places that the build and its assemblies give it.

What trimesh 5.2 makes of the same files:

| file | trimesh |
|---|---|
| a box of 27,000 with PrusaSlicer's negative volume of 64,000 | adds it: 91,000 |
| the same with Bambu Studio's modifier, an object of its own | adds it, and all twice: 182,000 |
| a box of 8 beside a support, or an item that is not printable, of 1 | adds it: 9 |
| an extension that is required and not known | reads the rest, without a word |
| a mesh that is marked `lowres` | reads it as the shape |
| an object of a displacement mesh, beside others | KeyError |
| a lattice of beams, alone or beside a plate | AttributeError |
| a part whose name is percent-encoded | an empty scene, without a word |
| a root model that lies where its relationships say, not at the usual place | StopIteration |
| units, assemblies of 5 levels, mirror images | as here |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from doh3d.geometry.polygons import FloatArray, IntArray, check_corners
from doh3d.geometry.raw_mesh import RawMesh
from doh3d.geometry.solids import difference
from doh3d.geometry.threemf_model import Key, Model, Object, Place
from doh3d.geometry.threemf_package import Package
from doh3d.geometry.threemf_slicers import MATERIAL, NEGATIVE, Roles, read_roles

# Objects in objects: deeper assemblies have no use.
_DEEPEST = 64

# Types of objects that are no part of what is built.
_NO_MATERIAL = ("support", "solidsupport", "other")

# Lines of notes that people are shown; a file can give cause for millions.
_MOST_NOTES = 20

_Mesh = tuple[FloatArray, IntArray]


def read_3mf(path: Path, most_faces: int) -> RawMesh:
    """Read the triangles of all items to build.

    What is no material is left out, with a note: supports, a slicer's modifiers and support
    blockers, items that are not to be printed beside others that are. Negative volumes are
    subtracted from the object that they belong to.

    Parameters
    ----------
    path : Path
    most_faces : int
        The most triangles and instances, together.

    Returns
    -------
    RawMesh
        In the file's unit.

    Raises
    ------
    ValueError
        If there is no model, it refers to what does not exist or to itself, is too large, or
        requires or consists of what is not read: beams, displacement meshes and the like.
    """
    with Package(path) as package:
        root = package.root()
        objects, model = _read_models(package, root, most_faces)
        roles = read_roles(package)
    if not model.items:
        raise ValueError("its build has no items")
    scene = _Scene(root, objects, roles, most_faces)
    items = [item for item in model.items if item.printable] or model.items
    if len(items) < len(model.items):
        scene.note(f"{len(model.items) - len(items)} items that are not printable are left out")
    vertices, faces = scene.assemble(items)
    return RawMesh(vertices, faces, unit=model.unit, notes=scene.few_notes())


def _read_models(package: Package, root: str, most_faces: int) -> tuple[dict[Key, Object], Model]:
    """Read the root model, and those that it refers to."""
    objects: dict[Key, Object] = {}
    first: Model | None = None
    pending, done = [root], {root}
    while pending:
        model = Model(package, pending.pop(), most_faces)
        first = first or model
        if model.unit != first.unit:
            raise ValueError(
                f"{model.part} is in the unit {model.unit}, its root model {root} in {first.unit}; "
                "all models must be in one unit"
            )
        objects |= model.objects
        for place in [*model.items, *(p for o in model.objects.values() for p in o.parts)]:
            if place.key[0] not in done:
                done.add(place.key[0])
                pending.append(place.key[0])
    assert first is not None
    return objects, first


@dataclass
class _Scene:
    """Puts objects together; `notes` grows meanwhile."""

    root: str
    objects: dict[Key, Object]
    roles: Roles
    most_faces: int
    notes: dict[str, None] = field(default_factory=dict)
    _sizes: dict[Key, int] = field(default_factory=dict)
    _carved: dict[Key, _Mesh] = field(default_factory=dict)

    def assemble(self, places: list[Place]) -> _Mesh:
        """Join the triangles of all places."""
        count = sum(self._size(place.key, 0) for place in places)
        if count > self.most_faces:
            raise ValueError(
                f"its {count} triangles and instances are more than {self.most_faces}; simplify "
                "it first"
            )
        material = self._material(places)
        if not material:
            raise ValueError(
                f"none of its items is material ({next(iter(self.notes))}); at least one must be"
            )
        meshes = [self._placed(place) for place in material]
        return _joined([mesh for parts in meshes for mesh in parts])

    def _size(self, key: Key, depth: int) -> int:
        """Count an object's triangles and instances, before any is copied."""
        if key not in self.objects:
            raise ValueError(f"object {key[1]} is referred to, but does not exist in {key[0]}")
        if depth > _DEEPEST:
            raise ValueError(
                f"objects are within objects more than {_DEEPEST} deep, or within themselves"
            )
        if key not in self._sizes:
            what = self.objects[key]
            parts = sum(self._size(part.key, depth + 1) for part in what.parts)
            self._sizes[key] = 1 + len(what.corners) // 3 + parts
        return self._sizes[key]

    def _material(self, places: list[Place]) -> list[Place]:
        """Leave out what a file itself says is no material."""
        kept = []
        for place in places:
            what = self.objects[place.key]
            if what.type in _NO_MATERIAL:
                self.note(f"{_called(place.key, what)} is of type {what.type} and left out")
            else:
                kept.append(place)
        return kept

    def _placed(self, place: Place) -> list[_Mesh]:
        """Return the meshes of an object and all that is in it, where they belong."""
        found = []
        pending = [place]
        while pending:
            place = pending.pop()
            what, turn, shift = self.objects[place.key], place.matrix[:3], place.matrix[3]
            what.check(_called(place.key, what))
            own, parts = self._own(place.key, what)
            pending += [
                Place(p.key, np.vstack([p.matrix[:3] @ turn, p.matrix[3] @ turn + shift]))
                for p in reversed(parts)
            ]
            if own is not None:
                points, faces = own
                # A mirror image winds the other way.
                faces = faces[:, ::-1] if np.linalg.det(turn) < 0 else faces
                found.append((points @ turn + shift, faces))
        return found

    def _own(self, key: Key, what: Object) -> tuple[_Mesh | None, list[Place]]:
        """Triangles of an object itself, and its parts, without what a slicer leaves out."""
        if key in self._carved:
            return self._carved[key], []
        mesh = _mesh_of(what) if what.corners else None
        negative: list[_Mesh] = []
        if mesh is None:
            parts, taken = self._parts_by_role(key, what)
            for place in taken:
                negative += self._placed(place)
            if not negative:
                return None, parts
            solid = [piece for part in parts for piece in self._placed(part)]
        else:
            if key[0] != self.root or key[1] not in self.roles.volumes:
                return mesh, []
            solid, negative = self._volumes_by_role(key, what, mesh)
        try:
            self._carved[key] = difference(solid, negative) if negative else _joined(solid)
        except ValueError as error:
            raise ValueError(f"{_called(key, what)}: {error}") from error
        if not len(self._carved[key][1]):
            raise ValueError(f"of {_called(key, what)} its negative volumes leave nothing")
        return self._carved[key], []

    def _parts_by_role(self, key: Key, what: Object) -> tuple[list[Place], list[Place]]:
        """Components that are material, and that are to be subtracted."""
        known = self.roles.parts if key[0] == self.root else {}
        solid, negative = [], []
        for part in what.parts:
            role, name = known.get((key[1], part.key[1]), (MATERIAL, ""))
            if role == MATERIAL:
                solid += self._material([part])
            elif role == NEGATIVE:
                negative.append(part)
                self._note_subtracted(name or part.key[1], key, what)
            else:
                self._note_left_out(role, name or part.key[1], key, what)
        if not solid:
            raise ValueError(
                f"{_called(key, what)} has no part that is material; at least one must be"
            )
        return solid, negative

    def _volumes_by_role(
        self, key: Key, what: Object, mesh: _Mesh
    ) -> tuple[list[_Mesh], list[_Mesh]]:
        """Volumes of a mesh that are material, and that are to be subtracted."""
        points, faces = mesh
        solid, negative = [], []
        rest = np.ones(len(faces), dtype=np.bool_)
        for volume in self.roles.volumes[key[1]]:
            some = faces[volume.first : volume.last + 1]
            rest[volume.first : volume.last + 1] = False
            if not 0 <= volume.first <= volume.last < len(faces):
                raise ValueError(
                    f"the slicer's notes give triangles {volume.first} to {volume.last} of "
                    f"{_called(key, what)}, which has {len(faces)}"
                )
            if volume.role == MATERIAL:
                solid.append((points, some))
            elif volume.role == NEGATIVE:
                negative.append((points, some))
                self._note_subtracted(volume.name, key, what)
            else:
                self._note_left_out(volume.role, volume.name, key, what)
        if rest.any():
            solid.append((points, faces[rest]))
        if not solid:
            raise ValueError(
                f"{_called(key, what)} has no volume that is material; at least one must be"
            )
        return solid, negative

    def _note_left_out(self, role: str, name: str, key: Key, what: Object) -> None:
        self.note(f"{role} {name!r} of {_called(key, what)} is no material and left out")

    def _note_subtracted(self, name: str, key: Key, what: Object) -> None:
        self.note(f"{NEGATIVE} {name!r} of {_called(key, what)} is subtracted")

    def note(self, line: str) -> None:
        """Add a line, once."""
        self.notes[line] = None

    def few_notes(self) -> tuple[str, ...]:
        """Return the first notes, and how many more there are."""
        notes = list(self.notes)
        more = len(notes) - _MOST_NOTES
        counted = [f"{more} more objects or parts are left out or subtracted"] if more > 0 else []
        return (*notes[:_MOST_NOTES], *counted)


def _mesh_of(what: Object) -> _Mesh:
    points = np.array(what.coordinates).reshape(-1, 3)
    faces = np.array(what.corners, dtype=np.int64).reshape(-1, 3)
    check_corners(faces.ravel(), len(points))
    return points, faces


def _joined(meshes: list[_Mesh]) -> _Mesh:
    vertices: list[FloatArray] = [np.zeros((0, 3))]
    faces: list[IntArray] = [np.zeros((0, 3), dtype=np.int64)]
    offset = 0
    for points, own in meshes:
        vertices.append(points)
        faces.append(own + offset)
        offset += len(points)
    return np.concatenate(vertices), np.concatenate(faces)


def _called(key: Key, what: Object) -> str:
    return f"object {key[1]} {what.name!r}" if what.name else f"object {key[1]}"
