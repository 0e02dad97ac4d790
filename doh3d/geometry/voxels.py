"""Occupancy grids: voxels that are inside or not, and where in space each of them lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.errors import VolumeError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Affine: TypeAlias = tuple[tuple[float, float, float, float], ...]

# Voxels of the largest grid that is read or written, 512 x 512 x 1024.
MOST_VOXELS = 2**28

# An affine whose axes span less than this share of their lengths' product is flat.
_FLAT = 1e-9

# Coordinates beyond this have no squares.
_LARGEST = 1e100


@dataclass(frozen=True)
class VoxelLattice:
    """The centres of a grid's voxels.

    Attributes
    ----------
    shape : three integers
        Voxels along each axis of the grid.
    affine : 4 x 4 numbers, as rows
        Voxel (i, j, k) is centred at ``affine @ (i, j, k, 1)``, in the affine's units. Any that has
        an inverse: axes may be permuted, mirrored, oblique, and of different spacings.

    Raises
    ------
    VolumeError
        If there is no such lattice, or it has more than `MOST_VOXELS` voxels.
    """

    shape: tuple[int, int, int]
    affine: Affine

    def __post_init__(self) -> None:
        """Check that there is such a lattice."""
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise VolumeError(f"shape is {self.shape}; it must be three numbers of 1 or more")
        check_voxel_count(self.shape)
        matrix = self.matrix
        if matrix.shape != (4, 4) or matrix[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
            raise VolumeError("the affine must be 4 x 4 numbers, the last row of them 0 0 0 1")
        if not np.abs(matrix).max() < _LARGEST:
            raise VolumeError("the affine must be of finite numbers, each below 1e100")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if not lengths.min() > 0 or not abs(np.linalg.det(matrix[:3, :3] / lengths)) > _FLAT:
            raise VolumeError("the affine's axes lie in one plane; it must have an inverse")

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: npt.ArrayLike | None = None) -> VoxelLattice:
        """Make a lattice of an array's shape and a (4, 4) array; of voxels of side 1 without it."""
        try:
            given = np.eye(4) if affine is None else np.asarray(affine, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise VolumeError("the affine must be 4 x 4 numbers") from error
        if given.shape != (4, 4):
            raise VolumeError(f"the affine has shape {given.shape}; it must be (4, 4)")
        rows = tuple(tuple(row) for row in given.tolist())
        return cls(tuple(int(side) for side in shape), rows)  # type: ignore[arg-type]

    @cached_property
    def matrix(self) -> FloatArray:
        """(4, 4) float64, the affine."""
        return np.array(self.affine, dtype=np.float64)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along each axis of the grid."""
        x, y, z = np.linalg.norm(self.matrix[:3, :3], axis=0).tolist()
        return x, y, z

    @property
    def mirrors(self) -> bool:
        """Whether the axes are left-handed."""
        return bool(np.linalg.det(self.matrix[:3, :3]) < 0)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.matrix[:3, :3])))

    @property
    def corners(self) -> FloatArray:
        """(8, 3) corners of all voxels together, in the affine's units."""
        ends = np.array([[-0.5, side - 0.5] for side in self.shape])
        return self.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))

    def to_world(self, index: npt.ArrayLike) -> FloatArray:
        """(N, 3) points, in the affine's units, of (N, 3) places given in voxels."""
        places = np.asarray(index, dtype=np.float64)
        # Not a matrix product, whose last digits depend on how many points there are.
        world = self.matrix[:3, 3] + places[:, :1] * self.matrix[:3, 0]
        world += places[:, 1:2] * self.matrix[:3, 1]
        world += places[:, 2:] * self.matrix[:3, 2]
        return world

    def to_index(self, points: npt.ArrayLike) -> FloatArray:
        """(N, 3) places, in voxels, of (N, 3) points."""
        offset = np.asarray(points, dtype=np.float64) - self.matrix[:3, 3]
        inverse = np.linalg.inv(self.matrix[:3, :3])
        index: FloatArray = (offset[:, None, :] * inverse).sum(axis=2)
        return index


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """An occupancy grid. Beyond it everything is outside.

    Attributes
    ----------
    occupied : (I, J, K) bool
    lattice : VoxelLattice
    label : int or None
        The number that these voxels have in the label map that they are of.
    name : str or None
        What that label is called.
    """

    occupied: npt.NDArray[np.bool_]
    lattice: VoxelLattice
    label: int | None = None
    name: str | None = None

    @classmethod
    def of(cls, occupied: npt.ArrayLike, affine: npt.ArrayLike | None = None) -> VoxelGrid:
        """Make a grid of an array in memory.

        Parameters
        ----------
        occupied : (I, J, K) bool, or numbers: 0 outside, and one other inside
            Copied where it is not bool.
        affine : (4, 4) float, optional
            See `VoxelLattice`; voxel (i, j, k) is centred at (i, j, k) without it.

        Raises
        ------
        VolumeError
            If there is no such grid, all voxels are on one side, or there are too many.
        """
        from doh3d.geometry.voxel_values import occupied_of

        array = occupied_of(np.asarray(occupied), None, None, "grid")
        return cls(array.occupied, VoxelLattice.of(array.occupied.shape, affine))

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """The smallest box of voxels that holds all of those inside."""
        slices = []
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            found = np.flatnonzero(self.occupied.any(axis=others))
            slices.append(slice(int(found[0]), int(found[-1]) + 1))
        return slices[0], slices[1], slices[2]

    @cached_property
    def count(self) -> int:
        """How many voxels are inside."""
        return int(np.count_nonzero(self.occupied))

    @property
    def volume(self) -> float:
        """Their volume, in the affine's units."""
        return self.count * self.lattice.voxel_volume

    def at(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """(N,) bool of (N, 3) voxels, which may lie beyond the grid."""
        within = ((index >= 0) & (index < self.lattice.shape)).all(axis=1)
        found = np.zeros(len(index), dtype=np.bool_)
        found[within] = self.occupied[tuple(index[within].T)]
        return found


def check_voxel_count(shape: tuple[int, ...]) -> None:
    """Raise VolumeError where a grid has more voxels than one may, before it is read."""
    count = 1
    for side in shape:
        count *= int(side)
    if count > MOST_VOXELS:
        sides = " x ".join(map(str, shape))
        raise VolumeError(f"{sides} are {count} voxels; at most {MOST_VOXELS} are taken")
