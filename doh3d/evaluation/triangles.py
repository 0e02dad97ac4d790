"""What fewer triangles in Draco would take, in place of a file.

A flat part is made of few triangles, and then no field is as short. Whoever compresses one should
know; see :func:`cheaper_triangles`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from doh3d.errors import ConfigError, MeshError
from doh3d.evaluation.draco import decode_draco, encode_draco
from doh3d.evaluation.evaluate import mesh_iou
from doh3d.evaluation.metrics import BoolArray, Inside, IouCount
from doh3d.evaluation.protocols import BOX_MARGIN, FloatArray, iou_points
from doh3d.evaluation.simplification import Simplifier, simplify
from doh3d.geometry.mesh import clean_mesh
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.transform import NormalizingTransform

if TYPE_CHECKING:
    import trimesh

# Enough to tell which is the shorter by a tenth, and a search takes a second or so.
_POINTS = 2**15
_NOTABLE = 0.9

# Finest first: where that is too coarse, the others are.
_BITS = (12, 10, 8)

# Draco takes at least about this many bytes a face where vertices are coarse.
_LEAST_BYTES_PER_FACE = 1.25
# Simplifying more than that many faces takes more than a second or two.
_MOST_FACES = 500_000
# A mesh is brought to this many times the most faces once, and to fewer from there.
_REDUCTION = 4
# Where each simplifier works well.
_SCALES: dict[Simplifier, float] = {
    "fast_simplification": 100.0,
    "meshoptimizer": 1.0,
    "open3d_qem": 1000.0,
}
# The search ends where two numbers of faces differ by less than this factor.
_CLOSE = 1.1


@dataclass(frozen=True)
class Triangles:
    """A decimated mesh in Draco that is as good as a file, and shorter.

    Attributes
    ----------
    faces : int
        Of the decimated mesh.
    of_faces : int
        Of the mesh that was decimated; the same where all were kept.
    quantization_bits : int
        Draco's, for positions.
    bytes : int
        Size of the Draco file.
    file_bytes : int
        Size of the file that it is compared with.
    """

    faces: int
    of_faces: int
    quantization_bits: int
    bytes: int
    file_bytes: int

    def __str__(self) -> str:
        """Say so in one line."""
        what = f"decimation to {self.faces} faces + Draco"
        if self.faces == self.of_faces:
            what = f"Draco, of the mesh's own {self.faces} faces,"
        return (
            f"{what} would have this IoU in about {self.bytes:,} bytes, "
            f"this file has {self.file_bytes:,}"
        )


class MeshJudge:
    """Measures meshes by the protocol `bbox` on points that are drawn and labelled once.

    They fill the box of the protocol for a mesh within the reference's bounds. What sticks out of
    that box, which quadric decimation may leave, is measured on points of its own.

    Parameters
    ----------
    reference : trimesh.Trimesh
        As `doh3d.geometry.mesh.clean_mesh` returns it.
    points : int
        See `doh3d.evaluation.protocols.iou_points`; `self.points` is what that made of it.
    seed : int
        Of the points, >= 0.
    reproducible : bool
        Whether the reference's inside test is, see `doh3d.geometry.occupancy.inside_test`.
    """

    def __init__(
        self, reference: trimesh.Trimesh, points: int, seed: int, *, reproducible: bool = False
    ) -> None:
        self._reference, self._wanted, self._seed = reference, points, seed
        bounds = np.asarray(reference.bounds, dtype=np.float64)
        margin = BOX_MARGIN * float(np.ptp(bounds, axis=0).max())
        self._low, self._high = bounds[0] - margin, bounds[1] + margin
        inside = inside_test(reference, reproducible=reproducible)
        self._chunks = [
            (chunk, inside(chunk))
            for chunk in iou_points("bbox", bounds, None, points=points, seed=seed)
        ]
        self.points = sum(len(chunk) for chunk, _ in self._chunks)

    def iou(self, mesh: trimesh.Trimesh) -> float:
        """IoU with the reference; 0 for a mesh that encloses no volume."""
        try:
            mesh = clean_mesh(mesh, "decoded mesh")
        except MeshError:
            return 0.0
        low, high = np.asarray(mesh.bounds, dtype=np.float64)
        if (low < self._low).any() or (high > self._high).any():
            return mesh_iou(self._reference, mesh, points=self._wanted, seed=self._seed).iou
        return self.iou_in_box(inside_test(mesh, reproducible=False))

    def iou_in_box(self, inside: Inside) -> float:
        """IoU of the reference and of what an inside test tells, which may be a field's."""
        count = IouCount("bbox")
        for chunk, in_reference in self._chunks:
            count.add(in_reference, inside(chunk))
        return count.result().iou


