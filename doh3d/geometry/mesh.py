"""Loading a mesh from a file and making it fit to be asked what is inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from doh3d.errors import MeshError
from doh3d.geometry import repair
from doh3d.geometry.formats import read_mesh
from doh3d.geometry.repair import FloatArray, IntArray
from doh3d.geometry.transform import NormalizingTransform

if TYPE_CHECKING:
    import trimesh

# Beyond these sizes squares and cubes of lengths leave float64.
_LARGEST_COORDINATE = 1e100
_SMALLEST_EXTENT = 1e-100

# A closed mesh thinner than this share of its longest side is flat at float32 resolution.
_THINNEST = 1e-7

# An open mesh encloses volume when behind enough of its surface at least three quarters of all
# directions are blocked. Behind a flat surface it is one half; under a hemisphere without its base
# it is more than three quarters, in a dish it is less. Where less than a quarter is blocked behind
# the surface, the triangles face every which way, and count against it, thrice.
_BLOCKED_DIRECTIONS = 0.75
_WRONG_SIDE = 0.25
_WRONG_SIDE_WEIGHT = 3.0
_ENCLOSING_SHARE = 0.2
_ENCLOSURE_PROBES = 2048


def load_mesh(path: str | Path) -> trimesh.Trimesh:
    """Read a triangle mesh and repair it.

    PLY, OBJ, STL, OFF, GLB, glTF and 3MF are read; polygons become triangles, and the parts of
    a scene are joined where their transforms put them. See :func:`clean_mesh` for the repair.

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


def clean_mesh(mesh: trimesh.Trimesh, name: str) -> trimesh.Trimesh:
    """Weld, drop useless faces, and wind the rest outwards.

    Vertices are joined by position. Faces that use a vertex twice, have no area or repeat
    another are dropped (a face of no area stays where the surface is closed only with it).
    Faces that are connected over edges of two faces get one winding, and each body is turned to
    enclose positive volume, except cavities: bodies of negative volume inside another.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        Any triangles, in any units; not changed.
    name : str
        What error messages call the mesh.

    Returns
    -------
    trimesh.Trimesh
        A new mesh of vertices and faces only, in the same units.

    Raises
    ------
    MeshError
        There are no faces, a face uses a vertex that does not exist or is not finite, or the
        mesh encloses no volume.
    """
    import trimesh

    name = " ".join(name.split()) or "mesh"
    vertices = np.array(mesh.vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.array(mesh.faces, dtype=np.int64).reshape(-1, 3)
    _check_arrays(vertices, faces, name)
    used = vertices[faces.ravel()]
    bounds = np.stack([used.min(axis=0), used.max(axis=0)])
    _check_size(bounds, name)
    with np.errstate(over="ignore", invalid="ignore"):
        # Vertices that no face uses may be anything.
        points = NormalizingTransform.from_bounds(bounds).to_normalized(vertices)

    kept, faces = repair.weld(points, faces)
    points, vertices = points[kept], vertices[kept]
    faces = faces[~repair.has_repeated_corner(faces)]
    if not len(faces):
        raise _no_volume(name, "all its faces are degenerate")
    faces = repair.drop_duplicates(faces)
    faces, patch = repair.make_consistent(faces)
    faces = repair.orient_outwards(points, faces, patch)
    faces = _without_flat_faces(points, faces)
    _check_volume(points, faces, name)

    used_vertices, renumbered = np.unique(faces, return_inverse=True)
    return trimesh.Trimesh(
        vertices=vertices[used_vertices], faces=renumbered.reshape(-1, 3), process=False
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
    bad = ~np.isfinite(vertices[faces]).all(axis=2)
    if bad.any():
        face, corner = np.argwhere(bad)[0]
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


def _no_volume(name: str, why: str) -> MeshError:
    return MeshError(
        f"{name}: the mesh encloses no volume ({why}); a closed or nearly closed surface is needed"
    )


def _without_flat_faces(points: FloatArray, faces: IntArray) -> IntArray:
    """Drop faces without area, unless that would open the surface."""
    flat = repair.is_degenerate(points, faces)
    if not flat.any():
        return faces
    rest = faces[~flat]
    return faces if repair.open_edge_count(rest) > repair.open_edge_count(faces) else rest


def _check_volume(points: FloatArray, faces: IntArray, name: str) -> None:
    if not len(faces):
        raise _no_volume(name, "all its faces are degenerate or cancel in pairs")
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled_area = np.linalg.norm(normals, axis=1)
    if not doubled_area.any():
        raise _no_volume(name, "its faces have no area")
    open_edges = repair.open_edge_count(faces)
    if not open_edges:
        middle = points.mean(axis=0)
        a, b, c = (corners - middle).transpose(1, 0, 2)
        volume = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())) / 6
        # A plate of thickness t has volume t * area / 2, both of its sides being area.
        if volume * 4 / float(doubled_area.sum()) > _THINNEST:
            return
    share = _enclosing_share(corners, normals, doubled_area, points, faces)
    if share < _ENCLOSING_SHARE:
        why = "it is flat" if not open_edges else f"its surface is open at {open_edges} edges"
        raise _no_volume(name, why)


def _enclosing_share(
    corners: FloatArray,
    normals: FloatArray,
    doubled_area: FloatArray,
    points: FloatArray,
    faces: IntArray,
) -> float:
    """Measure behind which share of the surface lies the inside, less three times the opposite."""
    from igl import fast_winding_number

    total = np.cumsum(doubled_area)
    # Evenly spaced in area: no random numbers needed.
    at = (np.arange(_ENCLOSURE_PROBES) + 0.5) / _ENCLOSURE_PROBES * total[-1]
    face = np.minimum(np.searchsorted(total, at, side="right"), len(faces) - 1)
    length = doubled_area[face]
    depth = 1e-3 / np.sqrt(np.maximum(length, 1e-300))
    probes = corners[face].mean(axis=1) - normals[face] * depth[:, None]
    winding = fast_winding_number(points, np.ascontiguousarray(faces), probes)
    right, wrong = (winding > _BLOCKED_DIRECTIONS).mean(), (winding < _WRONG_SIDE).mean()
    return float(right - _WRONG_SIDE_WEIGHT * wrong)
