"""From an occupancy grid to what a fit starts from: a shape whose samples are voxels' centres."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.codec.container import parse
from doh3d.codec.extras import Extras, pack_extras
from doh3d.codec.shape_code import domain_half_sides
from doh3d.errors import ConfigError, VolumeError
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField
from doh3d.fitting.config import FitConfig
from doh3d.geometry.inputs import MeshInput
from doh3d.geometry.reading import Reading
from doh3d.geometry.rotation import NO_FRAME
from doh3d.geometry.sampling import OccupancySamples
from doh3d.geometry.voxel_surface import GridReading, read_grid
from doh3d.geometry.voxels import VoxelGrid
from doh3d.limits import MAX_NAME_BYTES, Limits
from doh3d.signals.shape import PreparedShape, prepare
from doh3d.volumes.files import load_volume, volume_ending

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PreparedGrid(PreparedShape):
    """An occupancy grid that can be fitted, as often as wanted.

    It is the shape of the surface between its voxels, but for what the field learns: whether
    voxels are inside, at their centres. Where between two centres the surface passes, the grid does
    not say, and the field is free. That is worth more than it seems: the stairs of a surface
    between voxels take bytes, and are in no scan.

    Attributes
    ----------
    reading : GridReading
    """

    reading: GridReading

    @property
    def grid(self) -> VoxelGrid:
        """The voxels."""
        return self.reading.grid

    def identity(self) -> dict[str, str]:
        """Return a digest of the surface, which tells the voxels, and of what the file says."""
        digest = hashlib.sha256(repr(self.grid.lattice).encode())
        digest.update(np.packbits(self.grid.occupied).tobytes())
        if self.transform.frame != NO_FRAME:
            digest.update(str(self.transform.frame).encode())
        digest.update(pack_extras(self.extras))
        return {"grid": digest.hexdigest()}

    @cached_property
    def flat_share(self) -> float:
        """Stairs are flat, but what they stand for is not."""
        return 0.0

    def inside(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Whether the voxels nearest to (N, 3) normalised points are inside, (N,) bool."""
        return self.grid.at(self._nearest(points))

    def draw(self, config: FitConfig) -> OccupancySamples:
        """Draw samples as of a shape, each moved to the centre of its voxel.

        The lattice goes on beyond the grid. A centre beyond the domain is outside, and its sample
        stays where it is.
        """
        samples = super().draw(config)
        index = self._nearest(samples.points.astype(np.float64))
        world = self.grid.lattice.to_world(index)
        centres = self.transform.to_normalized(world).astype(np.float32)
        half = domain_half_sides(self.extents)
        within: npt.NDArray[np.bool_] = np.all(np.abs(centres) <= half, axis=1)
        points = np.where(within[:, None], centres, samples.points)
        return OccupancySamples(points, self.grid.at(index).astype(np.float32))

    def quality(self, data: bytes, device: torch.device) -> float:
        """IoU at the voxels' centres, as `doh3d eval` measures it."""
        field = OccupancyField(parse(data, Limits.of_format()), device)
        return field_iou(self.reading, field).iou

    def _nearest(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        index = self.grid.lattice.to_index(self.transform.to_world(points))
        return np.rint(index).astype(np.int64)


def prepare_source(
    source: MeshInput | VoxelGrid | Reading | PreparedShape,
    *,
    label: int | None = None,
    threshold: float | None = None,
    names: Mapping[int, str] | None = None,
    exact: bool = False,
) -> PreparedShape:
    """Prepare a mesh or an occupancy grid, in a file or in memory, as far as that is not done.

    Parameters
    ----------
    source
        A path, a mesh or a grid; see `doh3d.compress`.
    label, threshold, names
        See `doh3d.load_volume`; of grids only.
    exact
        Refuse a mesh file whose triangles would be thinned.

    Raises
    ------
    MeshError, VolumeError
        If it cannot be read or encloses no volume.
    ConfigError
        If a mesh is given a label or a threshold.
    """
    if isinstance(source, str | Path) and volume_ending(source):
        grid = load_volume(source, label=label, threshold=threshold, names=names)
        return prepare_grid(grid)
    if isinstance(source, np.ndarray) and source.ndim not in (0, 1):
        from doh3d.geometry.voxel_values import occupied_of
        from doh3d.geometry.voxels import VoxelLattice

        found = occupied_of(source, label, threshold, "grid")
        lattice = VoxelLattice.of(found.occupied.shape)
        return prepare_grid(VoxelGrid(found.occupied, lattice, found.label))
    for option, value in (("label", label), ("threshold", threshold)):
        if value is not None:
            raise ConfigError(f"{option} is {value:g}; it is for voxel grids only")
    if isinstance(source, VoxelGrid):
        return prepare_grid(source)
    if isinstance(source, GridReading) and not isinstance(source, PreparedShape):
        return prepare_grid(source.grid)
    return prepare(source, exact=exact)


def prepare_grid(grid: VoxelGrid) -> PreparedGrid:
    """Find a grid's surface, and normalise it in its frame."""
    reading = read_grid(grid)
    shape = prepare(reading)
    extras = grid_extras(grid)
    return PreparedGrid(reading, shape.normalized, shape.transform, shape.extents, extras)


def grid_extras(grid: VoxelGrid) -> Extras:
    """Say in a file which lattice it came from, and which label it is."""
    try:
        return Extras(
            lattice=grid.lattice.shape,
            affine=grid.lattice.affine[:3],
            label=grid.label,
            name=_name_in_file(grid.name),
        )
    except ConfigError as error:
        raise VolumeError(f"the grid cannot be kept in a file: {error}") from error


def _name_in_file(name: str | None) -> str | None:
    """Return as much of a name as a file holds."""
    if name is None:
        return None
    printable = "".join(letter for letter in name if letter.isprintable())
    return printable.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or None
