"""Scripted evaluation: one shape against its reference mesh, all metrics at once."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doh3d.codec.container import is_doh_file
from doh3d.errors import ConfigError
from doh3d.evaluation.draco import draco_bytes
from doh3d.evaluation.metrics import IouResult, volumetric_iou
from doh3d.evaluation.point_metrics import (
    PointMetrics,
    SurfaceProtocol,
    check_surface_protocol,
    point_metrics,
)
from doh3d.evaluation.protocols import Protocol, iou_points
from doh3d.evaluation.surface import surface_metrics
from doh3d.geometry.mesh import load_mesh
from doh3d.geometry.occupancy import InsideTest, inside_test
from doh3d.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import trimesh

    from doh3d.field import OccupancyField


@dataclass(frozen=True)
class Evaluation:
    """How well a file reproduces a reference mesh.

    Attributes
    ----------
    bytes : int
        Size of the evaluated file on disk.
    iou : float
        Volumetric IoU of the extracted mesh (or of the mesh given) with the reference.
    protocol : {"bbox", "occnet", "grid"}
    points : int
        Points on which IoU was measured.
    surface_chamfer_l1, surface_f_score, surface_normal_consistency : float
        From points on either surface to the other surface itself, see
        `doh3d.evaluation.surface.SurfaceMetrics`.
    point_to_point : PointMetrics or None
        By a protocol of the literature, where one was asked for.
    seconds : float
        What decoding and extraction took; 0 for a mesh.
    resolution : int or None
        The extraction's; None for a mesh.
    reference_bytes : int
        Size of the reference's file on disk.
    ratio : float
        reference_bytes / bytes.
    draco_bytes : int or None
        The reference's size in Draco at 11 bits, level 10; None where DracoPy is missing.
    draco_ratio : float or None
        draco_bytes / bytes.
    """

    bytes: int
    iou: float
    protocol: str
    points: int
    surface_chamfer_l1: float
    surface_f_score: float
    surface_normal_consistency: float
    point_to_point: PointMetrics | None
    seconds: float
    resolution: int | None
    reference_bytes: int
    ratio: float
    draco_bytes: int | None
    draco_ratio: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as a JSON object; infinite distances become None."""
        values = {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in asdict(self).items()
        }
        points = self.point_to_point
        return values | {"point_to_point": None if points is None else points.to_dict()}


def evaluate(
    shape: str | Path,
    reference: str | Path,
    *,
    protocol: Protocol = "bbox",
    grid: int | None = None,
    resolution: int = 256,
    points: int | None = None,
    seed: int = 0,
    surface: SurfaceProtocol = "exact",
    device: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
) -> Evaluation:
    """Measure a `.doh` file, or a mesh, against a reference mesh.

    Parameters
    ----------
    shape : path
        A `.doh` file, whose extracted mesh is measured, or a mesh file.
    reference : path
        A mesh file.
    protocol, grid, points, seed
        See `doh3d.evaluation.protocols.iou_points`.
    resolution : int
        Of the extraction.
    surface : {"exact", "occnet", "necgs"}
        Measure the surfaces by a protocol of the literature as well, see
        `doh3d.evaluation.point_metrics.point_metrics`.
    limits : Limits
        What is taken from a `.doh` file.

    Raises
    ------
    MeshError, FormatError, ConfigError
        If either file cannot be read, or an option is out of range.
    """
    check_surface_protocol(surface)
    reference_mesh = load_mesh(reference)
    started = time.perf_counter()
    is_doh = is_doh_file(shape)
    if is_doh:
        from doh3d.field import load

        mesh = load(shape, device, limits=limits).to_mesh(resolution)
    else:
        mesh = load_mesh(shape)
    seconds = time.perf_counter() - started
    iou = mesh_iou(reference_mesh, mesh, protocol=protocol, grid=grid, points=points, seed=seed)
    distances = surface_metrics(reference_mesh, mesh, seed=seed)
    sampled = None
    if surface != "exact":
        sampled = point_metrics(reference_mesh, mesh, surface, seed=seed)
    size, reference_size = Path(shape).stat().st_size, Path(reference).stat().st_size
    draco = _draco_bytes(reference_mesh)
    return Evaluation(
        bytes=size,
        iou=iou.iou,
        protocol=iou.protocol,
        points=iou.points,
        surface_chamfer_l1=distances.chamfer_l1,
        surface_f_score=distances.f_score,
        surface_normal_consistency=distances.normal_consistency,
        point_to_point=sampled,
        seconds=seconds if is_doh else 0.0,
        resolution=resolution if is_doh else None,
        reference_bytes=reference_size,
        ratio=reference_size / size,
        draco_bytes=draco,
        draco_ratio=None if draco is None else draco / size,
    )


def mesh_iou(
    reference: trimesh.Trimesh,
    other: trimesh.Trimesh,
    *,
    protocol: Protocol = "bbox",
    grid: int | None = None,
    points: int | None = None,
    seed: int = 0,
) -> IouResult:
    """IoU of two meshes; an empty `other` (no faces) has IoU 0."""
    empty = len(other.faces) == 0

    def nowhere(points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        return np.zeros(len(points), dtype=np.bool_)

    return volumetric_iou(
        _judge(reference),
        nowhere if empty else _judge(other),
        reference.bounds,
        None if empty else other.bounds,
        protocol=protocol,
        grid=grid,
        points=points,
        seed=seed,
    )


def field_iou(
    reference: trimesh.Trimesh,
    field: OccupancyField,
    *,
    protocol: Protocol = "bbox",
    points: int | None = None,
    seed: int = 0,
) -> IouResult:
    """IoU of a reference mesh and a field itself, without extraction.

    The field's bounding box is taken to be its domain.
    """
    labelled = LabelledPoints.of(
        reference, field.bounds, protocol=protocol, points=points, seed=seed
    )
    return labelled.iou(field)


@dataclass(frozen=True)
class LabelledPoints:
    """Evaluation points with the reference's occupancy, for many fields on the same domain.

    Attributes
    ----------
    chunks : tuple of ((M, 3) float64 points, (M,) bool inside)
    protocol : {"bbox", "occnet", "grid"}
    """

    chunks: tuple[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]], ...]
    protocol: Protocol

    @classmethod
    def of(
        cls,
        reference: trimesh.Trimesh,
        bounds: npt.NDArray[np.float64],
        *,
        protocol: Protocol = "bbox",
        points: int | None = None,
        seed: int = 0,
    ) -> LabelledPoints:
        """Label a protocol's points for a reference and fields of (2, 3) bounds."""
        inside = _judge(reference)
        chunks = iou_points(protocol, reference.bounds, bounds, points=points, seed=seed)
        return cls(tuple((chunk, inside(chunk)) for chunk in chunks), protocol)

    def iou(self, field: OccupancyField) -> IouResult:
        """IoU of the reference and a field."""
        evaluated = intersection = union = 0
        for points, inside in self.chunks:
            found = field.occupancy(points)
            evaluated += len(points)
            intersection += int((inside & found).sum())
            union += int((inside | found).sum())
        return IouResult(intersection / union if union else 0.0, self.protocol, evaluated)


def _judge(mesh: trimesh.Trimesh) -> InsideTest:
    """Inside test for measuring.

    Where the mesh allows it this is another algorithm than the one that labelled the training
    points, so that a fault in that one shows.
    """
    return inside_test(mesh, reproducible=False)


def _draco_bytes(mesh: trimesh.Trimesh) -> int | None:
    try:
        return draco_bytes(mesh)
    except ConfigError:
        return None
