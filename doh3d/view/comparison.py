"""`.doh` files beside the mesh that they were made from: what the viewer and pictures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doh3d.errors import ConfigError
from doh3d.evaluation.evaluate import field_iou
from doh3d.evaluation.inputs import read_reference, size_of
from doh3d.evaluation.metrics import IouResult
from doh3d.field import OccupancyField, load
from doh3d.files import is_doh_file
from doh3d.geometry.voxel_surface import GridReading
from doh3d.geometry.voxels import VoxelGrid
from doh3d.limits import DEFAULT_LIMITS, Limits
from doh3d.view.grids import code_line, grid_line
from doh3d.view.heatmap import SignedDistance, colour_range, heat_colours
from doh3d.view.stage import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import trimesh

# For a field's IoU, as `doh3d compress` takes them: three digits in a second or two.
_POINTS = 2**18


@dataclass(frozen=True)
class Reference:
    """The original.

    Attributes
    ----------
    path : Path
    mesh : trimesh.Trimesh
        As :func:`doh3d.load_mesh` returns it; of a grid, the surface between its voxels.
    bytes : int
        Size of its file.
    grid : VoxelGrid or None
        The original itself, where it is a grid.
    """

    path: Path
    mesh: trimesh.Trimesh
    bytes: int
    grid: VoxelGrid | None = None

    @property
    def caption(self) -> tuple[str, ...]:
        """Name and size; of a grid which label it is, and its voxels."""
        of_grid = [] if self.grid is None else [grid_line(self.grid)]
        return (self.path.name, *of_grid, f"{self.bytes:,} bytes")


@dataclass(frozen=True)
class Reconstruction:
    """A `.doh` file.

    Attributes
    ----------
    path : Path
    field : OccupancyField
    bytes : int
        Size of the file.
    iou : IouResult or None
        Of the field with the reference.
    ratio : float or None
        The reference's bytes for one of the file's.
    """

    path: Path
    field: OccupancyField
    bytes: int
    iou: IouResult | None
    ratio: float | None

    @property
    def caption(self) -> tuple[str, ...]:
        """Name, size and IoU, ratio; of a grid which label it is, and its voxels."""
        lines: tuple[str, ...] = (self.path.name, f"{self.bytes:,} bytes")
        if self.iou is not None and self.ratio is not None:
            quality = f"IoU {self.iou.iou:.3f}"
            if self.iou.protocol == "voxels":
                quality = f"Dice {self.iou.dice:.4f}"
            lines = (lines[0], f"{lines[1]}, {quality}", f"{self.ratio:,.0f} times smaller")
        of_grid = code_line(self.field.code)
        return lines if of_grid is None else (lines[0], of_grid, *lines[1:])

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the field as a JSON object."""
        return {
            "file": str(self.path),
            "bytes": self.bytes,
            "iou": self.iou and self.iou.iou,
            "iou_of": self.iou and "field",
            "protocol": self.iou and self.iou.protocol,
            "points": self.iou and self.iou.points,
            "ratio": self.ratio,
        }


@dataclass(frozen=True)
class Comparison:
    """Files and, where there is one, the mesh that all of them were made from."""

    reconstructions: tuple[Reconstruction, ...]
    reference: Reference | None

    @property
    def title(self) -> str:
        """One line of all sizes and qualities."""
        lines = [": ".join([r.caption[0], ", ".join(r.caption[1:])]) for r in self.reconstructions]
        of = "" if self.reference is None else f" than {self.reference.path.name}"
        first = self.reconstructions[0].iou
        if first is not None and first.protocol != "voxels":
            of += f" (IoU of the field, {first.points} points)"
        return " | ".join(lines) + of

    def extract(self, resolution: int) -> list[trimesh.Trimesh]:
        """Extract the meshes of all files; raises as `OccupancyField.to_mesh`."""
        return [each.field.to_mesh(resolution) for each in self.reconstructions]

    def panels(self, meshes: Sequence[trimesh.Trimesh], heat: Heat | None = None) -> list[Panel]:
        """Make a panel of the reference, if there is one, and of each extracted mesh."""
        first = [] if self.reference is None else [self.reference]
        colours = [None] * len(meshes) if heat is None else heat.colours
        return [Panel(each.mesh, each.caption) for each in first] + [
            Panel(mesh, each.caption, colour)
            for each, mesh, colour in zip(self.reconstructions, meshes, colours, strict=True)
        ]


@dataclass(frozen=True)
class Heat:
    """Colours of meshes by their signed distance to one reference.

    Attributes
    ----------
    range_percent : float
        Where the colours end on either side, in percent of the reference's longest side.
    colours : tuple of (V, 3) float64
        One array a mesh.
    """

    range_percent: float
    colours: tuple[npt.NDArray[np.float64], ...]

    @classmethod
    def of(
        cls,
        distance: SignedDistance,
        meshes: Sequence[trimesh.Trimesh],
        range_percent: float | None = None,
    ) -> Heat:
        """Measure meshes; the range follows the distances unless it is given."""
        distances = [distance(mesh.vertices) for mesh in meshes]
        chosen = colour_range(distances) if range_percent is None else range_percent
        return cls(chosen, tuple(heat_colours(each, chosen) for each in distances))


def load_comparison(
    files: Sequence[Path], device: str = "auto", *, limits: Limits = DEFAULT_LIMITS
) -> Comparison:
    """Read `.doh` files and the mesh or grid that they are compared with, and measure them.

    Parameters
    ----------
    files : sequence of Path
        One or more `.doh` files; at most one mesh or grid among them, the reference. Of a label map
        it is the label that the first file says.
    device : str
        For decoding.
    limits : Limits
        What is taken from a file.

    Raises
    ------
    ConfigError, FormatError, MeshError
        A file cannot be read; there is no `.doh` file, or more than one mesh.
    """
    codes = [path for path in files if is_doh_file(path)]
    others = [path for path in files if path not in codes]
    if len(others) > 1:
        raise ConfigError(
            f"{others[0]} and {others[1]} are no .doh files; name one mesh to compare with"
        )
    if not codes:
        raise ConfigError(f"{others[0]}: not a .doh file; name at least one, made by: compress")
    fields = [load(path, device, limits=limits) for path in codes]
    sizes = [path.stat().st_size for path in codes]
    if not others:
        return Comparison(
            tuple(
                Reconstruction(path, field, size, None, None)
                for path, field, size in zip(codes, fields, sizes, strict=True)
            ),
            None,
        )
    reading = read_reference(others[0], label=fields[0].code.extras.label)
    size = size_of(others[0])
    assert size is not None
    grid = reading.grid if isinstance(reading, GridReading) else None
    reference = Reference(others[0], reading.mesh, size, grid)
    ious = [field_iou(reading, field, points=_POINTS) for field in fields]
    return Comparison(
        tuple(
            Reconstruction(path, field, size, iou, reference.bytes / size)
            for path, field, size, iou in zip(codes, fields, sizes, ious, strict=True)
        ),
        reference,
    )
