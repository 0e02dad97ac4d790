"""A shape's network in normalised coordinates: values, gradients, and the way to its surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from doh3d.codec.shape_code import BAND, ShapeCode
from doh3d.devices import full_precision
from doh3d.geometry.rotation import NO_FRAME
from doh3d.geometry.transform import FAR
from doh3d.hypernetwork.target import TargetWeights, evaluate_points

# Points that are differentiated at a time, at most: a graph of so many takes some hundred MB.
_MOST_DIFFERENTIATED = 2**19

# Steps of Newton's method from a place that is a cell of a lattice off at most.
_NEWTON_STEPS = 2


@dataclass(frozen=True)
class NormalizedField:
    """One shape's logit as a function of normalised coordinates.

    Attributes
    ----------
    code : ShapeCode
    weights : TargetWeights
        float32, on the device that does the work.
    chunk : int
        Points evaluated at a time.
    """

    code: ShapeCode
    weights: TargetWeights
    chunk: int

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.weights.biases[0].device

    @cached_property
    def half_extents(self) -> torch.Tensor:
        """(3,) float32 half sides of the domain."""
        return torch.from_numpy(self.code.half_extents.astype(np.float32)).to(self.device)

    def normalized(self, points: torch.Tensor) -> torch.Tensor:
        """(N, 3) normalised float64 points, of float64 ones in the mesh's own units and axes."""
        transform = self.code.transform
        centre = torch.tensor(transform.centre, dtype=torch.float64, device=points.device)
        normalized = (points - centre) / transform.scale
        if transform.frame == NO_FRAME:
            return normalized
        return self.in_frame(normalized.clamp(-FAR, FAR))

    def in_frame(self, vectors: torch.Tensor) -> torch.Tensor:
        """(N, 3) float64 vectors along the frame's axes, of ones along the mesh's own."""
        if self.code.transform.frame == NO_FRAME:
            return vectors
        rotation = torch.from_numpy(self.code.transform.rotation).to(vectors.device)
        return (vectors[:, :, None] * rotation).sum(dim=1)

    def out_of_frame(self, vectors: torch.Tensor) -> torch.Tensor:
        """(N, 3) float64 vectors along the mesh's own axes, of ones along the frame's."""
        if self.code.transform.frame == NO_FRAME:
            return vectors
        rotation = torch.from_numpy(self.code.transform.rotation).to(vectors.device)
        return (vectors[:, None, :] * rotation).sum(dim=2)

    def to_world(self, points: torch.Tensor) -> torch.Tensor:
        """(N, 3) float64 points in the mesh's own units and axes, of normalised ones."""
        transform = self.code.transform
        centre = torch.tensor(transform.centre, dtype=torch.float64, device=points.device)
        return self.out_of_frame(points) * transform.scale + centre

    def place(self, points: torch.Tensor) -> torch.Tensor:
        """Put float64 points where the network takes them: float32, on its device."""
        return points.to(torch.float32).to(self.device)

    def logits(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) logits of (N, 3) float32 points on the device; -inf beyond the domain."""
        architecture = self.code.architecture
        with full_precision:
            values = evaluate_points(architecture, self.weights, points, self.chunk, BAND)
        beyond = (points.abs() > self.half_extents).any(dim=1)
        logits: torch.Tensor = values.squeeze(1).masked_fill(beyond, -torch.inf)
        return logits

    def gradients(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N,) logits and their (N, 3) gradients, by autograd; 0 beyond the domain.

        Memory does not grow with the points but for what is returned.
        """
        size = min(self.chunk * self.code.architecture.cells, _MOST_DIFFERENTIATED)
        # Whoever calls may have switched autograd off, even for all that is made meanwhile.
        with torch.inference_mode(False), torch.enable_grad():
            logits, gradients = points.new_empty(len(points)), torch.empty_like(points)
            for start in range(0, len(points), size):
                some = points[start : start + size].detach().clone().requires_grad_()
                values = self.logits(some)
                (slopes,) = torch.autograd.grad(values.sum(), some)
                logits[start : start + size] = values.detach()
                gradients[start : start + size] = slopes
        return logits, gradients

    def closed_at(self, points: torch.Tensor, cell: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Find out which (N, 3) float32 points of a mesh only close it at the domain's end.

        Where the inside reaches the end, a mesh is closed half a cell of its lattice before.

        Returns
        -------
        places : (N, 3) float32
            The points, with those coordinates at the end that are less than a cell from it.
        closed : (N,) bool
            Whether there are such coordinates, and the place is inside.
        """
        near = self.half_extents - points.abs() < cell
        places = torch.where(near, self.half_extents.copysign(points), points)
        closed = near.any(dim=1)
        closed[closed.clone()] = self.logits(places[closed]) > 0
        return places, closed

    def to_surface(self, points: torch.Tensor, reach: float) -> torch.Tensor:
        """Move (N, 3) float32 points along the gradient onto the level set where the logit is 0.

        Points that would go farther than `reach`, or that come no nearer to 0, stay.
        """
        logits, slopes = self.gradients(points)
        first, moved = logits, points
        for step in range(_NEWTON_STEPS):
            squared = (slopes * slopes).sum(dim=1).clamp_min(1e-30)
            moved = moved - slopes * (logits / squared).nan_to_num(0.0, 0.0, 0.0).unsqueeze(1)
            if step < _NEWTON_STEPS - 1:
                logits, slopes = self.gradients(moved)
            else:
                logits = self.logits(moved)
        found = ((moved - points).norm(dim=1) <= reach) & (logits.abs() <= first.abs())
        return torch.where(found.unsqueeze(1), moved, points)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """(N, 3) vectors of length 1 along others; 0 of those whose length is 0 or not finite."""
    longest = vectors.abs().amax(dim=1, keepdim=True)
    # Scaled first, so that no square overflows or vanishes.
    scaled = (vectors / longest).nan_to_num(0.0, 0.0, 0.0)
    found: torch.Tensor = (scaled / scaled.norm(dim=1, keepdim=True)).nan_to_num(0.0, 0.0, 0.0)
    return found
