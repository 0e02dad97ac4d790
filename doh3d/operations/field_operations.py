"""The operations of an occupancy field, as methods. What computes is in the other modules here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import torch

from doh3d.errors import ConfigError
from doh3d.operations.batches import in_batches
from doh3d.operations.blocks import SignedBlocks
from doh3d.operations.inputs import Rows, check_count, read_pairs, read_rows, read_vector
from doh3d.operations.normalized import NormalizedField, unit
from doh3d.operations.rays import RayHits, cast
from doh3d.operations.slices import FieldSlice, cut
from doh3d.operations.surface import FieldSurface

if TYPE_CHECKING:
    import trimesh

Floats = npt.NDArray[np.floating]

_MOST_SAMPLES, _LEAST_SLICE, _MOST_SLICE = 2**26, 8, 4096


class FieldOperations(ABC):
    """What one can do with a field beside asking it; docs/fields.md shows each operation.

    Points are in the shape's own units, numpy arrays or torch tensors on any device, and results
    are of the same kind. Memory beside them is bounded whatever their number.
    """

    network: NormalizedField
    _surface: tuple[int, FieldSurface] | None = None

    @abstractmethod
    def to_mesh(self, resolution: int = 256) -> trimesh.Trimesh:
        """Extract the surface."""

    @overload
    def gradient(self, points: torch.Tensor) -> torch.Tensor: ...
    @overload
    def gradient(self, points: npt.ArrayLike) -> Floats: ...
    def gradient(self, points: Rows) -> Any:
        """Gradient of the logit by the point.

        To differentiate a function of the logits, use `logits` with torch's autograd.

        Parameters
        ----------
        points : (N, 3) float, numpy or torch
            In the shape's own units.

        Returns
        -------
        (N, 3) float
            Per unit of length, towards where the logit grows: inwards, at the surface. 0 beyond
            the domain.

        Raises
        ------
        ConfigError
            Points of another shape, or not finite. (It is a ValueError.)
        TypeError
            What is no number.

        Examples
        --------
        >>> field.gradient(field.bounds.mean(axis=0, keepdims=True)).shape
        (1, 3)
        """
        rows, kind = read_rows(points, "points")
        return kind.give(self._slopes(rows) / self.network.code.transform.scale)

    @overload
    def normals(self, points: torch.Tensor) -> torch.Tensor: ...
    @overload
    def normals(self, points: npt.ArrayLike) -> Floats: ...
    def normals(self, points: Rows) -> Any:
        """Find the surface's unit normals, outwards; elsewhere, those of a point's level set.

        Parameters
        ----------
        points : (N, 3) float, numpy or torch
            In the shape's own units; on the surface, or anywhere.

        Returns
        -------
        (N, 3) float
            Of length 1; 0 where the gradient is, as beyond the domain.

        Raises
        ------
        ConfigError, TypeError
            As `gradient`.

        Examples
        --------
        >>> points, _ = field.sample_surface(5)
        >>> np.linalg.norm(field.normals(points), axis=1).round(6).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
        """
        rows, kind = read_rows(points, "points")
        return kind.give(unit(-self._slopes(rows)))

    @overload
    def closest_points(self, points: torch.Tensor, *, resolution: int = 256) -> torch.Tensor: ...
    @overload
    def closest_points(self, points: npt.ArrayLike, *, resolution: int = 256) -> Floats: ...
    def closest_points(self, points: Rows, *, resolution: int = 256) -> Any:
        """Find the places of the surface that are nearest to points.

        The surface is the field's own, closed where the domain ends. The extracted mesh says about
        where it is, then the field where exactly. The mesh is kept for the next call.

        Parameters
        ----------
        points : (N, 3) float, numpy or torch
            In the shape's own units; anywhere.
        resolution : int
            Of the mesh, 8 to 1024. Parts that are thinner than a cell may be missed.

        Returns
        -------
        (N, 3) float
            In the shape's own units.

        Raises
        ------
        ConfigError, TypeError
            As `gradient` and `to_mesh`; or the field has no surface.

        Examples
        --------
        >>> above = field.bounds[1:] + 1
        >>> field.closest_points(above, resolution=64).shape
        (1, 3)
        """
        rows, kind = read_rows(points, "points")
        return kind.give(self._nearest(rows, resolution))

    @overload
    def signed_distance(self, points: torch.Tensor, *, resolution: int = 256) -> torch.Tensor: ...
    @overload
    def signed_distance(self, points: npt.ArrayLike, *, resolution: int = 256) -> Floats: ...
    @torch.inference_mode(False)
    def signed_distance(self, points: Rows, *, resolution: int = 256) -> Any:
        """Measure how far points are from the surface: negative inside, positive outside.

        trimesh's `signed_distance` has the opposite sign.

        It is the distance to `closest_points`. Within 5% of the longest side of the surface it
        differs from that to the mesh extracted at 512 by 0.01% of the longest side or less on
        average; docs/fields.md has the figures.

        Parameters
        ----------
        points : (N, 3) float, numpy or torch
            In the shape's own units; anywhere.
        resolution : int
            As `closest_points` has it.

        Returns
        -------
        (N,) float
            In the shape's own units. Not differentiable; its gradient is the direction from
            `closest_points`.

        Raises
        ------
        ConfigError, TypeError
            As `closest_points`.

        Examples
        --------
        >>> low, high = field.bounds
        >>> (field.signed_distance([(low + high) / 2, high], resolution=64) > 0).tolist()
        [False, True]
        """
        rows, kind = read_rows(points, "points")
        distance = (self._nearest(rows, resolution) - rows).norm(dim=1)
        inside = torch.empty(len(rows), dtype=torch.bool, device=rows.device)

        def ask(some: slice) -> None:
            with torch.no_grad():
                places = self.network.place(self.network.normalized(rows[some]))
                inside[some] = (self.network.logits(places) > 0).to(rows.device)

        in_batches(ask, len(rows), self._batch)
        return kind.give(torch.where(inside, -distance, distance))

    @torch.inference_mode(False)
    def ray_cast(self, origins: Rows, directions: Rows) -> RayHits:
        """Find where rays first meet the surface.

        The surface is the field's own, without a mesh: blocks of space whose sign is proved are
        passed at once, and others divided. No part of a ray in the solid, or of one in a hollow of
        it, is stepped over that is longer than 1/2,000 of the domain's longest side. A ray from
        inside ends where it leaves the solid. The blocks are kept for the next call.

        Parameters
        ----------
        origins : (N, 3) float, numpy or torch
            In the shape's own units; anywhere.
        directions : (N, 3) float, numpy or torch
            Of any length but 0.

        Returns
        -------
        RayHits
            Of the kind of the origins.

        Raises
        ------
        ConfigError, TypeError
            As `gradient`; or a direction is 0, or there are not as many of both.

        Examples
        --------
        >>> low, high = field.bounds
        >>> hits = field.ray_cast([high + 1, high + 1], [(low - high) / 2 - 1, [1, 0, 0]])
        >>> hits.hit.tolist()
        [True, False]
        """
        starts, along = read_pairs(origins, directions, ("origins", "directions"))
        _, kind = read_rows(origins, "origins")
        still = (along == 0).all(dim=1).nonzero()
        if len(still):
            raise ConfigError(f"directions: row {int(still[0])} is 0, 0, 0; it must not be")
        network, along = self.network, unit(along)
        distances, normals = cast(
            network, self._blocks, network.normalized(starts), network.in_frame(along)
        )
        distances = distances * network.code.transform.scale
        hit = torch.isfinite(distances)
        points = (starts + along * distances.unsqueeze(1)).masked_fill(~hit[:, None], torch.nan)
        return RayHits(
            kind.give(hit),
            kind.give(distances),
            kind.give(points),
            kind.give(network.out_of_frame(normals)),
        )

    @torch.inference_mode(False)
    def sample_surface(
        self, n: int, seed: int = 0, *, resolution: int = 256
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Draw places of the surface, uniform by area, with their normals.

        They are drawn on the extracted mesh and moved onto the field's own surface.

        Parameters
        ----------
        n : int
            0 to 2^26.
        seed : int
            0 or more; the same seed gives the same places on the same machine.
        resolution : int
            As `closest_points` has it.

        Returns
        -------
        points : (n, 3) float64
            In the shape's own units.
        normals : (n, 3) float64
            Outwards, of length 1.

        Raises
        ------
        ConfigError
            `n` or `seed` out of its range; as `to_mesh`; or the field has no surface.
        TypeError
            `n` or `seed` is no whole number.

        Examples
        --------
        >>> points, normals = field.sample_surface(100, seed=1, resolution=64)
        >>> points.shape, normals.shape
        ((100, 3), (100, 3))
        """
        check_count(n, "n", 0, _MOST_SAMPLES)
        check_count(seed, "seed", 0, 2**63)
        places = self._surface_at(resolution).sample(int(n), int(seed))
        points = self.network.to_world(places)
        return points.numpy(), self.normals(points).numpy()

    def volume(self, *, resolution: int = 256) -> float:
        """Measure the volume of the inside, by the extracted mesh.

        Parameters
        ----------
        resolution : int
            8 to 1024; docs/fields.md has the errors.

        Returns
        -------
        float
            In the shape's own units cubed; 0 where nothing is inside.

        Raises
        ------
        ConfigError
            As `to_mesh`.

        Examples
        --------
        >>> bool(0 < field.volume(resolution=64) < np.ptp(field.bounds, axis=0).prod())
        True
        """
        mesh, transform = self.to_mesh(resolution), self.network.code.transform
        # Around the middle: far from the origin digits would be lost.
        corners = transform.to_normalized(mesh.vertices)[mesh.faces]
        one, second, third = corners.swapaxes(0, 1)
        six = np.einsum("ij,ij->", one, np.cross(second, third))
        return float(six) / 6 * transform.scale**3

    def slice(
        self,
        normal: Sequence[float] | npt.ArrayLike,
        origin: Sequence[float] | npt.ArrayLike | None = None,
        *,
        resolution: int = 512,
    ) -> FieldSlice:
        """Cut the field with a plane: a picture of the section, its outlines and its area.

        Parameters
        ----------
        normal : three floats
            Across the plane, of any length but 0.
        origin : three floats, optional
            A place of the plane, in the shape's own units; the domain's middle unless given.
        resolution : int
            Nodes along the longer side of what the plane shows of the domain, 8 to 4096. Outlines
            are linear between nodes.

        Returns
        -------
        FieldSlice
            Without polygons where the plane meets nothing.

        Raises
        ------
        ConfigError
            `normal`, `origin` or `resolution` out of its range.
        TypeError
            What is no number.

        Examples
        --------
        >>> section = field.slice((0, 0, 1), resolution=128)
        >>> len(section.polygons), section.area > 0
        (1, True)
        """
        across = read_vector(normal, "normal")
        check_count(resolution, "resolution", _LEAST_SLICE, _MOST_SLICE)
        middle = self.network.code.transform.centre if origin is None else origin
        return cut(self.network, read_vector(middle, "origin"), across, resolution)

    @torch.inference_mode(False)
    def _slopes(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, 3) float64 gradients in normalised units, along the shape's own axes."""
        network = self.network
        found = torch.empty_like(rows)

        def differentiate(some: slice) -> None:
            _, slopes = network.gradients(network.place(network.normalized(rows[some])))
            found[some] = network.out_of_frame(slopes.to(rows.device).double())

        in_batches(differentiate, len(rows), self._batch)
        return found

    @torch.inference_mode(False)
    def _nearest(self, rows: torch.Tensor, resolution: int) -> torch.Tensor:
        surface = self._surface_at(resolution)
        return self.network.to_world(surface.nearest(self.network.normalized(rows)))

    def _surface_at(self, resolution: int) -> FieldSurface:
        if self._surface is None or self._surface[0] != resolution:
            mesh = self.to_mesh(resolution)
            if not len(mesh.faces):
                raise ConfigError(f"the field has no surface at resolution {resolution}")
            cell = 2 * float(self.network.code.half_extents.max()) / resolution
            self._surface = resolution, FieldSurface(self.network, mesh, cell)
        return self._surface[1]

    @cached_property
    def _blocks(self) -> SignedBlocks:
        return SignedBlocks(self.network)

    @property
    def _batch(self) -> int:
        """Points that one thread takes at a time: many chunks of each cell."""
        return 4 * self.network.chunk * self.network.code.architecture.cells
