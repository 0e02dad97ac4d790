"""The target network on the nodes of a lattice, whose encoding is looked up axis by axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import embedding_bag

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.cells import CellOrder, to_cell_coordinates
from doh3d.hypernetwork.target import TargetWeights, encode_coordinates, fold_points, target_forward
from doh3d.thread_team import ThreadTeam


class NodeLogits:
    """Logits of lattice nodes: the same bits as `target_forward` has for these points.

    Parameters
    ----------
    architecture : Architecture
    weights : TargetWeights
    coordinates : three (n_d,) float32
        The nodes' normalised coordinates along each axis.
    chunk : int
        Nodes of a cell at a time. Matrix products round differently for other numbers of rows, so
        the last chunk is filled up, and a node's logit does not depend on the others asked for.
    team : ThreadTeam, optional
        Who computes.
    band : float
        As `evaluate_points` has it.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        coordinates: Sequence[torch.Tensor],
        chunk: int,
        team: ThreadTeam | None = None,
        band: float = 0.0,
    ) -> None:
        self._architecture, self._chunk, self._band = architecture, chunk, band
        self._team = team or ThreadTeam()
        columns = [axis.unsqueeze(1) for axis in coordinates]
        # A point for each coordinate, the other axes' being 0.
        points = fold_points(architecture, torch.block_diag(*columns))
        own = torch.block_diag(*[torch.ones_like(column) for column in columns])
        self._coordinates = points.sum(dim=1)
        lengths = [len(axis) for axis in coordinates]
        firsts = [sum(lengths[:d]) for d in range(len(lengths))]
        self._firsts = torch.tensor(firsts, device=points.device)
        # Feature j depends on axis j mod d alone; the others' zeros add up exactly.
        mask = own.repeat(1, 1 + 2 * architecture.octaves)
        partition = architecture.partition
        self._tables = [
            encode_coordinates(architecture, to_cell_coordinates(partition, points, cell)) * mask
            for cell in range(partition.cells)
        ]
        self._layers = [weights.of_cell(cell) for cell in range(partition.cells)]

    def __call__(self, nodes: torch.Tensor) -> torch.Tensor:
        """(N,) float32 logits of (N, 3) int64 node indices."""
        points = self._coordinates.take(nodes + self._firsts)
        order = CellOrder.of(self._architecture.partition, points, self._band)
        tasks = [
            (cell, chunk)
            for cell, own in enumerate(order.split(nodes))
            if len(own)
            for chunk in own.split(self._chunk)
        ]
        logits = [self._coordinates.new_zeros(0)] * len(tasks)

        def evaluate(_: int, task: int) -> None:
            logits[task] = self._of_chunk(*tasks[task])

        self._team.run(evaluate, len(tasks))
        return order.combine(torch.cat([self._coordinates.new_zeros(0), *logits]))

    @torch.no_grad()
    def _of_chunk(self, cell: int, nodes: torch.Tensor) -> torch.Tensor:
        """(N,) logits of no more nodes than a chunk has, by one cell's network."""
        filling = nodes.new_zeros(self._chunk - len(nodes), nodes.shape[1])
        rows = torch.cat([nodes, filling]) + self._firsts
        features = embedding_bag(rows, self._tables[cell], mode="sum")
        logits = target_forward(self._architecture, self._layers[cell], features)
        return logits.squeeze(1).narrow(0, 0, len(nodes))
