"""Meshes for Open3D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from doh3d.geometry.export import fits_float32
from doh3d.open3d_import import import_open3d

if TYPE_CHECKING:
    import trimesh


def to_open3d(mesh: trimesh.Trimesh) -> Any:
    """Return a mesh as an `open3d.t.geometry.TriangleMesh` on the CPU.

    Positions are float32, as Open3D's ray casting wants them, or float64 where float32 cannot hold
    a mesh of its place and size; indices are int64.

    Raises
    ------
    ConfigError
        Open3D cannot be loaded.
    """
    open3d = import_open3d()
    dtype = np.float32 if fits_float32(mesh) else np.float64
    tensor: Any = open3d.core.Tensor
    converted = open3d.t.geometry.TriangleMesh()
    converted.vertex.positions = tensor(np.array(mesh.vertices, dtype=dtype))
    converted.triangle.indices = tensor(np.array(mesh.faces, dtype=np.int64))
    return converted
