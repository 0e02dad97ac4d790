"""Mesh files out."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from doh3d.errors import ConfigError
from doh3d.files import check_output, write_atomically

if TYPE_CHECKING:
    import trimesh

EXPORT_EXTENSIONS = (".ply", ".obj", ".stl", ".off", ".glb")

# Coordinates are written to this share of the longest side or finer: a tenth of a cell at the
# finest resolution of extraction.
_COARSEST = 1e-4

# Decimals in text formats for a mesh of longest side 1 or more; smaller ones take more, up to
# those of the smallest float64.
_DECIMALS = {".obj": 8, ".off": 10}
_MOST_DECIMALS = 324

_log = logging.getLogger(__name__)


def check_mesh_output(path: str | Path) -> None:
    """Raise ConfigError unless `path` names a writable file of a format that is written."""
    extension = Path(path).suffix.lower()
    if extension not in EXPORT_EXTENSIONS:
        raise ConfigError(
            f"{path}: the extension {extension or 'is missing and'} names no mesh format that is "
            f"written; use {', '.join(EXPORT_EXTENSIONS)}"
        )
    check_output(path)


def check_normals_output(path: str | Path) -> None:
    """Raise ConfigError unless a mesh that is written to `path` keeps its vertices' normals."""
    extension = Path(path).suffix.lower()
    if extension not in (".ply", ".glb"):
        raise ConfigError(
            f"{path}: {extension[1:].upper()} is written without normals; use PLY or GLB"
        )


def save_mesh(mesh: trimesh.Trimesh, path: str | Path) -> None:
    """Write a mesh as PLY, OBJ, STL, OFF or GLB, whole or not at all.

    STL and GLB have float32 coordinates only; where these are too coarse, as far from the
    origin, or too small, it is warned of in the log.

    Raises
    ------
    ConfigError
        For another extension, or where the file cannot be written.
    """
    check_mesh_output(path)
    extension = Path(path).suffix.lower()
    longest = float(mesh.extents.max())
    options: dict[str, Any] = {}
    if extension in _DECIMALS:
        smaller = max(0, math.ceil(-math.log10(longest)))
        options["digits"] = min(_DECIMALS[extension] + smaller, _MOST_DECIMALS)
    elif not fits_float32(mesh):
        if extension == ".ply":
            write_atomically(path, _ply_of_doubles(mesh))
            return
        _log.warning(
            "%s: %s has float32 coordinates, which cannot hold a mesh of this place and size; "
            "write .ply, .obj or .off",
            path,
            extension[1:].upper(),
        )
    with np.errstate(over="ignore"):
        data: Any = mesh.export(file_type=extension[1:], **options)
    write_atomically(path, data.encode() if isinstance(data, str) else data)


def fits_float32(mesh: trimesh.Trimesh) -> bool:
    """Whether float32 moves no vertex by more than a small share of the longest side."""
    vertices = np.asarray(mesh.vertices)
    if not len(vertices):
        return True
    longest = float(np.ptp(vertices, axis=0).max())
    with np.errstate(over="ignore", under="ignore"):
        moved = np.abs(vertices.astype(np.float32) - vertices).max()
    return bool(moved <= _COARSEST * longest)


def _ply_of_doubles(mesh: trimesh.Trimesh) -> bytes:
    """Write binary PLY with float64 coordinates, which trimesh does not."""
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}"]
    lines += [f"property double {axis}" for axis in "xyz"]
    columns = [("place", "<f8", 3)]
    # trimesh's own PLY has normals under the same condition.
    has_normals = "vertex_normals" in mesh._cache
    if has_normals:
        lines += [f"property float n{axis}" for axis in "xyz"]
        columns.append(("normal", "<f4", 3))
    vertices = np.empty(len(mesh.vertices), dtype=columns)
    vertices["place"] = mesh.vertices
    if has_normals:
        vertices["normal"] = mesh.vertex_normals
    lines += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
    rows = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, mesh.faces
    header = "\n".join([*lines, "end_header", ""]).encode()
    return header + vertices.tobytes() + rows.tobytes()
