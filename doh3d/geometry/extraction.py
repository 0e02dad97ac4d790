"""From a field to a closed triangle mesh, evaluating only where the surface can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.limits import MAX_RESOLUTION, MIN_RESOLUTION

if TYPE_CHECKING:
    import trimesh

# Cells along a side of the coarsest and the finest blocks. Finer leaves evaluate fewer points
# but bound more blocks.
_COARSEST_BLOCK = 64
_LEAF_BLOCK = 4

# Planes of nodes evaluated at a time: bounds the memory for their coordinates.
_PLANES = 16

LogitFunction = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
BoundsFunction = Callable[
    [npt.NDArray[np.float32], npt.NDArray[np.float32]],
    tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
]


@dataclass(frozen=True)
class Lattice:
    """Where a field is sampled: nodes ``origin + spacing * (i, j, k)``.

    Attributes
    ----------
    origin : (3,) float64
    spacing : float
    shape : three integers
        Nodes along each axis.
    """

    origin: npt.NDArray[np.float64]
    spacing: float
    shape: tuple[int, int, int]

    @classmethod
    def over_box(cls, half_extents: npt.NDArray[np.float64], resolution: int) -> Lattice:
        """Cubic cells over the box of these half sides, `resolution` along its longest side."""
        spacing = 2 * float(half_extents.max()) / resolution
        x, y, z = (np.ceil(2 * half_extents / spacing - 1e-9).astype(int) + 1).tolist()
        return cls(-half_extents, spacing, (x, y, z))

    def points(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(N, 3) coordinates of (N, 3) node indices."""
        return (self.origin + self.spacing * nodes).astype(np.float32)


def dense_values(logits: LogitFunction, lattice: Lattice) -> npt.NDArray[np.float32]:
    """Evaluate every node: the reference that `sparse_values` must agree with in sign."""
    values = np.empty(lattice.shape, dtype=np.float32)
    _, ny, nz = lattice.shape
    plane = np.stack(np.meshgrid(np.arange(ny), np.arange(nz), indexing="ij"), axis=-1)
    for i in range(lattice.shape[0]):
        nodes = np.concatenate(
            [np.full((ny * nz, 1), i, dtype=np.int64), plane.reshape(-1, 2)], axis=1
        )
        values[i] = logits(lattice.points(nodes)).reshape(ny, nz)
    return values


def sparse_values(
    logits: LogitFunction, bounds: BoundsFunction, lattice: Lattice
) -> npt.NDArray[np.float32]:
    """Evaluate the nodes of every cell that the surface can cross.

    Blocks of cells are split until their logit's bounds show one sign, or until they are
    small enough to evaluate. Other nodes hold -1 or +1, whichever sign was proved: marching
    cubes reads values only in cells with both signs, so the surface is the dense one.

    Parameters
    ----------
    logits : (N, 3) float32 normalised points -> (N,) float32
    bounds : (B, 3) box centres, (3,) half sides -> low (B,), high (B,)
        Must contain every logit in the box.
    """
    cells = np.asarray(lattice.shape) - 1
    values = np.full(lattice.shape, -1.0, dtype=np.float32)
    size = _COARSEST_BLOCK
    corners = _grid(-(-cells // size)) * size
    while True:
        half = np.full(3, size * lattice.spacing / 2, dtype=np.float32)
        low, high = bounds(lattice.points(corners) + half, half)
        # Where the shape touches the box its surface is closed there: those nodes count too.
        at_box = (corners == 0).any(axis=1) | (corners + size >= cells).any(axis=1)
        inside = (low > 0) & ~at_box
        for i, j, k in corners[inside]:
            values[i : i + size + 1, j : j + size + 1, k : k + size + 1] = 1.0
        # Bounds that overflowed are NaN, and prove nothing.
        corners = corners[~inside & ~(high < 0)]
        if size == _LEAF_BLOCK:
            break
        size //= 2
        corners = (corners[:, None, :] + size * _grid(np.array([2, 2, 2]))).reshape(-1, 3)
        corners = corners[(corners < cells).all(axis=1)]
    # Neighbouring blocks share faces; marking nodes first evaluates each of them once.
    open_nodes = np.zeros(lattice.shape, dtype=np.bool_)
    for offset in _grid(np.full(3, _LEAF_BLOCK + 1)):
        nodes = corners + offset
        open_nodes[tuple(nodes[(nodes <= cells).all(axis=1)].T)] = True
    for first in range(0, lattice.shape[0], _PLANES):
        nodes = np.argwhere(open_nodes[first : first + _PLANES])
        nodes[:, 0] += first
        values[tuple(nodes.T)] = logits(lattice.points(nodes))
    return values


def close_at_box(values: npt.NDArray[np.float32]) -> None:
    """Make the outermost nodes outside, in place, so that what leaves the box is closed.

    Mirrored values put the closing face half-way to the next node.
    """
    for axis in range(3):
        for side in (0, -1):
            face = np.moveaxis(values, axis, 0)[side]
            np.minimum(face, -np.abs(face), out=face)


def crossed_cells(values: npt.NDArray[np.float32]) -> int:
    """Count the cells of node values that the surface crosses: corners of both signs."""
    count = 0
    for first in range(0, values.shape[0] - 1, _PLANES):
        inside = values[first : first + _PLANES + 1] > 0
        some, every = inside, inside
        for axis in range(3):
            lower, upper = [slice(None)] * 3, [slice(None)] * 3
            lower[axis], upper[axis] = slice(None, -1), slice(1, None)
            some = some[tuple(lower)] | some[tuple(upper)]
            every = every[tuple(lower)] & every[tuple(upper)]
        count += int((some & ~every).sum())
    return count


def surface_mesh(values: npt.NDArray[np.float32], lattice: Lattice) -> trimesh.Trimesh:
    """Marching cubes (Lewiner et al. 2003) on node values, level 0; a closed mesh.

    Vertices are in the lattice's coordinates, faces wind so that normals point outside. Where
    no value is positive the mesh has no faces.
    """
    import trimesh
    from skimage.measure import marching_cubes

    if not (values > 0).any():
        return trimesh.Trimesh()
    # A node exactly on the surface would collapse triangles around it and open the mesh when
    # vertices are welded.
    values = np.where(np.abs(values) < 1e-6, np.float32(-1e-6), values)
    vertices, faces, _, _ = marching_cubes(values, level=0.0)
    # skimage winds faces for objects that are below the level.
    return trimesh.Trimesh(
        lattice.origin + lattice.spacing * vertices.astype(np.float64),
        faces[:, ::-1],
        process=False,
    )


def check_resolution(resolution: int) -> None:
    """Raise ConfigError unless a lattice of this resolution may be built."""
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise ConfigError(
            f"resolution is {resolution}; it must be {MIN_RESOLUTION} to {MAX_RESOLUTION}"
        )


def _grid(shape: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N, 3) integer coordinates of a box of that shape, from 0."""
    return np.stack(np.meshgrid(*(np.arange(s) for s in shape), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
