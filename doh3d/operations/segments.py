"""Stretches of rays within blocks: what planes prove of them, and where the sign changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from doh3d.operations.normalized import NormalizedField

# The sign's change is known to so much: a step of Newton's method follows, not longer than this.
# Most brackets are parts of leaves where the logit is almost linear, and take two or three steps.
CLOSE = 4e-5
_MOST_STEPS = 40


@dataclass(frozen=True)
class Rays:
    """Rays from where they enter the domain to where they leave it, normalised coordinates.

    Attributes
    ----------
    origins, directions : (3, N) float32
        Directions have length 1.
    ends : (N,) float32
        Distance from the origin to where the domain ends.
    inside : (N,) bool
        Whether the origin is inside.
    """

    origins: torch.Tensor
    directions: torch.Tensor
    ends: torch.Tensor
    inside: torch.Tensor

    def __len__(self) -> int:
        """Return the number of rays."""
        return len(self.ends)

    def of(self, rays: torch.Tensor) -> Rays:
        """Keep some of the rays, by their (M,) numbers."""
        return Rays(
            self.origins.index_select(1, rays),
            self.directions.index_select(1, rays),
            self.ends.index_select(0, rays),
            self.inside.index_select(0, rays),
        )

    def at(self, distances: torch.Tensor) -> torch.Tensor:
        """(3, N) places at (N,) distances."""
        return torch.addcmul(self.origins, self.directions, distances)

    def logits(self, field: NormalizedField, distances: torch.Tensor) -> torch.Tensor:
        """(N,) logits there; rounding puts no place beyond the domain."""
        half = field.half_extents.unsqueeze(1)
        places = torch.minimum(torch.maximum(self.at(distances), -half), half)
        return field.logits(places.T.contiguous())


@dataclass(frozen=True)
class Stretches:
    """Parts of rays on which no sign is proved.

    Attributes
    ----------
    rays : (N,) int64
        Numbers of rays.
    first, last : (N,) float32
        Distances along them. Before `first` the sign is the origin's.
    changes : (N,) bool
        Whether the sign at `last` is proved to be the other.
    """

    rays: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    changes: torch.Tensor

    def of(self, some: torch.Tensor | slice) -> Stretches:
        """Keep some of them, by number, mask or slice."""
        return Stretches(self.rays[some], self.first[some], self.last[some], self.changes[some])

    @classmethod
    def joined(cls, parts: list[Stretches], device: torch.device) -> Stretches:
        """Put lists one after the other."""
        numbers = torch.zeros(0, dtype=torch.int64, device=device)
        distances = torch.zeros(0, device=device)
        parts = [cls(numbers, distances, distances, numbers > 0), *parts]
        return cls(
            torch.cat([part.rays for part in parts]),
            torch.cat([part.first for part in parts]),
            torch.cat([part.last for part in parts]),
            torch.cat([part.changes for part in parts]),
        )


def unproved(
    rays: Rays,
    planes: torch.Tensor,
    centres: torch.Tensor,
    half_side: float,
    first: torch.Tensor,
    last: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cut off what a block's planes prove to have the sign of the ray's origin.

    Along a ray a plane is linear, so what is left of a stretch is one stretch.

    Parameters
    ----------
    rays : Rays
    planes : (N, 2, 4) float32
        Of each ray's block, as `LogitBounds.planes` has them.
    centres : (3, N) float32
        Of the blocks.
    half_side : float
    first, last : (N,) float32
        Where the ray enters its block, and leaves it.

    Returns
    -------
    first, last : (N,) float32
        The same distance where nothing is left.
    changes : (N,) bool
        Whether the other sign is proved at `last`.
    """
    places = (rays.origins - centres) / half_side
    steps = rays.directions / half_side
    # (2, N) offsets and slopes of both planes along the ray; that of the origin's sign first.
    slopes = (planes[:, :, 1:] * steps.T.unsqueeze(1)).sum(dim=2)
    offsets = planes[:, :, 0] + (planes[:, :, 1:] * places.T.unsqueeze(1)).sum(dim=2)
    own = (~rays.inside).long().unsqueeze(1)
    own_slope, other_slope = (slopes.gather(1, index).squeeze(1) for index in (own, 1 - own))
    own_offset, other_offset = (offsets.gather(1, index).squeeze(1) for index in (own, 1 - own))
    at_first, at_last = own_offset + own_slope * first > 0, own_offset + own_slope * last > 0
    root = _between(-own_offset / own_slope, first, last)
    start = torch.where(at_first, torch.where(at_last, last, root), first)
    end = torch.where(at_last & ~at_first, root, last)
    at_start, at_end = other_offset + other_slope * start > 0, other_offset + other_slope * end > 0
    other_root = _between(-other_offset / other_slope, start, end)
    end = torch.where(at_start, start, torch.where(at_end, other_root, end))
    return start, end, at_start | at_end


def _between(values: torch.Tensor, lowest: torch.Tensor, highest: torch.Tensor) -> torch.Tensor:
    return torch.minimum(torch.maximum(values.nan_to_num(0.0), lowest), highest)


def crossings(field: NormalizedField, rays: Rays, found: Stretches) -> torch.Tensor:
    """Find a place where the sign changes in each of (N,) stretches at whose ends it differs.

    By false position with halved weights (Illinois; Dowell and Jarratt, BIT 1971).

    Returns (N,) float32 distances.
    """
    result = found.last.clone()
    numbers = torch.arange(len(rays), device=field.device)
    first, last = found.first, found.last
    at_first, at_last = rays.logits(field, first), rays.logits(field, last)
    kept = torch.zeros_like(first)
    for step in range(_MOST_STEPS):
        middle = last - at_last * (last - first) / (at_last - at_first)
        bad = ~((middle >= first) & (middle <= last))
        # Every fourth step halves the bracket, whatever the values are.
        middle = (
            torch.where(bad, (first + last) / 2, middle) if step % 4 != 3 else (first + last) / 2
        )
        result[numbers] = middle
        going = (last - first > CLOSE).nonzero().squeeze(1)
        if not len(going):
            break
        rays, numbers, middle = rays.of(going), numbers[going], middle[going]
        first, last, kept = first[going], last[going], kept[going]
        # Away from both ends, so that the other side of the change is seen too: a value near 0 at
        # an end may belong to another change, beyond it.
        middle = torch.maximum(torch.minimum(middle, last - CLOSE / 2), first + CLOSE / 2)
        value, at_first, at_last = rays.logits(field, middle), at_first[going], at_last[going]
        crossed = (value > 0) != rays.inside
        # The end that stays twice loses half its weight.
        at_first = torch.where(crossed & (kept > 0), at_first / 2, at_first)
        at_last = torch.where(~crossed & (kept < 0), at_last / 2, at_last)
        kept = torch.where(crossed, 1.0, -1.0)
        last, at_last = torch.where(crossed, middle, last), torch.where(crossed, value, at_last)
        first = torch.where(crossed, first, middle)
        at_first = torch.where(crossed, at_first, value)
    return result
