"""Loading a mesh from a file and making it fit to be asked what is inside it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from doh3d.errors import MeshError
from doh3d.geometry import repair
from doh3d.geometry.clarity import unclear_volume
from doh3d.geometry.duplicates import align_copies, drop_duplicates
from doh3d.geometry.formats import read_mesh
from doh3d.geometry.half_edges import open_edge_count
from doh3d.geometry.orientation import orient
from doh3d.geometry.raw_mesh import RawMesh
from doh3d.geometry.repair import FloatArray, IntArray
from doh3d.geometry.transform import NormalizingTransform
from doh3d.geometry.volume import check_volume, check_work, no_volume
from doh3d.late_module import LateModule

if TYPE_CHECKING:
    import trimesh
else:
    trimesh = LateModule("trimesh")

# Beyond these sizes squares and cubes of lengths leave float64.
_LARGEST_COORDINATE = 1e100
_SMALLEST_EXTENT = 1e-100

# What is said of bodies that no reading of the file makes right for certain.
CROSSING = "bodies inside out lie partly in others; they are turned, and joined to those"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RepairedMesh:
    """A mesh fit to be asked what is inside it, and what had to be done for that.

    Attributes
    ----------
    mesh : trimesh.Trimesh
        Welded, consistently wound, in the file's own units.
    not_finite_faces : int
        Faces left out because one of their vertices is not finite.
    joined_vertices : int
        Vertices that lay where another one is.
    degenerate_faces : int
        Faces left out because they have no area.
    duplicate_faces : int
        Faces left out because they repeat another, or are a wall between two bodies.
    turned_faces : int
        Faces whose winding was reversed.
    mended_faces : int
        Those of them that are of a patch whose faces disagreed.
    crossing_bodies : int
        Bodies inside out, and turned, part of which lies in another.
    given_faces : (F, 3) int64
        The faces before any was turned, over welded vertices.
    unclear_as_given, unclear_as_turned : float or None
        Share of what is enclosed, or nearly, for no certain, before and after faces were turned;
        None where none was. See :func:`doh3d.geometry.clarity.unclear_share`.
    """

    mesh: trimesh.Trimesh
    not_finite_faces: int
    joined_vertices: int
    degenerate_faces: int
    duplicate_faces: int
    turned_faces: int
    mended_faces: int
    crossing_bodies: int
    given_faces: IntArray
    unclear_as_given: float | None
    unclear_as_turned: float | None

    @property
    def untouched(self) -> bool:
        """Whether the mesh encloses what the faces as they came do, by the same winding numbers."""
        return not (self.turned_faces or self.duplicate_faces or self.not_finite_faces)

    @property
    def turning(self) -> str:
        """How many faces were turned, and what for."""
        return (
            f"{self.turned_faces} faces are turned so that their normals point outwards; "
            f"unclear before: {self.unclear_as_given:.1%} of the enclosed volume, "
            f"after: {self.unclear_as_turned:.1%}"
        )


def load_mesh(path: str | Path) -> trimesh.Trimesh:
    """Read a triangle mesh and repair it.

    PLY, OBJ, STL, OFF, GLB, glTF and 3MF are read; polygons become triangles, and the parts of
    a scene are joined where their transforms put them. See :func:`repair_mesh` for the repair.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    trimesh.Trimesh
        Welded, consistently wound, in the file's own units.

    Raises
    ------
    MeshError
        The file cannot be read as a mesh, or the mesh encloses no volume.
    """
    return clean_mesh(read_mesh(Path(path)), name=str(path))


def clean_mesh(mesh: RawMesh | trimesh.Trimesh, name: str) -> trimesh.Trimesh:
    """Weld, drop useless faces, and wind the rest outwards; see :func:`repair_and_tell`."""
    return repair_and_tell(mesh, name).mesh


def repair_and_tell(mesh: RawMesh | trimesh.Trimesh, name: str) -> RepairedMesh:
    """Repair a mesh as :func:`repair_mesh` does, and say in the log what was done.

    The log passes on what the reader had to say. It warns of faces that are left out because a
    vertex is not finite, of faces that were turned because they disagreed with those they meet,
    and of bodies that are turned although they may be meant as cavities.
    """
    if isinstance(mesh, RawMesh):
        for note in mesh.notes:
            _log.warning("%s: %s", name, note)
    repaired = repair_mesh(mesh, name)
    for count, what in (
        (repaired.joined_vertices, "vertices joined to others in the same place"),
        (repaired.degenerate_faces, "faces without area left out"),
        (repaired.duplicate_faces, "doubled faces left out"),
    ):
        if count:
            _log.info("%s: %d %s", name, count, what)
    if repaired.not_finite_faces:
        _log.warning(
            "%s: %d faces use vertices that are not finite; they are left out",
            name,
            repaired.not_finite_faces,
        )
    if repaired.turned_faces:
        level = logging.WARNING if repaired.mended_faces else logging.INFO
        _log.log(level, "%s: %s", name, repaired.turning)
    if repaired.crossing_bodies:
        _log.warning("%s: %d %s", name, repaired.crossing_bodies, CROSSING)
    return repaired


def repair_mesh(mesh: RawMesh | trimesh.Trimesh, name: str) -> RepairedMesh:
    """Weld, drop useless faces, and wind the rest outwards.

    Vertices are joined by position. Faces that use a vertex twice, have no area, repeat another
    or have a corner that is not finite are dropped (a face of no area stays where the surface is
    closed only with it). Faces that are connected over edges of two faces get one winding, and
    each body is turned to enclose positive volume, except cavities: bodies of the other winding
    inside another.

    Parameters
    ----------
    mesh : RawMesh or trimesh.Trimesh
        Any triangles, in any units; not changed.
    name : str
        What error messages call the mesh.

    Returns
    -------
    RepairedMesh
        A new mesh of vertices and faces only, in the same units, and counts of what was done.

    Raises
    ------
    MeshError
        There are no faces, a face uses a vertex that does not exist, all faces use one that is
        not finite, or the mesh encloses no volume.
    """
    import trimesh

    name = " ".join(name.split()) or "mesh"
    vertices = np.array(mesh.vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.array(mesh.faces, dtype=np.int64).reshape(-1, 3)
    _check_arrays(vertices, faces, name)
    finite = repair.is_finite(vertices, faces)
    not_finite = len(faces) - int(finite.sum())
    if not_finite:
        faces = faces[finite]
    used = vertices[faces.ravel()]
    bounds = np.stack([used.min(axis=0), used.max(axis=0)])
    del used
    _check_size(bounds, name)
    with np.errstate(over="ignore", invalid="ignore"):
        # Vertices that no face uses may be anything.
        points = NormalizingTransform.from_bounds(bounds).to_normalized(vertices)

    used_count = int(repair.is_used(len(vertices), faces).sum())
    kept, faces = repair.weld(points, faces)
    joined = used_count - len(kept)
    points, vertices = points[kept], vertices[kept]
    repeated = repair.has_repeated_corner(faces)
    faces = faces[~repeated]
    if not len(faces):
        raise no_volume(name, "all its faces are degenerate")
    given, two_sided = drop_duplicates(align_copies(points, faces))
    duplicates = len(faces) - len(given)
    orientation = orient(points, given, two_sided)
    faces = orientation.faces
    # A face is turned by swapping its first and last corner.
    turned = int((faces[:, 0] != given[:, 0]).sum())
    clarity = [unclear_volume(points, f) for f in (given, faces)] if turned else [None, None]
    oriented = len(faces)
    faces = _without_flat_faces(points, faces)
    try:
        check_volume(points, faces, name)
    except MeshError as error:
        if not not_finite:
            raise
        what = f"{not_finite} faces with a vertex that is not finite are left out"
        raise MeshError(f"{error}; {what}") from error
    check_work(points, faces, name)

    still_used = repair.is_used(len(vertices), faces)
    renumbered = (np.cumsum(still_used) - 1)[faces]
    return RepairedMesh(
        trimesh.Trimesh(vertices=vertices[still_used], faces=renumbered, process=False),
        not_finite_faces=not_finite,
        joined_vertices=joined,
        degenerate_faces=int(repeated.sum()) + oriented - len(faces),
        duplicate_faces=duplicates,
        turned_faces=turned,
        mended_faces=orientation.mended,
        crossing_bodies=orientation.crossing,
        given_faces=given,
        unclear_as_given=clarity[0],
        unclear_as_turned=clarity[1],
    )


def _check_arrays(vertices: FloatArray, faces: IntArray, name: str) -> None:
    if not len(vertices):
        raise MeshError(f"{name}: the mesh has no vertices; a surface of triangles is needed")
    if not len(faces):
        raise MeshError(
            f"{name}: the mesh has {len(vertices)} vertices but no faces (a point cloud?); "
            "a surface of triangles is needed"
        )
    outside = (faces < 0) | (faces >= len(vertices))
    if outside.any():
        face, corner = np.argwhere(outside)[0]
        raise MeshError(
            f"{name}: face {face} uses vertex {faces[face, corner]}, but there are "
            f"{len(vertices)} vertices, numbered from 0"
        )
    if not repair.is_finite(vertices, faces).any():
        face, corner = np.argwhere(~np.isfinite(vertices[faces]).all(axis=2))[0]
        vertex = faces[face, corner]
        x, y, z = vertices[vertex].tolist()
        raise MeshError(
            f"{name}: vertex {vertex} of face {face} is at ({x:g}, {y:g}, {z:g}); "
            "coordinates must be finite numbers"
        )


def _check_size(bounds: FloatArray, name: str) -> None:
    largest = float(np.abs(bounds).max())
    if largest > _LARGEST_COORDINATE:
        raise MeshError(
            f"{name}: a coordinate is {largest:g}; at most {_LARGEST_COORDINATE:g} is allowed"
        )
    extent = float((bounds[1] - bounds[0]).max())
    if extent < _SMALLEST_EXTENT:
        raise MeshError(
            f"{name}: the mesh has no extent (longest side {extent:g}); all its vertices coincide"
        )


def _without_flat_faces(points: FloatArray, faces: IntArray) -> IntArray:
    """Drop faces without area, unless that would open the surface."""
    flat = repair.is_degenerate(points, faces)
    if not flat.any():
        return faces
    rest = faces[~flat]
    return faces if open_edge_count(rest) > open_edge_count(faces) else rest
