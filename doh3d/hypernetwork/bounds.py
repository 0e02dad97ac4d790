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

# Far above the share of its terms' size by which rounding puts a weighted mean of networks off.
_ROUNDING = 2.0**-18


class LogitBounds:
    """Bounds of the logit over equal boxes that are aligned on a grid.

    A box within one cell has that network's planes. One that reaches into several, or into the band
    where they are blended, has planes below any of their networks.

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
    band : float
        As `doh3d.hypernetwork.target.evaluate_points` has it: cells reach so far over their faces.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        centres: Sequence[torch.Tensor],
        half_sides: Sequence[float],
        team: ThreadTeam | None = None,
        band: float = 0.0,
    ) -> None:
        self._team = team or ThreadTeam()
        self._cells = [
            CellBounds(architecture, weights, centres, half_sides, cell)
            for cell in range(architecture.cells)
        ]
        partition, device = architecture.partition, centres[0].device
        low, high = torch.from_numpy(partition.corners).to(device).unbind()
        reach = band * torch.from_numpy(partition.half_sides).to(device)
        # Beyond the whole box the outermost cells go on.
        low = (low - reach).masked_fill(low == low.amin(dim=0), -torch.inf)
        high = (high + reach).masked_fill(high == high.amax(dim=0), torch.inf)
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
            planes.index_add_(1, rows, of_task)
        if len(shared):
            numbers = torch.full((len(boxes),), -1, device=boxes.device)
            numbers[shared] = torch.arange(len(shared), device=boxes.device)
            of_shared = []
            for (_, rows), of_task in zip(tasks, of_tasks, strict=True):
                own = numbers[rows]
                of_shared.append((own[own >= 0], of_task[:, own >= 0]))
            planes[:, shared] = _planes_of_means(of_shared, len(shared))
        return planes


def _planes_of_means(
    of_cells: Sequence[tuple[torch.Tensor, torch.Tensor]], count: int
) -> torch.Tensor:
    """Planes below any weighted means of several networks' values, and of these negated.

    Parameters
    ----------
    of_cells : sequence of (rows, planes)
        Which of `count` boxes, (B,) int64, and a network's planes there, (2, B, 4).

    Returns
    -------
    (2, count, 4) float32
        Level ones where all networks have one sign. Elsewhere the mean of the networks' planes, as
        far down as any of them comes below it.
    """
    planes = of_cells[0][1].new_zeros((2, count, 4))
    networks = planes.new_zeros(count)
    lowest = torch.full_like(planes[:, :, 0], torch.inf)
    largest = torch.zeros_like(networks)
    for rows, own in of_cells:
        planes.index_add_(1, rows, own)
        networks[rows] += 1
        tilt = own[:, :, 1:].abs().sum(dim=2)
        lowest[:, rows] = torch.minimum(lowest[:, rows], own[:, :, 0] - tilt)
        largest[rows] = torch.maximum(largest[rows], (own[:, :, 0].abs() + tilt).amax(dim=0))
    planes /= networks.unsqueeze(1)
    below = torch.full_like(lowest, torch.inf)
    for rows, own in of_cells:
        apart = own - planes[:, rows]
        drop = apart[:, :, 0] - apart[:, :, 1:].abs().sum(dim=2)
        below[:, rows] = torch.minimum(below[:, rows], drop)
    planes[:, :, 0] += below - largest * _ROUNDING
    # Sums of numbers above 0 are off by a share of themselves.
    proved = lowest > 0
    level = torch.zeros_like(planes)
    level[:, :, 0] = lowest * (1 - _ROUNDING)
    return torch.where(proved.unsqueeze(2), level, planes)
