"""To which cell of a partition points belong, and where in it they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from doh3d.hypernetwork.partition import Partition


def cells_of(partition: Partition, points: torch.Tensor) -> torch.Tensor:
    """Find the cells of (N, d) folded points; see `descend`."""
    return descend(partition, points, lambda axes: take_along(points, axes))


def descend(
    partition: Partition, points: torch.Tensor, coordinates: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Go down the tree to each point's cell: to the upper side where a coordinate is the cut's.

    Beyond the box a point belongs to the cell that the cuts alone tell. `coordinates` gives each
    of the N points' coordinate along an axis of its own, (N,) int64. Returns (N,) uint8.
    """
    device = points.device
    axes = torch.tensor([axis for axis, _ in partition.cuts], dtype=torch.int64, device=device)
    thresholds = torch.from_numpy(partition.thresholds).to(device)
    node = torch.zeros(len(points), dtype=torch.int64, device=device)
    for _ in range(partition.levels):
        upper = coordinates(axes[node]) >= thresholds[node]
        node = 2 * node + 1 + upper
    return (node - (partition.cells - 1)).to(torch.uint8)


def take_along(rows: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """(N,) numbers of (N, d) rows, each of the column that (N,) int64 axes name."""
    return rows.gather(1, axes.unsqueeze(1)).squeeze(1)


@dataclass(frozen=True)
class CellOrder:
    """The order of N points in which their cells ascend; those of one cell keep theirs.

    Attributes
    ----------
    order : (N,) int64, optional
        None where it is the points' own: with one cell nothing is moved.
    firsts : list of int
        Where in it each cell but the first begins.
    """

    order: torch.Tensor | None
    firsts: list[int]

    @classmethod
    def of(cls, partition: Partition, cells: torch.Tensor) -> CellOrder:
        """Sort points by their (N,) cells."""
        if partition.cells == 1:
            return cls(None, [])
        ascending, order = cells.sort(stable=True)
        later = torch.arange(1, partition.cells, dtype=cells.dtype, device=cells.device)
        return cls(order, torch.searchsorted(ascending, later).tolist())

    def split(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Each cell's share of (N, ...) rows, which are the points' or belong to them."""
        if self.order is not None:
            rows = rows.index_select(0, self.order)
        return rows.tensor_split(self.firsts)

    def restore(self, rows: torch.Tensor) -> torch.Tensor:
        """Bring (N, ...) rows, cell after cell, into the points' own order."""
        if self.order is None:
            return rows
        return torch.empty_like(rows).index_copy(0, self.order, rows)


def to_cell_coordinates(partition: Partition, points: torch.Tensor, cell: int) -> torch.Tensor:
    """Coordinates of folded (N, d) points in a cell, whose corners are at -1 and 1."""
    centre = torch.from_numpy(partition.centres[cell]).to(points.device)
    return (points - centre) / torch.from_numpy(partition.half_sides[cell]).to(points.device)
