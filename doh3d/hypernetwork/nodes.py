"""The target network on the nodes of a lattice, whose encoding is looked up axis by axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import embedding_bag, one_hot

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights, encode_points, target_forward
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
        Nodes at a time. Matrix products round differently for other numbers of rows, so the
        last chunk is filled up, and a node's logit does not depend on the others asked for.
    team : ThreadTeam, optional
        Who computes.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        coordinates: Sequence[torch.Tensor],
        chunk: int,
        team: ThreadTeam | None = None,
    ) -> None:
        self._architecture, self._weights, self._chunk = architecture, weights, chunk
        self._team = team or ThreadTeam()
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
        chunks = nodes.split(self._chunk) if len(nodes) else ()
        values = [self._table.new_zeros(0)] * len(chunks)

        def evaluate(_: int, piece: int) -> None:
            values[piece] = self.of_chunk(chunks[piece])

        self._team.run(evaluate, len(chunks))
        return torch.cat([self._table.new_zeros(0), *values])

    @torch.no_grad()
    def of_chunk(self, nodes: torch.Tensor) -> torch.Tensor:
        """(N,) logits of no more nodes than a chunk has."""
        filling = nodes.new_zeros(self._chunk - len(nodes), nodes.shape[1])
        rows = torch.cat([nodes, filling]) + self._offsets
        features = embedding_bag(rows, self._table, mode="sum")
        logits = target_forward(self._architecture, self._weights, features)
        return logits.squeeze(1).narrow(0, 0, len(nodes))


class CellNodeLogits:
    """The same of a network with cells: each node's by the network of its cell.

    Parameters
    ----------
    architecture : Architecture
        With a partition.
    weights, coordinates, chunk, team
        As of `NodeLogits`; the chunk is that of one cell.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        coordinates: Sequence[torch.Tensor],
        chunk: int,
        team: ThreadTeam | None = None,
    ) -> None:
        partition = architecture.partition
        assert partition is not None
        self._partition = partition
        self._chunk = chunk
        self._team = team or ThreadTeam()
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
        pieces = [
            (network, torch.from_numpy(rows[first : first + self._chunk]).to(nodes.device))
            for network, rows in zip(self._cells, np.split(order, ends[:-1]), strict=True)
            for first in range(0, len(rows), self._chunk)
        ]

        def evaluate(_: int, piece: int) -> None:
            network, rows = pieces[piece]
            logits[rows] = network.of_chunk(nodes[rows])

        self._team.run(evaluate, len(pieces))
        return logits
