"""What a user would do today for a small mesh: fewer faces by quadric decimation, then Draco."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from doh3d.evaluation.draco import decode_draco, encode_draco
from doh3d.evaluation.protocols import DEFAULT_BBOX_POINTS
from doh3d.evaluation.rate_distortion import pareto_front
from doh3d.evaluation.simplification import SIMPLIFIERS, Simplifier, simplify
from doh3d.evaluation.surface import SurfaceMetrics, surface_metrics
from doh3d.evaluation.triangles import MeshJudge
from doh3d.geometry.transform import NormalizingTransform

if TYPE_CHECKING:
    import trimesh

FACES = (
    *(70, 100, 150, 200, 250, 320, 400, 500, 600, 750, 900, 1150, 1400, 2000, 3000, 4500, 7000),
    *(11_000, 16_000, 24_000, 36_000, 54_000, 80_000, 120_000),
)
# Five and six bits are worth it below some 400 bytes, 12 and more on flat CAD parts.
QUANTIZATION_BITS = (5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
MAX_BYTES = 65_536
SCREENING_POINTS = 2**17

# Where each simplifier works well, best on average first. None wins everywhere.
_SCALES: dict[Simplifier, tuple[float, ...]] = {
    "open3d_qem": (1000.0, 10.0),
    "fast_simplification": (100.0, 10.0, 1000.0, 1.0),
    # It scales a mesh by itself.
    "meshoptimizer": (1.0,),
}

# More bits cannot help where what quantisation adds to the error is below this share of it.
_WORTHWHILE = 0.02


@dataclass(frozen=True)
class DecimationRow:
    """One mesh simplified, encoded, decoded again and measured.

    Attributes
    ----------
    faces : int
        The number asked of the simplifier.
    decoded_faces : int
        What came out.
    simplifier : {"fast_simplification", "open3d_qem", "meshoptimizer", "none"}
        "none": every face of the reference was kept.
    scale : float
        By which the normalised mesh was scaled to be simplified.
    quantization_bits : int
    bytes : int
        Size of the Draco file.
    iou : float
        Volumetric IoU of the decoded mesh with the reference; 0 where it encloses no volume.
    protocol : {"bbox"}
    points : int
        Points on which IoU was measured.
    surface : SurfaceMetrics or None
        None of a row of the screening.
    """

    faces: int
    decoded_faces: int
    simplifier: str
    scale: float
    quantization_bits: int
    bytes: int
    iou: float
    protocol: str
    points: int
    surface: SurfaceMetrics | None = None

    @property
    def variant(self) -> str:
        """The settings in words."""
        return (
            f"{self.faces} faces, {self.simplifier} at {self.scale:g}, "
            f"{self.quantization_bits} bits"
        )


def decimation_rows(
    reference_mesh: trimesh.Trimesh,
    *,
    faces: Sequence[int] = FACES,
    quantization_bits: Sequence[int] = QUANTIZATION_BITS,
    simplifiers: Sequence[Simplifier] = SIMPLIFIERS,
    max_bytes: int = MAX_BYTES,
    points: int = DEFAULT_BBOX_POINTS,
    screening_points: int = SCREENING_POINTS,
    seed: int = 0,
    progress: Callable[[DecimationRow], object] | None = None,
) -> list[DecimationRow]:
    """Sweep faces, simplifiers, scales and bits, and keep what is worth its bytes.

    Candidates are screened on few points first. Some are left out unmeasured: those that a
    smaller file beats even if quantisation cost nothing, and more bits than make a difference.
    Then the Pareto front of the screening is measured on `points`.

    Parameters
    ----------
    reference_mesh : trimesh.Trimesh
        As `doh3d.geometry.mesh.clean_mesh` returns it.
    faces : sequence of int
        As `simplify`; a number that reaches the reference's stands for the reference itself.
    quantization_bits : sequence of int
        Draco's, for positions, 1 to 30.
    simplifiers : sequence of {"fast_simplification", "open3d_qem", "meshoptimizer"}
    max_bytes : int
        Larger files are left out.
    points, screening_points : int
        Points of protocol `bbox`, see `doh3d.evaluation.protocols.iou_points`.
    seed : int
        Of the points, >= 0.
    progress : callable, optional
        Called with each row as it is measured: with those of the screening, too.

    Returns
    -------
    list of DecimationRow
        The Pareto front on `points`: bytes and IoU strictly increasing.

    Raises
    ------
    ConfigError
        A package is not installed, or an argument is out of its range.
    """
    reference = _normalized(reference_mesh)
    bits = sorted(set(quantization_bits))
    judge = MeshJudge(reference, screening_points, seed)
    front: list[_Encoded] = []
    for mesh, settings in _simplified(reference, faces, simplifiers):
        coarsest = _coarsest_bits(front, settings.faces)
        worth = [bit for bit in bits if bit >= coarsest]
        for found in _screened(mesh, settings, worth, max_bytes, judge, front):
            if progress is not None:
                progress(found.row)
            if found.row.iou > 0:
                front = pareto_front([*front, found])
    judge = MeshJudge(reference, points, seed)
    rows = []
    for found in front:
        decoded = decode_draco(found.data)
        iou, surface = judge.iou(decoded), surface_metrics(reference, decoded)
        rows.append(replace(found.row, iou=iou, points=judge.points, surface=surface))
        if progress is not None:
            progress(rows[-1])
    return pareto_front(row for row in rows if row.iou > 0)


def _normalized(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    import trimesh

    transform = NormalizingTransform.from_bounds(mesh.bounds)
    return trimesh.Trimesh(transform.to_normalized(mesh.vertices), mesh.faces, process=False)


@dataclass(frozen=True)
class _Settings:
    faces: int
    simplifier: str
    scale: float


@dataclass(frozen=True)
class _Encoded:
    """A row with the file that it stands for."""

    row: DecimationRow
    data: builtins.bytes

    @property
    def bytes(self) -> int:
        return self.row.bytes

    @property
    def iou(self) -> float:
        return self.row.iou


def _simplified(
    reference: trimesh.Trimesh, faces: Sequence[int], simplifiers: Sequence[Simplifier]
) -> Iterator[tuple[trimesh.Trimesh, _Settings]]:
    """Yield every simplification of a normalised mesh; last, where asked for, the mesh itself."""
    wanted = sorted(set(faces))
    for count in wanted:
        if count >= len(reference.faces):
            break
        for simplifier in simplifiers:
            for scale in _SCALES[simplifier]:
                mesh = simplify(reference, count, simplifier, scale=scale)
                if len(mesh.faces) and np.isfinite(mesh.vertices).all():
                    yield mesh, _Settings(count, simplifier, scale)
    if wanted and wanted[-1] >= len(reference.faces):
        yield reference, _Settings(len(reference.faces), "none", 1.0)


def _coarsest_bits(front: Sequence[_Encoded], faces: int) -> int:
    """Fewest bits worth trying: at most one fewer than what the next lower face count took.

    The more faces, the finer the vertices should be.
    """
    lower = [found.row for found in front if found.row.faces < faces]
    nearest = max((row.faces for row in lower), default=0)
    return min((row.quantization_bits for row in lower if row.faces == nearest), default=1) - 1


def _screened(
    mesh: trimesh.Trimesh,
    settings: _Settings,
    bits: Sequence[int],
    max_bytes: int,
    judge: MeshJudge,
    front: Sequence[_Encoded],
) -> Iterator[_Encoded]:
    """Encode a simplified mesh with ever more bits, and measure while that may be worth it."""
    # Rounding its vertices makes a mesh better only by luck.
    unquantized: float | None = None
    for quantization_bits in bits:
        data = encode_draco(mesh, quantization_bits)
        if len(data) > max_bytes:
            return
        if unquantized is None:
            unquantized = judge.iou(mesh)
        if any(other.bytes <= len(data) and other.iou >= unquantized for other in front):
            return
        decoded = decode_draco(data)
        iou = judge.iou(decoded)
        yield _Encoded(
            DecimationRow(
                faces=settings.faces,
                decoded_faces=len(decoded.faces),
                simplifier=settings.simplifier,
                scale=settings.scale,
                quantization_bits=quantization_bits,
                bytes=len(data),
                iou=iou,
                protocol="bbox",
                points=judge.points,
            ),
            data,
        )
        if 1 - iou <= (1 + _WORTHWHILE) * (1 - unquantized):
            return
