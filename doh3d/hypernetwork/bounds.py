"""Planes between which the logit stays over boxes of space: of each the cells that it touches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.cell_bounds import CellBounds
from doh3d.hypernetwork.target import TargetWeights
from doh3d.thread_team import ThreadTeam

# By how much a box may miss a cell and still count as touching it, beyond any rounding.
_TOUCHING = 2.0**-18


class LogitBounds:
    """Bounds of the logit over equal boxes that are aligned on a grid.

    A box within one cell has that network's planes. One that reaches into several has the lowest
    number that any of their networks comes down to anywhere in it.

    Parameters
    ----------
    architecture : Architecture
    weights : TargetWeights
        float32, on the device that will do the work.
    centres : three (n_d,) float32
        The boxes' centres along each axis, normalised coordinates.
    half_sides : three floats
        Half the boxes' sides.
    team : ThreadTeam, optional
        Who computes.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        centres: Sequence[torch.Tensor],
        half_sides: Sequence[float],
        team: ThreadTeam | None = None,
    ) -> None:
        self._team = team or ThreadTeam()
        self._cells = [
            CellBounds(architecture, weights, centres, half_sides, cell)
            for cell in range(architecture.cells)
        ]
        corners = torch.from_numpy(architecture.partition.corners).to(centres[0].device)
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
        """Bound the logit from below and from above.

        Parameters
        ----------
        boxes : (B, 3) int64
            Indices into the centres along each axis.
        for_signs : bool
            Whether level planes will do where these prove the sign already: they are quicker.

        Returns
        -------
        (2, B, 4) float32
            Planes p below the logit, and below the negated logit, at every point of each box:
            ``p[0] + p[1:] . t`` with t in [-1, 1]^3 from the box's lowest corner to its highest.
        """
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
            planes[piece] = bounds.planes(boxes[rows], for_signs=for_signs)

        self._team.run(bound, len(pieces))
        for (_, rows), of_rows in zip(pieces, planes, strict=True):
            within = alone[rows]
            found[:, rows[within]] = of_rows[:, within]
            shared = of_rows[:, ~within]
            lowest = shared[:, :, 0] - shared[:, :, 1:].abs().sum(dim=2)
            others = rows[~within]
            found[:, others, 0] = torch.minimum(found[:, others, 0], lowest)
        return found
