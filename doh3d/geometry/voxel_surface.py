"""The surface of an occupancy grid, and the grid as something that fields are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from doh3d.geometry.mesh import RepairedMesh
from doh3d.geometry.reading import Reading
from doh3d.geometry.surface import SlabMesher
from doh3d.geometry.survey import Survey
from doh3d.geometry.voxels import VoxelGrid

if TYPE_CHECKING:
    import trimesh

# Layers of voxels meshed at a time: bounds the memory for their values.
_LAYERS = 16


@dataclass(frozen=True)
class GridReading(Reading):
    """A grid, with the closed surface half-way between its voxels inside and outside.

    Attributes
    ----------
    grid : VoxelGrid
        What is inside is told by its voxels, at their centres.
    """

    grid: VoxelGrid

    @cached_property
    def survey(self) -> Survey:
        """Nothing is unclear about a grid."""
        fill = self.grid.volume / float(np.prod(np.ptp(self.mesh.bounds, axis=0)))
        return Survey(fill=fill, unclear=0.0, overlap=0.0, undecided=0.0, difference=0.0)


def read_grid(grid: VoxelGrid) -> GridReading:
    """Find a grid's surface."""
    mesh = grid_surface(grid)
    faces = np.asarray(mesh.faces, dtype=np.int64)
    repaired = RepairedMesh(mesh, 0, 0, 0, 0, 0, 0, 0, faces, None, None)
    return GridReading(mesh, repaired, grid)


def grid_surface(grid: VoxelGrid) -> trimesh.Trimesh:
    """Mesh a grid by marching cubes between its voxels' centres, in the affine's units.

    The surface is closed and its normals point outwards; vertices are half-way between a voxel
    inside and one outside, also where that one is beyond the grid.
    """
    import trimesh

    box = grid.box
    occupied = grid.occupied[box]
    x, y, z = occupied.shape
    mesher = SlabMesher()
    for first in range(0, x + 1, _LAYERS):
        # Of the grid with a layer of outside all around it.
        layers = min(_LAYERS, x + 1 - first)
        low, high = max(first - 1, 0), min(first + layers, x)
        padding = [(low - first + 1, first + layers - high), (1, 1), (1, 1)]
        values = np.full((layers + 1, y + 2, z + 2), -1.0, dtype=np.float32)
        inner = values[padding[0][0] : padding[0][0] + high - low, 1:-1, 1:-1]
        inner[occupied[low:high]] = 1.0
        cells = np.ones((layers, y + 1, z + 1), dtype=np.bool_)
        mesher.add(values, cells, np.array([first, 0, 0]))
    vertices, faces = mesher.mesh()
    start = np.array([side.start for side in box]) - 1
    if grid.lattice.mirrors:
        faces = faces[:, ::-1]
    return trimesh.Trimesh(grid.lattice.to_world(vertices + start), faces, process=False)
