"""Range analysis of a network with cells: over each box, of the cells that it touches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.bounds import LogitBounds
from doh3d.hypernetwork.target import TargetWeights
from doh3d.thread_team import ThreadTeam

# By how much a box may miss a cell and still count as touching it, beyond any rounding.
_TOUCHING = 2.0**-18


class CellBounds:
    """Bounds of the logit over equal boxes, as `LogitBounds` has them.

    A box within one cell has that network's planes. One that reaches into several has the lowest
    number that any of their networks comes down to anywhere in it.

    Parameters
    ----------
    architecture : Architecture
        With a partition.
    weights, centres, half_sides, team
        As of `LogitBounds`.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        centres: Sequence[torch.Tensor],
        half_sides: Sequence[float],
        team: ThreadTeam | None = None,
    ) -> None:
        partition = architecture.partition
        assert partition is not None
        self._team = team or ThreadTeam()
        self._cells = [
            LogitBounds(architecture, weights, centres, half_sides, cell)
            for cell in range(partition.cells)
        ]
        corners = torch.from_numpy(partition.corners).to(centres[0].device)
        # (n, cells) for each axis: whether an interval of it reaches into a cell's.
        self._touching = []
        for d, (axis, half) in enumerate(zip(centres, half_sides, strict=True)):
            lowest, highest = axis - half - _TOUCHING, axis + half + _TOUCHING
            if d in architecture.mirrored:
                farthest = torch.maximum(lowest.abs(), highest.abs())
                nearest = torch.minimum(lowest.abs(), highest.abs())
                lowest = nearest.masked_fill((lowest < 0) & (highest > 0), 0.0)
                highest = farthest
            low, high = corners[0, :, d].clone(), corners[1, :, d].clone()
            # Beyond the whole box the outermost cells go on.
            low[low == low.min()] = -torch.inf
            high[high == high.max()] = torch.inf
            self._touching.append((highest[:, None] >= low) & (lowest[:, None] <= high))

    def planes(self, boxes: torch.Tensor, *, for_signs: bool = False) -> torch.Tensor:
        """Bound the logit of (B, 3) boxes; see `LogitBounds.planes`."""
        touching = torch.stack([axis[boxes[:, d]] for d, axis in enumerate(self._touching)]).all(
            dim=0
        )
        alone = touching.sum(dim=1) == 1
        found = self._touching[0].new_zeros((2, len(boxes), 4), dtype=torch.float32)
        found[:, :, 0] = torch.inf
        pieces = [
            (bounds, rows)
            for cell, bounds in enumerate(self._cells)
            for rows in touching[:, cell].nonzero().squeeze(1).split(bounds.chunk)
            if len(rows)
        ]
        planes = [found] * len(pieces)

        def bound(_: int, piece: int) -> None:
            bounds, rows = pieces[piece]
            planes[piece] = bounds.of_chunk(boxes[rows], for_signs=for_signs)

        self._team.run(bound, len(pieces))
        for (_, rows), of_rows in zip(pieces, planes, strict=True):
            within = alone[rows]
            found[:, rows[within]] = of_rows[:, within]
            shared = of_rows[:, ~within]
            lowest = shared[:, :, 0] - shared[:, :, 1:].abs().sum(dim=2)
            others = rows[~within]
            found[:, others, 0] = torch.minimum(found[:, others, 0], lowest)
        return found
