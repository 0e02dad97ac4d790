"""Rays through blocks of proved sign, to the first place where the sign changes."""

from __future__ import annotations

import torch

from doh3d.operations.blocks import FINEST, SignedBlocks
from doh3d.operations.normalized import NormalizedField
from doh3d.operations.segments import Rays, Stretches, unproved

# By how much a ray is pushed over a face into the next block: above the rounding of places in the
# domain, which are 4 at most from where they are counted.
_OVER = 4e-6

# What is unproved of a block is looked at in so many places.
_LOOKS = 3

# A stretch whose ends differ is looked at, too, where it is a longer part of a leaf than this: the
# sign may change thrice.
_LONG = 0.25

# Stretches that are looked at more closely at a time.
_PIECES = 2**14


def first_changes(field: NormalizedField, blocks: SignedBlocks, rays: Rays) -> Stretches:
    """Find for each ray the first stretch with the other sign at its end.

    A ray steps over no part of the other sign that is longer than `blocks.finest`.

    Returns
    -------
    Stretches
        One for each ray that has one, in the rays' order; between its ends the sign changes.
    """
    found, doubtful = _walk(field, blocks, rays)
    # inf for the rays that have none.
    first, last = (found.first.new_full((len(rays),), torch.inf) for _ in range(2))
    _keep_nearest(first, last, found)
    for halvings in range(1, FINEST + 1):
        # What was merely looked at counts where it comes before what was found.
        doubtful = doubtful.of(doubtful.first < first[doubtful.rays])
        nearer, closer = [], []
        for start in range(0, len(doubtful.rays), _PIECES):
            piece = doubtful.of(slice(start, start + _PIECES))
            changed, left = _look_closer(field, blocks, rays, piece, halvings)
            nearer.append(changed)
            closer.append(left)
        _keep_nearest(first, last, Stretches.joined(nearer, field.device))
        doubtful = Stretches.joined(closer, field.device)
    hit = torch.isfinite(first).nonzero().squeeze(1)
    return Stretches(hit, first[hit], last[hit], torch.ones_like(hit, dtype=torch.bool))


def _keep_nearest(first: torch.Tensor, last: torch.Tensor, found: Stretches) -> None:
    """Write into (N,) ends of the rays' nearest stretches those that are nearer."""
    found = found.of(found.first < first[found.rays])
    first.scatter_reduce_(0, found.rays, found.first, "amin")
    found = found.of(found.first == first[found.rays])
    last[found.rays] = torch.inf
    last.scatter_reduce_(0, found.rays, found.last, "amin")


def _walk(field: NormalizedField, blocks: SignedBlocks, rays: Rays) -> tuple[Stretches, Stretches]:
    """Go from block to block until the sign has changed, or the domain ends.

    Returns the stretches with a change, and those that were looked at in vain.
    """
    found: list[Stretches] = []
    doubtful: list[Stretches] = []
    numbers = torch.arange(len(rays), device=field.device)
    at = torch.zeros_like(rays.ends)
    while len(numbers):
        cells = blocks.leaves_at(rays.at(at + _OVER))
        leaves = (cells * blocks.strides).sum(dim=0)
        codes = blocks.codes[leaves]
        exits = torch.maximum(_exits(blocks, rays, cells, codes), at + _OVER)
        exits = torch.minimum(exits, rays.ends)
        done = (codes != 0) & ((codes > 0) != rays.inside)
        if done.any():
            start = (at[done] - _OVER).clamp_min(0.0)
            found.append(Stretches(numbers[done], start, at[done] + _OVER, done[done]))
        open_ = (codes == 0).nonzero().squeeze(1)
        if len(open_):
            centres = blocks.low + (cells[:, open_] + 0.5) * blocks.side
            planes = blocks.planes[blocks.rows[leaves[open_]]]
            looked = _look(
                field,
                blocks,
                rays,
                planes,
                centres,
                blocks.side / 2,
                open_,
                at[open_],
                exits[open_],
            )
            done[looked[0].rays] = True
            for mine, all_ in zip(looked, (found, doubtful), strict=True):
                named = Stretches(numbers[mine.rays], mine.first, mine.last, mine.changes)
                all_.append(named)
        going = (~done & (exits < rays.ends)).nonzero().squeeze(1)
        rays, numbers, at = rays.of(going), numbers[going], exits[going]
    return Stretches.joined(found, field.device), Stretches.joined(doubtful, field.device)


