"""One shape against its reference mesh, all metrics at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.evaluation.draco import draco_bytes
from doh3d.evaluation.inputs import (
    ReferenceInput,
    ShapeInput,
    Solid,
    read_measured,
    read_reference,
    size_of,
)
from doh3d.evaluation.metrics import Inside, IouCount, IouResult, volumetric_iou
from doh3d.evaluation.point_metrics import (
    PointMetrics,
    SurfaceProtocol,
    check_surface_protocol,
    point_metrics,
)
from doh3d.evaluation.protocols import Protocol, iou_points
from doh3d.evaluation.surface import surface_metrics
from doh3d.evaluation.volume import overlap
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.reading import Reading
from doh3d.geometry.voxel_surface import GridReading
from doh3d.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import trimesh

    from doh3d.field import OccupancyField


@dataclass(frozen=True)
class Evaluation:
    """How well a shape reproduces a reference mesh.

    Attributes
    ----------
    bytes : int or None
        Size of the evaluated file on disk, or of what was compressed; None for a field or a mesh
        in memory, which have no file.
    iou : float
        Volumetric IoU of the extracted mesh (or of the mesh given) with the reference.
    protocol : {"bbox", "occnet", "grid"}
    points : int
        Points on which IoU was measured.
    undecided : float
        Share of these, of those in either shape, that were left out because nothing tells whether
        the reference has them inside; see `doh3d.geometry.judge`.
    repair_difference : float
        Share of the reference's volume by which its repaired mesh, of which its surface is
        measured, differs from the file's own faces, against which its volume is.
    surface_chamfer_l1, surface_f_score, surface_normal_consistency : float
        From points on either surface to the other surface itself, see
        `doh3d.evaluation.surface.SurfaceMetrics`.
    point_to_point : PointMetrics or None
        By a protocol of the literature, where one was asked for.
    seconds : float
        What decoding and extraction took; 0 for a mesh.
    resolution : int or None
        The extraction's; None for a mesh.
    reference_bytes : int or None
        Size of the reference's file on disk; None for a mesh in memory.
    ratio : float or None
        reference_bytes / bytes; None where one of them is.
    draco_bytes : int or None
        Size of the whole reference, repaired and with all its triangles, in Draco at 11 bits a
        coordinate and level 10. That moves a point by at most 1/4096 of the longest side: it is
        the size of nearly the mesh itself, not of what would be as good as this shape. None where
        DracoPy is missing.
    draco_ratio : float or None
        draco_bytes / bytes; None where one of them is.
    warnings : tuple of str
        What nothing in the reference's file makes certain; see `Reading.warnings`.
    """

    bytes: int | None
    iou: float
    protocol: str
    points: int
    undecided: float
    repair_difference: float
    surface_chamfer_l1: float
    surface_f_score: float
    surface_normal_consistency: float
    point_to_point: PointMetrics | None
    seconds: float
    resolution: int | None
    reference_bytes: int | None
    ratio: float | None
    draco_bytes: int | None
    draco_ratio: float | None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as a JSON object; infinite distances become None."""
        values = {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in asdict(self).items()
        }
        points = self.point_to_point
        return values | {"point_to_point": None if points is None else points.to_dict()}


