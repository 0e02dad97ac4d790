"""Fewer faces by quadric decimation, for the baseline of decimated meshes in Draco.

Two of the simplifiers compare errors and determinants with absolute thresholds, so that the unit of
the mesh decides how well they work: on a mesh of longest side 1.8, Open3D's finds nearly every
quadric singular and gives up the best place for the new vertex, and fast-simplification's first
pass removes far more than what costs least. A mesh is therefore normalised, then scaled up.

The third, meshoptimizer's, keeps some of the mesh's own vertices, where the others place new ones.
It scales a mesh by itself, is several times as fast, and gets through flat parts of many slivers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.geometry.transform import NormalizingTransform
from doh3d.open3d_import import import_open3d

if TYPE_CHECKING:
    import trimesh

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Simplifier: TypeAlias = Literal["fast_simplification", "open3d_qem", "meshoptimizer"]

SIMPLIFIERS: tuple[Simplifier, ...] = get_args(Simplifier)

# meshoptimizer stops at an error, too, by default at 1% of the mesh's size: no error is this large.
_ANY_ERROR = 1e10


def simplify(
    mesh: trimesh.Trimesh, faces: int, simplifier: Simplifier, *, scale: float = 100.0
) -> trimesh.Trimesh:
    """Simplify a mesh by quadric decimation (Garland and Heckbert, SIGGRAPH 1997).

    Parameters
    ----------
    mesh : trimesh.Trimesh
        In any units, anywhere; not changed.
    faces : int
        How many faces to leave, >= 4. The simplifier may not get so far, or a little farther. A
        mesh of no more faces comes back as it is.
    simplifier : {"fast_simplification", "open3d_qem", "meshoptimizer"}
    scale : float
        The mesh is simplified with its longest side at 1.8 times this, > 0. See the module;
        of no effect on meshoptimizer.

    Returns
    -------
    trimesh.Trimesh
        In the units of `mesh`; perhaps open, self-intersecting, or without faces.

    Raises
    ------
    ConfigError
        The simplifier's package is not installed, or an argument is out of its range.
    """
    import trimesh

    if simplifier not in SIMPLIFIERS:
        allowed = ", ".join(SIMPLIFIERS)
        raise ConfigError(f"simplifier is {simplifier!r}; it must be {allowed}")
    if faces < 4:
        raise ConfigError(f"faces is {faces}; it must be 4 or more")
    if not 0 < scale < np.inf:
        raise ConfigError(f"scale is {scale}; it must be more than 0, and finite")
    run = _RUN[simplifier]
    if len(mesh.faces) <= faces:
        return trimesh.Trimesh(mesh.vertices.copy(), mesh.faces.copy(), process=False)
    transform = NormalizingTransform.from_bounds(mesh.bounds)
    vertices, triangles = run(transform.to_normalized(mesh.vertices) * scale, mesh.faces, faces)
    return trimesh.Trimesh(transform.to_world(vertices / scale), triangles, process=False)


def _fast_simplification(
    vertices: FloatArray, triangles: IntArray, faces: int
) -> tuple[FloatArray, IntArray]:
    try:
        import fast_simplification
    except ImportError as error:
        raise ConfigError(
            'fast-simplification is not installed; install it with: pip install "doh3d[peers]"'
        ) from error
    simpler, left = fast_simplification.simplify(
        vertices, triangles.astype(np.int32), target_count=faces
    )
    return np.asarray(simpler, dtype=np.float64), np.asarray(left, dtype=np.int64)


def _open3d_qem(
    vertices: FloatArray, triangles: IntArray, faces: int
) -> tuple[FloatArray, IntArray]:
    open3d = import_open3d()
    full = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(vertices),
        open3d.utility.Vector3iVector(triangles.astype(np.int32)),
    )
    simpler = full.simplify_quadric_decimation(faces)
    return (
        np.array(simpler.vertices, dtype=np.float64).reshape(-1, 3),
        np.array(simpler.triangles, dtype=np.int64).reshape(-1, 3),
    )


def _meshoptimizer(
    vertices: FloatArray, triangles: IntArray, faces: int
) -> tuple[FloatArray, IntArray]:
    try:
        import meshoptimizer
    except ImportError as error:
        raise ConfigError(
            "meshoptimizer is not installed; install it, which takes a C++ compiler, with: "
            'pip install "doh3d[meshoptimizer]"'
        ) from error
    # The library is given addresses, and reads and writes there whatever it needs.
    corners = np.ascontiguousarray(triangles, dtype=np.uint32).ravel()
    places = np.ascontiguousarray(vertices, dtype=np.float32)
    left = np.empty_like(corners)
    count = meshoptimizer.simplify(
        left,
        corners,
        places,
        target_index_count=3 * faces,
        target_error=_ANY_ERROR,
        # Small bodies may vanish: without this a mesh of many never gets down to few faces.
        options=meshoptimizer.SIMPLIFY_PRUNE,
    )
    kept, renumbered = np.unique(left[:count], return_inverse=True)
    return vertices[kept], renumbered.reshape(-1, 3).astype(np.int64)


_RUN: dict[Simplifier, Callable[[FloatArray, IntArray, int], tuple[FloatArray, IntArray]]] = {
    "fast_simplification": _fast_simplification,
    "open3d_qem": _open3d_qem,
    "meshoptimizer": _meshoptimizer,
}
