"""Meshes in memory, in whichever form other programs keep them.

Neither torch nor Open3D is imported: whoever has their meshes has them loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.errors import MeshError

if TYPE_CHECKING:
    import trimesh

# A path; trimesh's mesh or scene; Open3D's mesh, of its tensor API or the older one; or a pair of
# vertices (V, 3) and faces (F, 3), each an array, a torch tensor or nested lists.
MeshInput: TypeAlias = str | Path | tuple[Any, Any] | Any

_ALLOWED = (
    "a path, a trimesh or Open3D mesh, or a pair of vertices (V, 3) and faces (F, 3) is needed"
)


def to_trimesh(mesh: MeshInput, name: str = "mesh") -> trimesh.Trimesh:
    """Bring a mesh in memory to trimesh's form, as it is: nothing is welded or repaired.

    Parameters
    ----------
    mesh : trimesh.Trimesh, trimesh.Scene, Open3D mesh, or (vertices, faces)
        Vertices (V, 3), real numbers; faces (F, 3), integers. Not changed.
    name : str
        What error messages call it.

    Returns
    -------
    trimesh.Trimesh
        float64 vertices and int64 faces; the very mesh that was given where it is of this type.

    Raises
    ------
    MeshError
        If it is none of these, or the arrays have other shapes or types.
    """
    import trimesh

    if isinstance(mesh, trimesh.Trimesh):
        return mesh
    if isinstance(mesh, trimesh.Scene):
        if not any(hasattr(part, "faces") for part in mesh.geometry.values()):
            raise MeshError(f"{name}: the scene has no part with faces; a surface is needed")
        joined: trimesh.Trimesh = mesh.to_mesh()
        return joined
    if _is_open3d(mesh):
        vertices, faces = _open3d_arrays(mesh)
    elif isinstance(mesh, tuple | list) and len(mesh) == 2:
        vertices, faces = mesh
    else:
        raise MeshError(f"{name} is of type {type(mesh).__name__}; {_ALLOWED}")
    return trimesh.Trimesh(
        _array(f"{name}: vertices", vertices, "fiu", "numbers").astype(np.float64),
        _array(f"{name}: faces", faces, "iu", "integers").astype(np.int64),
        process=False,
        validate=False,
    )


def _is_open3d(mesh: object) -> bool:
    return type(mesh).__module__.partition(".")[0] == "open3d" and (
        hasattr(mesh, "triangle") or hasattr(mesh, "triangles")
    )


def _open3d_arrays(mesh: Any) -> tuple[Any, Any]:
    """Vertices and faces of an Open3D mesh; empty where it has none."""
    if hasattr(mesh, "triangles"):
        return np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    vertices, faces = np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    if "positions" in mesh.vertex:
        vertices = mesh.vertex.positions.cpu().numpy()
    if "indices" in mesh.triangle:
        faces = mesh.triangle.indices.cpu().numpy()
    return vertices, faces


def _array(name: str, values: Any, kinds: str, wanted: str) -> npt.NDArray[Any]:
    """Return an (N, 3) array of numpy; MeshError, naming it, for any other."""
    # A torch tensor, wherever it lies and whatever it is part of.
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.dtype.is_floating_point:
            # Numpy has no bfloat16.
            values = values.double()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise MeshError(f"{name} are no array; {_ALLOWED}") from error
    if array.ndim != 2 or array.shape[1] != 3:
        raise MeshError(f"{name} have shape {array.shape}; it must be (N, 3)")
    if array.dtype.kind not in kinds:
        raise MeshError(f"{name} are of type {array.dtype}; they must be {wanted}")
    return array