def _exits(
    blocks: SignedBlocks, rays: Rays, cells: torch.Tensor, codes: torch.Tensor
) -> torch.Tensor:
    """(N,) distances at which rays leave the blocks that (3, N) leaves belong to."""
    levels = (codes.abs().long() - 1).clamp_min(0)
    corners = (cells >> levels) << levels
    faces = corners + (rays.directions > 0) * (1 << levels)
    exits = (blocks.low + faces * blocks.side - rays.origins) / rays.directions
    return exits.masked_fill(rays.directions == 0, torch.inf).amin(dim=0)


def _look(
    field: NormalizedField,
    blocks: SignedBlocks,
    rays: Rays,
    planes: torch.Tensor,
    centres: torch.Tensor,
    half_side: float,
    numbers: torch.Tensor,
    first: torch.Tensor,
    last: torch.Tensor,
) -> tuple[Stretches, Stretches]:
    """Find changes of sign within blocks, each met by one of `rays` as `numbers` says.

    Returns the stretches with a change, the first of each ray's block, and the unproved ones that
    seem to have none but are long.
    """
    own = rays.of(numbers)
    first, last, changes = unproved(own, planes, centres, half_side, first, last)
    looked = ((last > first) & ~(changes & (last - first <= _LONG * blocks.side))).nonzero()
    looked = looked.squeeze(1)
    own = own.of(looked)
    start, length = first[looked], (last - first)[looked]
    at_once = Rays(
        own.origins.repeat(1, _LOOKS),
        own.directions.repeat(1, _LOOKS),
        own.ends.repeat(_LOOKS),
        own.inside.repeat(_LOOKS),
    )
    shares = torch.arange(1, _LOOKS + 1, device=field.device).repeat_interleave(len(looked))
    places = start.repeat(_LOOKS) + length.repeat(_LOOKS) * (shares / _LOOKS)
    other = ((at_once.logits(field, places) > 0) != at_once.inside).view(_LOOKS, -1)
    other[-1] |= changes[looked]
    # The first place of the other sign; argmax finds the first of the largest.
    which = other.to(torch.uint8).argmax(dim=0)
    some = other.any(dim=0)
    changes[looked] = some
    first[looked] = torch.where(some, start + length * (which / _LOOKS), start)
    last[looked] = torch.where(some, start + length * ((which + 1) / _LOOKS), last[looked])
    doubtful = ~changes & (last - first > _LOOKS * blocks.finest)
    all_ = Stretches(numbers, first, last, changes)
    return all_.of(changes), all_.of(doubtful)


def _look_closer(
    field: NormalizedField,
    blocks: SignedBlocks,
    rays: Rays,
    doubtful: Stretches,
    halvings: int,
) -> tuple[Stretches, Stretches]:
    """Look at stretches in the halves of their blocks; returns what `_look` does."""
    side = blocks.side / 2**halvings
    own = rays.of(doubtful.rays)
    # Where they cross the middles of the blocks whose halves these are.
    parents = blocks.boxes_at(own.at((doubtful.first + doubtful.last) / 2), 2 * side)
    middles = blocks.low + (2 * parents + 1) * side
    cuts = (middles - own.origins) / own.directions
    cuts = torch.minimum(torch.maximum(cuts.nan_to_num(0.0), doubtful.first), doubtful.last)
    ends = torch.cat([doubtful.first[None], cuts.sort(dim=0).values, doubtful.last[None]])
    first, last = ends[:-1].flatten(), ends[1:].flatten()
    kept = (last - first > _OVER).nonzero().squeeze(1)
    first, last = first[kept], last[kept]
    numbers = doubtful.rays.repeat(len(ends) - 1)[kept]
    boxes = blocks.boxes_at(rays.of(numbers).at((first + last) / 2), side)
    planes = blocks.planes_of(boxes.T.contiguous(), halvings)
    centres = blocks.low + (boxes + 0.5) * side
    return _look(field, blocks, rays, planes, centres, side / 2, numbers, first, last)
