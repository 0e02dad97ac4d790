"""Inside and outside: which points of space a mesh encloses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from doh3d.geometry.half_edges import is_one_body
from doh3d.geometry.transform import NormalizingTransform
from doh3d.geometry.winding import along_curve, winding_of

if TYPE_CHECKING:
    import trimesh

# Points a call to either library: bounds the memory for copies in their precision.
_CHUNK = 1 << 18

# A point is inside where more than half of all directions are blocked, net.
_THRESHOLD = 0.5

# The ray test must agree with the winding number on all but this share of the probes, which
# pysdf's rounding never reaches and overlapping or self-intersecting parts do.
_PROBES = 4096
_MOST_DISAGREEMENT = 1e-3


@dataclass(frozen=True)
class InsideTest:
    """Tells which points lie inside one mesh. Made by :func:`inside_test`.

    Attributes
    ----------
    method : "pysdf" or "winding_number"
        Which library answers.
    """

    method: Literal["pysdf", "winding_number"]
    _transform: NormalizingTransform
    _bounds: npt.NDArray[np.float64]
    _engine: Any
    _either_side: bool = False

    def __call__(self, points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which points are inside.

        Points beyond the mesh's bounding box are outside, also where the surface is open.

        Parameters
        ----------
        points : (N, 3) float
            In the mesh's own units.

        Returns
        -------
        (N,) bool
            True inside. A point that is not finite is outside.
        """
        points = np.asarray(points)
        inside = np.zeros(len(points), dtype=np.bool_)
        for start in range(0, len(points), _CHUNK):
            chunk = points[start : start + _CHUNK].astype(np.float64)
            low, high = self._bounds
            near = np.flatnonzero(((chunk >= low) & (chunk <= high)).all(axis=1))
            if len(near):
                found = self._ask(self._transform.to_normalized(chunk[near]))
                inside[start + near] = found
        return inside

    def winding_numbers(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Measure which share of all directions the surface blocks, net of its winding.

        Parameters
        ----------
        points : (N, 3) float
            In the mesh's own units, finite. The method must be "winding_number".

        Returns
        -------
        (N,) float64
            About 1 in a closed body, 2 where two overlap, 0 outside, between them where the
            surface is open.
        """
        normalized = np.ascontiguousarray(self._transform.to_normalized(points))
        return np.asarray(self._engine.winding_number(normalized), dtype=np.float64)

    def is_like(self, other: InsideTest) -> bool:
        """Whether both ask the same engine about the same surface."""
        return self._engine is other._engine

    @property
    def work(self) -> float:
        """Triangles that are looked at for a point, about. The method must be "winding_number"."""
        return float(self._engine.work)

    def _ask(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        # Both libraries use every core.
        if self.method == "winding_number":
            winding = self._engine.winding_number(points)
            return np.asarray((np.abs(winding) if self._either_side else winding) > _THRESHOLD)
        order = along_curve(points)
        inside = np.empty(len(points), dtype=np.bool_)
        inside[order] = self._engine.contains(points[order].astype(np.float32)).ravel()
        return inside


def inside_test(
    mesh: trimesh.Trimesh, *, reproducible: bool = True, either_side: bool = False
) -> InsideTest:
    """Prepare the test for one mesh.

    The fast winding number (Barill, Dickson, Schmidt, Levin, Jacobson, SIGGRAPH 2018) of libigl
    answers for every mesh, open, overlapping or self-intersecting ones too, and gives the same
    answer every time; :mod:`doh3d.geometry.winding` says what answers where slivers make it slow.
    pysdf casts rays, another algorithm and about as fast, but in a direction drawn anew for each
    mesh object and without a seed: about one label in a million changes from run to run. So it is
    used on request only, and then where the mesh is closed, consistently wound, a single body, and
    the two tests agree on a sample.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        As :func:`doh3d.geometry.mesh.clean_mesh` returns it, in any units, anywhere.
    reproducible : bool
        Whether the same mesh and points must always give the same answer. False allows pysdf.
    either_side : bool
        Whether what is wound inside out counts as inside, too.

    Returns
    -------
    InsideTest
        A function of points.
    """
    bounds = np.asarray(mesh.bounds, dtype=np.float64)
    # Both libraries work in float32 inside, so they get centred coordinates near one.
    transform = NormalizingTransform.from_bounds(bounds)
    points = np.ascontiguousarray(transform.to_normalized(mesh.vertices))
    faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)
    engine = winding_of(points, faces)
    winding = InsideTest("winding_number", transform, bounds, engine, either_side)
    if reproducible or not is_one_body(faces):
        return winding
    try:
        from pysdf import SDF
    except ImportError:
        return winding
    solid = SDF(points.astype(np.float32), faces.astype(np.uint32))
    rays = InsideTest("pysdf", transform, bounds, solid)
    probes = _probes(points, faces)
    share = float((rays._ask(probes) != winding._ask(probes)).mean())
    return winding if share > _MOST_DISAGREEMENT else rays


def _probes(
    points: npt.NDArray[np.float64], faces: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Place half of the probes all over the bounding box and half near the surface."""
    generator = np.random.Generator(np.random.PCG64(0))
    low, high = points.min(axis=0), points.max(axis=0)
    uniform = generator.uniform(low, high, (_PROBES // 2, 3))
    middles = points[faces[generator.integers(0, len(faces), _PROBES // 2)]].mean(axis=1)
    near = middles + generator.normal(0.0, 0.01, middles.shape)
    return np.concatenate([uniform, near])
