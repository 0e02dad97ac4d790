"""Where rays first meet a field's surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from doh3d.operations.batches import in_batches
from doh3d.operations.blocks import SignedBlocks
from doh3d.operations.normalized import NormalizedField, unit
from doh3d.operations.segments import CLOSE, Rays, crossings
from doh3d.operations.walk import first_changes

# Rays at a time: with fewer, most time goes to each operation's overhead. These take some 100 MB.
_CPU_RAYS = 2**18
_DEVICE_RAYS = 2**20


@dataclass(frozen=True)
class RayHits:
    """Where N rays first meet a surface: numpy arrays or tensors, as the rays were.

    Attributes
    ----------
    hit : (N,) bool
        Whether a ray meets the surface.
    distance : (N,) float
        From the origin, in the shape's own units whatever the direction's length; inf where there
        is no hit.
    points : (N, 3) float
        Where, in the shape's own units; NaN where there is no hit.
    normals : (N, 3) float
        The surface's unit normals there, outwards, also where a ray comes from inside; NaN where
        there is no hit.
    """

    hit: Any
    distance: Any
    points: Any
    normals: Any


def cast(
    field: NormalizedField, blocks: SignedBlocks, origins: torch.Tensor, directions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Follow rays to the field's surface.

    Parameters
    ----------
    field : NormalizedField
    blocks : SignedBlocks
        The field's.
    origins, directions : (N, 3) float64
        Normalised coordinates; directions have length 1.

    Returns
    -------
    distances : (N,) float64
        In normalised units; inf where there is no hit.
    normals : (N, 3) float64
        In the frame's axes; NaN where there is no hit.
    """
    distances = origins.new_full((len(origins),), torch.inf)
    normals = torch.full_like(origins, torch.nan)
    size = _CPU_RAYS if field.device.type == "cpu" else _DEVICE_RAYS

    def cast_some(some: slice) -> None:
        _cast(field, blocks, origins[some], directions[some], distances[some], normals[some])

    in_batches(cast_some, len(origins), size)
    return distances, normals


@torch.no_grad()
def _cast(
    field: NormalizedField,
    blocks: SignedBlocks,
    origins: torch.Tensor,
    directions: torch.Tensor,
    distances: torch.Tensor,
    normals: torch.Tensor,
) -> None:
    """Write distances and normals of some rays."""
    half = field.half_extents.to(origins)
    enter, leave, enter_axis, leave_axis = _through_box(half, origins, directions)
    meets = (leave > enter).nonzero().squeeze(1)
    enter, leave = enter[meets], leave[meets]
    starts = origins[meets] + directions[meets] * enter[:, None]
    starts = torch.minimum(torch.maximum(starts, -half), half)
    inside = field.logits(field.place(starts)) > 0
    rays = Rays(
        field.place(starts).T.contiguous(),
        field.place(directions[meets]).T.contiguous(),
        (leave - enter).to(torch.float32).to(field.device),
        inside,
    )
    # What is inside at the domain's faces is closed there: beyond, everything is outside.
    entering = inside & (enter > 0).to(field.device)
    _at_faces(distances, normals, meets, entering, enter, enter_axis, -directions)
    walking = (~entering).nonzero().squeeze(1)
    found = first_changes(field, blocks, rays.of(walking))
    changed = rays.of(walking[found.rays])
    local = crossings(field, changed, found)
    logits, slopes = field.gradients(changed.at(local).T.contiguous())
    # A step of Newton's method along the ray.
    along = (slopes * changed.directions.T).sum(dim=1)
    better = local - logits / along
    local = torch.where((better - local).abs() <= CLOSE, better, local)
    rows = walking[found.rays].to(origins.device)
    distances[meets[rows]] = enter[rows] + local.to(origins)
    normals[meets[rows]] = -unit(slopes).to(origins)
    leaving = inside & ~entering
    leaving[walking[found.rays]] = False
    _at_faces(distances, normals, meets, leaving, leave, leave_axis, directions)


def _through_box(
    half: torch.Tensor, origins: torch.Tensor, directions: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """(N,) distances at which rays enter and leave a box around 0, and the axes of the faces.

    A ray that begins within enters at 0; one that misses leaves before it enters.
    """
    low, high = (-half - origins) / directions, (half - origins) / directions
    level = directions == 0
    beyond = level & (origins.abs() > half)
    near = torch.minimum(low, high).masked_fill(level, -torch.inf).masked_fill(beyond, torch.inf)
    far = torch.maximum(low, high).masked_fill(level, torch.inf).masked_fill(beyond, -torch.inf)
    enter, enter_axis = near.max(dim=1)
    leave, leave_axis = far.min(dim=1)
    return enter.clamp_min(0.0), leave, enter_axis, leave_axis


def _at_faces(
    distances: torch.Tensor,
    normals: torch.Tensor,
    meets: torch.Tensor,
    chosen: torch.Tensor,
    at: torch.Tensor,
    axes: torch.Tensor,
    outwards: torch.Tensor,
) -> None:
    """Write the hits of some of the rays that meet the domain on the domain's own faces."""
    rows = chosen.to(meets.device).nonzero().squeeze(1)
    numbers = meets[rows]
    axis = axes[numbers].unsqueeze(1)
    distances[numbers] = at[rows]
    flat = torch.zeros_like(normals[numbers])
    normals[numbers] = flat.scatter_(1, axis, outwards[numbers].gather(1, axis).sign())