def evaluate(
    shape: ShapeInput,
    reference: ReferenceInput,
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
    """Measure a shape against a reference mesh.

    Parameters
    ----------
    shape : path, CompressedShape, OccupancyField or mesh
        A `.doh` file, what `compress` made or a field, whose extracted mesh is measured; or a
        mesh, in a file or in memory.
    reference : path, mesh, (vertices, faces), PreparedShape or Reading
        A mesh as `compress` takes it.
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
        If the shape or the reference cannot be read or is none, or an option is out of range.
    """
    check_surface_protocol(surface)
    original = read_reference(reference)
    found = read_measured(shape, resolution=resolution, device=device, limits=limits)
    iou = mesh_iou(original, found.solid, protocol=protocol, grid=grid, points=points, seed=seed)
    mesh = _mesh(found.solid)
    distances = surface_metrics(original.mesh, mesh, seed=seed)
    sampled = None
    if surface != "exact":
        sampled = point_metrics(original.mesh, mesh, surface, seed=seed)
    reference_bytes, draco = size_of(reference), _draco_bytes(original.mesh)
    return Evaluation(
        bytes=found.bytes,
        iou=iou.iou,
        protocol=iou.protocol,
        points=iou.points,
        undecided=iou.undecided,
        repair_difference=original.survey.difference,
        surface_chamfer_l1=distances.chamfer_l1,
        surface_f_score=distances.f_score,
        surface_normal_consistency=distances.normal_consistency,
        point_to_point=sampled,
        seconds=found.seconds,
        resolution=found.resolution,
        reference_bytes=reference_bytes,
        ratio=_ratio(reference_bytes, found.bytes),
        draco_bytes=draco,
        draco_ratio=_ratio(draco, found.bytes),
        warnings=original.warnings,
    )


def mesh_iou(
    reference: Solid,
    other: Solid,
    *,
    protocol: Protocol = "bbox",
    grid: int | None = None,
    points: int | None = None,
    seed: int = 0,
) -> IouResult:
    """IoU of two shapes; an empty `other` (no faces) has IoU 0.

    Parameters
    ----------
    reference, other : Reading or trimesh.Trimesh
        A reading is judged by the file's own faces; a mesh alone is taken to be repaired, or
        extracted.
    protocol, grid, points, seed
        See `doh3d.evaluation.protocols.iou_points`.
    """
    empty = len(_mesh(other).faces) == 0

    def nowhere(points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        return np.zeros(len(points), dtype=np.bool_)

    return volumetric_iou(
        _judge(reference),
        nowhere if empty else _judge(other),
        _mesh(reference).bounds,
        None if empty else _mesh(other).bounds,
        protocol=protocol,
        grid=grid,
        points=points,
        seed=seed,
    )


def field_iou(
    reference: Solid,
    field: OccupancyField,
    *,
    protocol: Protocol = "bbox",
    points: int | None = None,
    seed: int = 0,
) -> IouResult:
    """IoU of a reference and a field itself, without extraction.

    The field's bounding box is taken to be its domain. A grid is measured at its voxels' centres,
    whatever the protocol.
    """
    if isinstance(reference, GridReading):
        grid = reference.grid
        _, iou = overlap(grid.occupied, field.to_grid(grid.lattice.shape, grid.lattice.matrix))
        return IouResult(iou, "voxels", grid.occupied.size)
    labelled = LabelledPoints.of(
        reference, field.bounds, protocol=protocol, points=points, seed=seed
    )
    return labelled.iou(field)


def achieved_iou(
    reading: Reading, field: OccupancyField, *, min_iou: float | None, points: int
) -> tuple[IouResult, Literal["field", "mesh"]]:
    """IoU of a file's field with what it was made from, and of what that is.

    Where a quality was asked for it is measured as the search for it does, of a mesh's field on the
    mesh that is extracted; otherwise on the field itself, which is quicker.
    """
    if min_iou is None or isinstance(reading, GridReading):
        return field_iou(reading, field, points=points), "field"
    return mesh_iou(reading, field.to_mesh()), "mesh"


@dataclass(frozen=True)
class LabelledPoints:
    """Evaluation points with the reference's occupancy, for many fields on the same domain.

    Attributes
    ----------
    chunks : tuple of ((M, 3) float64 points, (M,) bool or int8 inside)
        -1 where nothing tells.
    protocol : {"bbox", "occnet", "grid"}
    """

    chunks: tuple[tuple[npt.NDArray[np.float64], npt.NDArray[Any]], ...]
    protocol: Protocol

    @classmethod
    def of(
        cls,
        reference: Solid,
        bounds: npt.NDArray[np.float64],
        *,
        protocol: Protocol = "bbox",
        points: int | None = None,
        seed: int = 0,
    ) -> LabelledPoints:
        """Label a protocol's points for a reference and fields of (2, 3) bounds."""
        inside = _judge(reference)
        chunks = iou_points(protocol, _mesh(reference).bounds, bounds, points=points, seed=seed)
        return cls(tuple((chunk, inside(chunk)) for chunk in chunks), protocol)

    def iou(self, field: OccupancyField) -> IouResult:
        """IoU of the reference and a field."""
        count = IouCount(self.protocol)
        for points, inside in self.chunks:
            count.add(inside, field.occupancy(points))
        return count.result()


def _mesh(solid: Solid) -> trimesh.Trimesh:
    return solid.mesh if isinstance(solid, Reading) else solid


def _judge(solid: Solid) -> Inside:
    """Inside test for measuring.

    A file is judged by its own faces. A mesh alone is, where it allows it, judged by another
    algorithm than the one that labelled the training points, so that a fault in that one shows.
    """
    return solid.judge if isinstance(solid, Reading) else inside_test(solid, reproducible=False)


def _ratio(reference_bytes: int | None, size: int | None) -> float | None:
    return None if reference_bytes is None or size is None else reference_bytes / size


def _draco_bytes(mesh: trimesh.Trimesh) -> int | None:
    try:
        return draco_bytes(mesh)
    except ConfigError:
        return None
