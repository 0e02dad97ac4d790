"""The target network on the nodes of a lattice, whose encoding is looked up axis by axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import embedding_bag, one_hot

from doh3d.crew import Crew
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights, encode_points, target_forward


class NodeLogits:
    """Logits of lattice nodes: the same bits as `target_forward` has for these points.

    Parameters
    ----------
    architecture : Architecture
    weights : TargetWeights
    coordinates : three (n_d,) float32
        The nodes' normalised coordinates along each axis.
    chunk : int
        Nodes at a time. Matrix products round differently for other numbers of rows, so the
        last chunk is filled up, and a node's logit does not depend on the others asked for.
    crew : Crew, optional
        Who computes.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        coordinates: Sequence[torch.Tensor],
        chunk: int,
        crew: Crew | None = None,
    ) -> None:
        self._architecture, self._weights, self._chunk = architecture, weights, chunk
        self._crew = crew or Crew()
        dims = len(coordinates)
        tables = []
        for d, axis in enumerate(coordinates):
            own = one_hot(torch.tensor(d, device=axis.device), dims).to(axis.dtype)
            encoded = encode_points(architecture, axis.unsqueeze(1) * own)
            # Feature j depends on axis j mod d alone; the others' zeros add up exactly.
            tables.append(encoded * own.repeat(1 + 2 * architecture.octaves))
        self._table = torch.cat(tables)
        offsets = [sum(len(axis) for axis in coordinates[:d]) for d in range(dims)]
        self._offsets = torch.tensor(offsets, device=self._table.device)

    def __call__(self, nodes: torch.Tensor) -> torch.Tensor:
        """(N,) float32 logits of (N, 3) int64 node indices."""
        count = len(nodes)
        filling = nodes.new_zeros(-count % self._chunk, nodes.shape[1])
        rows = torch.cat([nodes, filling]) + self._offsets
        chunks = rows.split(self._chunk) if len(rows) else ()
        values = [self._table.new_zeros(0, 1)] * len(chunks)

        @torch.no_grad()
        def evaluate(_: int, piece: int) -> None:
            features = embedding_bag(chunks[piece], self._table, mode="sum")
            values[piece] = target_forward(self._architecture, self._weights, features)

        self._crew.run(evaluate, len(chunks))
        return torch.cat([self._table.new_zeros(0, 1), *values]).squeeze(1).narrow(0, 0, count)


class CellNodeLogits:
    """The same of a network with cells: each node's by the network of its cell.

    Parameters
    ----------
    architecture : Architecture
        With a partition.
    weights, coordinates, chunk, crew
        As of `NodeLogits`; the chunk is that of one cell.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        coordinates: Sequence[torch.Tensor],
        chunk: int,
        crew: Crew | None = None,
    ) -> None:
        partition = architecture.partition
        assert partition is not None
        self._partition = partition
        folded = [
            axis.abs() if d in architecture.mirrored else axis for d, axis in enumerate(coordinates)
        ]
        self._folded = [axis.cpu().numpy() for axis in folded]
        self._cells = [
            NodeLogits(
                architecture.of_a_cell,
                weights.of_cell(cell),
                [
                    (axis - float(centre)) / float(half)
                    for axis, centre, half in zip(
                        folded, partition.centres[cell], partition.half_sides[cell], strict=True
                    )
                ],
                chunk,
                crew,
            )
            for cell in range(partition.cells)
        ]

    def __call__(self, nodes: torch.Tensor) -> torch.Tensor:
        """(N,) float32 logits of (N, 3) int64 node indices."""
        on_host = nodes.cpu().numpy()
        points = np.stack([axis[on_host[:, d]] for d, axis in enumerate(self._folded)], axis=1)
        cells = self._partition.cell_of(points)
        order = np.argsort(cells, kind="stable")
        ends = np.cumsum(np.bincount(cells, minlength=len(self._cells)))
        logits = torch.empty(len(nodes), device=nodes.device)
        for network, rows in zip(self._cells, np.split(order, ends[:-1]), strict=True):
            if len(rows):
                own = torch.from_numpy(rows).to(nodes.device)
                logits[own] = network(nodes[own])
        return logits
