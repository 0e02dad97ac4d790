"""What is measured, and against what: files, fields, compressed signals and meshes in memory.

A compressed signal and a prepared one are known by what they have, `data` and `field`, `reading`:
to measure is not to fit, and nothing of fitting is imported for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from doh3d.errors import ConfigError
from doh3d.files import is_doh_file
from doh3d.geometry.inputs import MeshInput
from doh3d.geometry.reading import Reading, read_shape
from doh3d.geometry.voxel_surface import read_grid
from doh3d.geometry.voxels import VoxelGrid
from doh3d.limits import Limits
from doh3d.volumes.files import load_volume, split_label, volume_ending

if TYPE_CHECKING:
    import trimesh

    from doh3d.field import OccupancyField

# A mesh as it was read, or one that is known to be sound.
Solid: TypeAlias = "Reading | trimesh.Trimesh"


@runtime_checkable
class Compressed(Protocol):
    """The bytes of a `.doh` file, and the field that they decode to."""

    @property
    def data(self) -> bytes:
        """The file."""

    def field(self, device: str = "auto") -> Any:
        """Decode the bytes."""


class Field(Protocol):
    """An occupancy field."""

    def to_mesh(self, resolution: int = 256) -> trimesh.Trimesh:
        """Extract the surface."""


@runtime_checkable
class Prepared(Protocol):
    """A shape that was read to be fitted."""

    @property
    def reading(self) -> Reading:
        """The mesh as it was read and as it was repaired."""


# What a shape may be measured against, and what may be measured.
ReferenceInput: TypeAlias = MeshInput | VoxelGrid | Reading | Prepared
ShapeInput: TypeAlias = ReferenceInput | Field | Compressed


@dataclass(frozen=True)
class Measured:
    """A shape that is measured.

    Attributes
    ----------
    solid : Reading or trimesh.Trimesh
    bytes : int or None
        Size of its file; None where there is none.
    seconds : float
        What decoding and extraction took; 0 for a mesh.
    resolution : int or None
        The extraction's; None for a mesh.
    """

    solid: Solid
    bytes: int | None
    seconds: float = 0.0
    resolution: int | None = None


def read_reference(
    reference: ReferenceInput, name: str = "reference", *, label: int | None = None
) -> Reading:
    """Read a mesh or a grid, unless it has been.

    `name` is what messages call one in memory; `label` is taken of a label map that is in a file.
    """
    if isinstance(reference, Reading):
        return reference
    if isinstance(reference, Prepared):
        return reference.reading
    if isinstance(reference, VoxelGrid):
        return read_grid(reference)
    if isinstance(reference, str | Path) and volume_ending(reference):
        return read_grid(load_volume(reference, default_label=label))
    return read_shape(reference, name)


def read_measured(shape: ShapeInput, *, resolution: int, device: str, limits: Limits) -> Measured:
    """Read a mesh; or decode and extract what is, or has, a field. Raises as `evaluate`."""
    started = time.perf_counter()
    field = _field(shape, device, limits)
    if field is None:
        return Measured(read_reference(shape, "shape"), size_of(shape))
    mesh = field.to_mesh(resolution)
    return Measured(mesh, size_of(shape), time.perf_counter() - started, resolution)


def _field(shape: ShapeInput, device: str, limits: Limits) -> OccupancyField | None:
    """Decode what has a field; None for a mesh."""
    if isinstance(shape, str | Path):
        from doh3d.field import load

        return load(shape, device, limits=limits) if is_doh_file(shape) else None
    field: Any = shape.field(device) if isinstance(shape, Compressed) else shape
    if hasattr(field, "pixels"):
        kind = type(shape).__name__
        raise ConfigError(f"shape is of type {kind}, an image; measure it with evaluate_image")
    return field if hasattr(field, "occupancy") else None


def size_of(signal: object) -> int | None:
    """Bytes of a file on disk, or of a compressed signal; None for what has no bytes."""
    if isinstance(signal, str | Path):
        return Path(split_label(str(signal))[0]).stat().st_size
    return len(signal.data) if isinstance(signal, Compressed) else None
