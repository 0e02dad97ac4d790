"""To which cells of a partition points belong, and where in them they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from doh3d.hypernetwork.partition import Partition


def cells_of(partition: Partition, points: torch.Tensor) -> torch.Tensor:
    """Find the cell whose box holds each of (N, d) folded points: (N,) uint8.

    A point on a cut is in the upper part. Beyond the box a point belongs to the cell that the cuts
    alone tell.
    """
    _, cells = _descend(partition, points, 0.0)
    return cells.to(torch.uint8)


def _descend(
    partition: Partition, points: torch.Tensor, band: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Go down the tree to the cells that (N, d) points are in, or nearer to than a band.

    Returns (M,) rows of the points and (M,) cells, int64. Without a band each point has one cell,
    and the rows are in order. With one there may be cells that a point is too far from.
    """
    device = points.device
    axes = torch.tensor([axis for axis, _ in partition.cuts], dtype=torch.int64, device=device)
    lower_ends, upper_starts = torch.from_numpy(partition.reaches(band)).to(device).unbind()
    rows = torch.arange(len(points), device=device)
    nodes = torch.zeros_like(rows)
    for _ in range(partition.levels):
        at = points[rows, axes[nodes]]
        upper = at >= upper_starts[nodes]
        both = (upper & (at < lower_ends[nodes])).nonzero().squeeze(1)
        others = 2 * nodes[both] + 1
        nodes = torch.cat([2 * nodes + 1 + upper, others])
        rows = torch.cat([rows, rows[both]])
    return rows, nodes - (partition.cells - 1)


@dataclass(frozen=True)
class CellOrder:
    """Which of N points each cell's network is asked for, cell after cell.

    Attributes
    ----------
    count : int
        N.
    order : (M,) int64, optional
        Rows of the points. None where they are the points in their own order: with one cell nothing
        is moved.
    firsts : list of int
        Where in it each cell but the first begins.
    weights : (M,) float32, optional
        Of each network's value in the mean of its point's. None where each point has one network.
    """

    count: int
    order: torch.Tensor | None
    firsts: list[int]
    weights: torch.Tensor | None = None

    @classmethod
    def of(cls, partition: Partition, points: torch.Tensor, band: float = 0.0) -> CellOrder:
        """Find the cells of (N, d) folded points, with a band those nearer than that, too.

        See `cell_weights` for the band.
        """
        count = len(points)
        if partition.cells == 1:
            return cls(count, None, [])
        rows, cells = _descend(partition, points, band)
        weights = None
        if band:
            # Most points have one cell, which has all the weight whatever it is.
            shared = (torch.bincount(rows, minlength=count) > 1)[rows].nonzero().squeeze(1)
            weights = points.new_ones(len(rows))
            weights[shared] = cell_weights(partition, points[rows[shared]], cells[shared], band)
            near = (weights > 0).nonzero().squeeze(1)
            rows, cells, weights = rows[near], cells[near], weights[near]
        # Few cells sort faster as bytes.
        ascending, order = cells.to(torch.uint8).sort(stable=True)
        later = torch.arange(1, partition.cells, dtype=torch.uint8, device=cells.device)
        firsts = torch.searchsorted(ascending, later).tolist()
        return cls(count, rows[order], firsts, None if weights is None else weights[order])

    def split(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Each cell's share of (N, ...) rows, which are the points' or belong to them."""
        if self.order is not None:
            rows = rows.index_select(0, self.order)
        return rows.tensor_split(self.firsts)

    def combine(self, values: torch.Tensor) -> torch.Tensor:
        """(N, ...) values of the points, of (M, ...) that the networks have, cell after cell."""
        if self.order is None:
            return values
        found = values.new_zeros((self.count, *values.shape[1:]))
        if self.weights is None:
            return found.index_copy_(0, self.order, values)
        weights = self.weights.view(-1, *[1] * (values.dim() - 1))
        sums = weights.new_zeros((self.count, *weights.shape[1:]))
        # Cell by cell no row comes twice, so that the order of the sums is always the same.
        for rows, own, weight in zip(
            self.order.tensor_split(self.firsts),
            values.tensor_split(self.firsts),
            weights.tensor_split(self.firsts),
            strict=True,
        ):
            found[rows] += own * weight
            sums[rows] += weight
        return found.div_(sums)


def cell_weights(
    partition: Partition, points: torch.Tensor, cells: torch.Tensor, band: float
) -> torch.Tensor:
    """Weights that the networks of (M,) cells have in the means at (M, d) folded points.

    Across each face that is not the box's own a network's weight falls from 1 to 0, from `band`
    half sides of the cell before the face to as much beyond it. Cells differ in size, so weights
    need not add up to 1: a mean divides by their sum, which is at least 1/2^d.

    Returns (M,) float32, 0 to 1.
    """
    device = points.device
    centres = torch.from_numpy(partition.centres).to(device)
    half_sides = torch.from_numpy(partition.half_sides).to(device)
    places = (points - centres[cells]) / half_sides[cells]
    low, high = torch.from_numpy(partition.corners).to(device)
    lowest, highest = low == low.amin(dim=0), high == high.amax(dim=0)
    is_outer = torch.where(places < 0, lowest[cells], highest[cells])
    shares = ((1 + band - places.abs()) / (2 * band)).clamp_(0.0, 1.0).masked_fill_(is_outer, 1.0)
    weights: torch.Tensor = shares.prod(dim=1)
    return weights


def to_cell_coordinates(partition: Partition, points: torch.Tensor, cell: int) -> torch.Tensor:
    """Coordinates of folded (N, d) points in a cell, whose corners are at -1 and 1."""
    centre = torch.from_numpy(partition.centres[cell]).to(points.device)
    return (points - centre) / torch.from_numpy(partition.half_sides[cell]).to(points.device)
