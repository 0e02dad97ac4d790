"""What `doh3d decompress` does where the output is a voxel grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doh3d.errors import ConfigError, VolumeError

if TYPE_CHECKING:
    from doh3d.field import OccupancyField
    from doh3d.geometry.voxels import VoxelLattice


@dataclass(frozen=True)
class GridChoice:
    """Which lattice the user wants, at most one of them: the file's own without any.

    Attributes
    ----------
    like : Path or None
        The lattice of this volume.
    spacing : float or None
        Cubic voxels of this side over the field's domain.
    resolution : int or None
        Cubic voxels, so many along the domain's longest side.
    """

    like: Path | None
    spacing: float | None
    resolution: int | None

    def __post_init__(self) -> None:
        """Check that they do not contradict each other."""
        given = [
            f"--{name}"
            for name in ("like", "spacing", "resolution")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} contradict each other; give one of them")
        if self.spacing is not None and not (math.isfinite(self.spacing) and self.spacing > 0):
            raise ConfigError(f"--spacing is {self.spacing:g}; it must be above 0")

    def lattice(self, fields: Sequence[OccupancyField], names: Sequence[Path]) -> VoxelLattice:
        """Find the lattice for fields, whose files are named in messages."""
        from doh3d.geometry.lattice import check_resolution
        from doh3d.geometry.voxels import MOST_VOXELS, VoxelLattice
        from doh3d.volumes.files import read_lattice

        if self.like is not None:
            return read_lattice(self.like)
        if self.spacing is None and self.resolution is None:
            own = [field.voxels for field in fields]
            if own[0] is None or any(each != own[0] for each in own):
                what = "no grid" if own[0] is None else "another grid than the others"
                which = names[next(i for i, each in enumerate(own) if each != own[0] or not each)]
                raise ConfigError(
                    f"{which}: says {what}; choose one with --like, --spacing or --resolution"
                )
            return own[0]
        low = _extreme([field.bounds[0] for field in fields], min)
        high = _extreme([field.bounds[1] for field in fields], max)
        longest = max(b - a for a, b in zip(low, high, strict=True))
        if self.resolution is not None:
            check_resolution(self.resolution)
            side = longest / self.resolution
        else:
            assert self.spacing is not None
            side = self.spacing
            # A message that counts them would be as long as their number.
            if longest / side > MOST_VOXELS:
                raise ConfigError(
                    f"--spacing is {side:g}; a larger one is needed, where the domain is "
                    f"{longest:g} long"
                )
        shape = tuple(
            max(1, math.ceil((b - a) / side - 1e-9)) for a, b in zip(low, high, strict=True)
        )
        affine: list[list[float]] = [
            [side * (row == column) for column in range(3)] + [low[row] + side / 2]
            for row in range(3)
        ]
        try:
            return VoxelLattice.of(shape, [*affine, [0.0, 0.0, 0.0, 1.0]])
        except VolumeError as error:
            given = "--spacing" if self.resolution is None else "--resolution"
            needed = "larger" if self.resolution is None else "smaller"
            raise ConfigError(f"{error}; a {needed} {given} is needed") from error


def write_grid(
    files: Sequence[Path], output: Path, choice: GridChoice, fields: Sequence[OccupancyField]
) -> dict[str, Any]:
    """Write a mask of one file, or a label map of several; what to report."""
    from doh3d.volumes.label_map import label_map, labels_of_fields
    from doh3d.volumes.writing import save_volume

    lattice = choice.lattice(fields, files)
    if len(fields) == 1:
        array: Any = fields[0].to_grid(lattice.shape, lattice.matrix)
        labels: dict[int, str] = {}
    else:
        numbers = labels_of_fields(fields)
        array = label_map(dict(zip(numbers, fields, strict=True)), lattice)
        labels = {
            number: field.code.extras.name or path.stem
            for number, field, path in zip(numbers, fields, files, strict=True)
        }
    inside = int((array != 0).sum())
    if not inside:
        if choice.like is not None:
            raise ConfigError(
                f"{files[0]}: no voxel of {choice.like}'s grid is inside; name the scan that the "
                "shape is of, or --spacing"
            )
        raise ConfigError(f"{files[0]}: no voxel of that grid is inside; try a finer one")
    save_volume(array, lattice, output, like=choice.like)
    report: dict[str, Any] = {
        "output": str(output),
        "bytes": output.stat().st_size,
        "shape": list(lattice.shape),
        "spacing": list(lattice.spacing),
        "voxels": inside,
        "volume": inside * lattice.voxel_volume,
    }
    return report | ({"labels": labels} if labels else {})


def _extreme(corners: Sequence[Any], of: Any) -> list[float]:
    return [float(of(corner[axis] for corner in corners)) for axis in range(3)]
