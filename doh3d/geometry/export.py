"""Mesh files out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from doh3d.errors import ConfigError
from doh3d.files import check_output, write_atomically

if TYPE_CHECKING:
    import trimesh

EXPORT_EXTENSIONS = (".ply", ".obj", ".stl", ".off", ".glb")


def check_mesh_output(path: str | Path) -> None:
    """Raise ConfigError unless `path` names a writable file of a format that is written."""
    extension = Path(path).suffix.lower()
    if extension not in EXPORT_EXTENSIONS:
        raise ConfigError(
            f"{path}: the extension {extension or 'is missing and'} names no mesh format that is "
            f"written; use {', '.join(EXPORT_EXTENSIONS)}"
        )
    check_output(path)


def save_mesh(mesh: trimesh.Trimesh, path: str | Path) -> None:
    """Write a mesh as PLY, OBJ, STL, OFF or GLB, whole or not at all.

    Raises
    ------
    ConfigError
        For another extension, or where the file cannot be written.
    """
    check_mesh_output(path)
    data: Any = mesh.export(file_type=Path(path).suffix.lower()[1:])
    write_atomically(path, data.encode() if isinstance(data, str) else data)
