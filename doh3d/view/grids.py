"""What pictures and pages say of a shape that was made from a voxel grid."""

from __future__ import annotations

from doh3d.codec.shape_code import ShapeCode
from doh3d.geometry.voxels import VoxelGrid


def code_line(code: ShapeCode) -> str | None:
    """Say which label a file is, and how large its voxels are; None where it says no grid."""
    extras = code.extras
    if extras.affine is None:
        return None
    columns = zip(*extras.affine, strict=True)
    sides = [sum(number**2 for number in column) ** 0.5 for column in columns][:3]
    return _line(extras.name, extras.label, sides)


def grid_line(grid: VoxelGrid) -> str:
    """Say the same of a grid."""
    return _line(grid.name, grid.label, list(grid.lattice.spacing))


def _line(name: str | None, label: int | None, sides: list[float]) -> str:
    words = [] if name is None else [name]
    words += [] if label is None else [f"label {label}"]
    return ", ".join([*words, "voxels " + " x ".join(f"{side:.3g}" for side in sides)])
