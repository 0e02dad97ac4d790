"""A field's surface as triangles in normalised coordinates, and the way from them to the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from doh3d.geometry.distance import SurfaceTree
from doh3d.operations.batches import in_batches
from doh3d.operations.normalized import NormalizedField, unit

if TYPE_CHECKING:
    import trimesh

FloatArray = npt.NDArray[np.float64]

# Points whose nearest place is sought at a time.
_POINTS = 2**16

# How far the field's surface may be from the triangles, in cells of their lattice; and how far the
# nearest place may then be from the one that is nearest on the triangles.
_REACH = 1.5

# Steps to a nearer place: the foot of the perpendicular to the tangent plane, and back onto the
# surface.
_STEPS = 2

# What is left of a cell between a place and the surface, by the logit's slope, where it counts as
# a place of the surface.
_ON_SURFACE = 0.01


class FieldSurface:
    """The surface of one field, by an extracted mesh and the field itself.

    Parameters
    ----------
    field : NormalizedField
    mesh : trimesh.Trimesh
        Extracted, in the mesh's own units; it has faces.
    cell : float
        Side of a cell of its lattice, in normalised units.
    """

    def __init__(self, field: NormalizedField, mesh: trimesh.Trimesh, cell: float) -> None:
        self._field, self._cell = field, cell
        vertices = field.code.transform.to_normalized(mesh.vertices)
        faces = np.asarray(mesh.faces, dtype=np.int64)
        self._triangles: FloatArray = vertices[faces]
        self._tree = SurfaceTree(vertices, faces)

    def nearest(self, points: torch.Tensor) -> torch.Tensor:
        """(N, 3) float64 places of the field's surface nearest to (N, 3) normalised points."""
        found = torch.empty(points.shape, dtype=torch.float64)

        def find(some: slice) -> None:
            own = points[some].cpu()
            start = self._tree.closest(own.numpy())
            found[some] = self._refined(self._field.place(own), torch.from_numpy(start)).cpu()

        in_batches(find, len(points), _POINTS)
        return found.to(points.device)

    def sample(self, count: int, seed: int) -> torch.Tensor:
        """(count, 3) float64 normalised places of the field's surface, uniform by area."""
        rng = np.random.default_rng(seed)
        origin, second, third = self._triangles.swapaxes(0, 1)
        areas = np.linalg.norm(np.cross(second - origin, third - origin), axis=1)
        face = rng.choice(len(areas), size=count, p=areas / areas.sum())
        weights = rng.random((count, 2))
        # Uniform in a parallelogram, its outer half folded back onto the triangle.
        outer = weights.sum(axis=1) > 1
        weights[outer] = 1 - weights[outer]
        first, other = weights[:, :1], weights[:, 1:]
        chosen = origin[face]
        chosen = chosen + first * (second[face] - chosen) + other * (third[face] - chosen)
        start, found = torch.from_numpy(chosen), torch.empty((count, 3), dtype=torch.float64)

        def move(some: slice) -> None:
            found[some] = self._on_field(start[some])[0].double().cpu()

        in_batches(move, count, _POINTS)
        return found

    @torch.no_grad()
    def _on_field(self, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Move places of the triangles onto the field; tell which are on the domain's faces."""
        places = self._field.place(start)
        snapped, closed = self._field.closed_at(places, self._cell)
        moved = self._field.to_surface(places, _REACH * self._cell)
        return torch.where(closed.unsqueeze(1), snapped, moved), closed

    @torch.no_grad()
    def _refined(self, points: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """(N, 3) float64 places on the field that are nearer to the points than others around."""
        field, reach = self._field, _REACH * self._cell
        places, closed = self._on_field(start)
        distance = (points - places).norm(dim=1)
        _, slopes = field.gradients(places)
        for _ in range(_STEPS):
            normals = unit(slopes)
            above = ((points - places) * normals).sum(dim=1, keepdim=True)
            along = points - above * normals - places
            length = along.norm(dim=1, keepdim=True)
            along = along * (reach / length.clamp_min(reach))
            moved = field.to_surface(places + along, reach)
            logits, moved_slopes = field.gradients(moved)
            left = logits.abs() / moved_slopes.norm(dim=1)
            moved_distance = (points - moved).norm(dim=1)
            nearer = (moved_distance < distance) & (left < _ON_SURFACE * self._cell) & ~closed
            places = torch.where(nearer.unsqueeze(1), moved, places)
            slopes = torch.where(nearer.unsqueeze(1), moved_slopes, slopes)
            distance = torch.where(nearer, moved_distance, distance)
        return places.double()