def cheaper_triangles(mesh: trimesh.Trimesh, occupancy: Inside, size: int) -> Triangles | None:
    """Find fewer triangles in Draco that are as good as a file, in at least a tenth fewer bytes.

    Numbers of faces are bisected, with three quantisations each; all IoUs are of the same 2^15
    points. It takes a second or so, most of it where something is found. What is found is a bound
    from above: a search of more settings finds shorter files.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        The reference, as `doh3d.geometry.mesh.clean_mesh` returns it.
    occupancy : callable
        Of the field that the file decodes to: (N, 3) float64 points, in the mesh's units, to
        (N,) bool.
    size : int
        Of the file, in bytes.

    Returns
    -------
    Triangles or None
        None where nothing is found; where the mesh has more than 500,000 faces, which would take
        too long; and where the extra `peers` is not installed.
    """
    most = min(int(size / _LEAST_BYTES_PER_FACE), len(mesh.faces))
    if most < 4 or len(mesh.faces) > _MOST_FACES:
        return None
    try:
        return _search(mesh, occupancy, size, most)
    except ConfigError:
        # A package of the extra is missing, or cannot be loaded.
        return None


def _search(mesh: trimesh.Trimesh, occupancy: Inside, size: int, most: int) -> Triangles | None:
    import trimesh

    transform = NormalizingTransform.from_bounds(mesh.bounds)
    # Draco keeps float32.
    reference = trimesh.Trimesh(
        transform.to_normalized(mesh.vertices), mesh.faces.copy(), process=False
    )
    reduced, simplifiers = _reduced(reference, _REDUCTION * most)
    # The same file is told the same.
    judge = MeshJudge(reference, _POINTS, seed=0, reproducible=True)

    def in_file(points: FloatArray) -> BoolArray:
        return np.asarray(occupancy(transform.to_world(points)), dtype=np.bool_)

    quality = judge.iou_in_box(in_file)
    if quality == 0:
        return None
    best: Triangles | None = None
    too_few, enough, faces = 3, most, most
    while faces > too_few:
        simpler = [simplify(reduced, faces, each, scale=_SCALES[each]) for each in simplifiers]
        found = [each for each in (_least(one, quality, judge) for one in simpler) if each]
        if not found and best is None:
            return None
        if not found:
            too_few = faces
        else:
            enough = faces
            length, left, bits = min(found)
            if best is None or length < best.bytes:
                best = Triangles(left, len(reference.faces), bits, length, size)
        if enough < _CLOSE * too_few:
            break
        faces = round(math.sqrt(too_few * enough))
    return best if best is not None and best.bytes < _NOTABLE * size else None


def _least(mesh: trimesh.Trimesh, quality: float, judge: MeshJudge) -> tuple[int, int, int] | None:
    """Return bytes, faces and fewest bits with which a mesh has at least a quality, if it can."""
    found = None
    if not len(mesh.faces) or not np.isfinite(mesh.vertices).all():
        return None
    for bits in _BITS:
        data = encode_draco(mesh, bits)
        try:
            decoded = clean_mesh(decode_draco(data), "decoded mesh")
        except MeshError:
            break
        # What sticks out of the box is not seen, of the file's field neither.
        if judge.iou_in_box(inside_test(decoded)) < quality:
            break
        found = len(data), len(mesh.faces), bits
    return found


def _reduced(mesh: trimesh.Trimesh, faces: int) -> tuple[trimesh.Trimesh, tuple[Simplifier, ...]]:
    """Bring a mesh to about so many faces, quickly, and tell what may simplify it from there.

    On flat parts of slivers fast-simplification gives up, or leaves a ruin.
    """
    try:
        return simplify(mesh, faces, "meshoptimizer"), ("fast_simplification", "meshoptimizer")
    except ConfigError:
        reduced = simplify(mesh, faces, "fast_simplification")
    if len(reduced.faces) > 2 * faces:
        scale = _SCALES["open3d_qem"]
        return simplify(mesh, faces, "open3d_qem", scale=scale), ("open3d_qem",)
    return reduced, ("fast_simplification",)
