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
        low, high = corners.unbind()
        # Beyond the whole box the outermost cells go on.
        low = low.masked_fill(low == low.amin(dim=0), -torch.inf)
        high = high.masked_fill(high == high.amax(dim=0), torch.inf)
        # (n, cells) for each axis: whether an interval of it reaches into a cell's.
        self._touching = []
        for d, (axis, half) in enumerate(zip(centres, half_sides, strict=True)):
            lowest, highest = axis - half - _TOUCHING, axis + half + _TOUCHING
            if d in architecture.mirrored:
                farthest = torch.maximum(lowest.abs(), highest.abs())
                nearest = torch.minimum(lowest.abs(), highest.abs())
                lowest = nearest.masked_fill((lowest < 0) & (highest > 0), 0.0)
                highest = farthest
            reaches_low = highest.unsqueeze(1) >= low.select(1, d)
            self._touching.append(reaches_low & (lowest.unsqueeze(1) <= high.select(1, d)))

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
        shared = (touching.sum(dim=1) > 1).nonzero().squeeze(1)
        tasks = [
            (bounds, rows)
            for cell, bounds in enumerate(self._cells)
            for rows in touching.select(1, cell).nonzero().squeeze(1).split(bounds.chunk)
            if len(rows)
        ]
        planes = self._touching[0].new_zeros((2, len(boxes), 4), dtype=torch.float32)
        of_tasks = [planes] * len(tasks)

        def bound(_: int, task: int) -> None:
            bounds, rows = tasks[task]
            of_tasks[task] = bounds.planes(boxes.index_select(0, rows), for_signs=for_signs)

        self._team.run(bound, len(tasks))
        for (_, rows), of_task in zip(tasks, of_tasks, strict=True):
            planes.index_copy_(1, rows, of_task)
        if len(shared):
            lowest = _lowest([rows for _, rows in tasks], of_tasks, len(boxes))
            planes[:, shared, 0] = lowest[:, shared]
            planes[:, shared, 1:] = 0.0
        return planes


def _lowest(
    rows: Sequence[torch.Tensor], planes: Sequence[torch.Tensor], count: int
) -> torch.Tensor:
    """(2, count) lowest numbers to which any of the (2, B, 4) planes of boxes' rows comes down."""
    lowest = torch.full((2, count), torch.inf, device=rows[0].device)
    for own, plane in zip(rows, planes, strict=True):
        level = plane[:, :, 0] - plane[:, :, 1:].abs().sum(dim=2)
        lowest[:, own] = torch.minimum(lowest[:, own], level)
    return lowest
