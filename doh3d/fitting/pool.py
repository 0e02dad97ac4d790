"""A signal's samples as its networks take them: by cell, and encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from doh3d.errors import ConfigError
from doh3d.fitting.signal import Samples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.cells import CellOrder, cells_of, to_cell_coordinates
from doh3d.hypernetwork.target import encode_coordinates, fold_points

# Points encoded at a time.
_CHUNK = 2**16


@dataclass(frozen=True)
class Pool:
    """As many samples of each cell, in the samples' order. One network is one cell.

    Attributes
    ----------
    coordinates : C tensors of (N, d) float32
        In the cells, see `to_cell_coordinates`.
    values : (C, N, out_dim) float32
    shares : (C,) float32
        What each cell had of all samples; their sum is 1.
    """

    coordinates: list[torch.Tensor]
    values: torch.Tensor
    shares: torch.Tensor

    @classmethod
    def of(cls, architecture: Architecture, samples: Samples) -> Pool:
        """Sort samples by cell.

        Raises
        ------
        ConfigError
            If a cell has none.
        """
        partition = architecture.partition
        points = fold_points(architecture, torch.from_numpy(samples.points))
        order = CellOrder.of(partition, cells_of(partition, points))
        by_cell = order.split(points)
        counts = [len(own) for own in by_cell]
        if not min(counts):
            raise ConfigError(
                f"{len(samples)} samples leave one of {partition.cells} cells empty; use more "
                "samples or fewer cells"
            )
        some, values = slice(min(counts)), order.split(torch.from_numpy(samples.values))
        return cls(
            [to_cell_coordinates(partition, own[some], cell) for cell, own in enumerate(by_cell)],
            torch.stack([own[some] for own in values]),
            (torch.tensor(counts, dtype=torch.float64) / len(samples)).to(torch.float32),
        )


@dataclass(frozen=True)
class EncodedPools:
    """The pools of S signals of C cells each, K = S C networks, on a device.

    Attributes
    ----------
    features : (K, M, encoded_dim) float32
    values : (K, M, out_dim) float32
    shares : (K,) float32
        Of each network in its signal's loss.
    """

    features: torch.Tensor
    values: torch.Tensor
    shares: torch.Tensor

    @classmethod
    def of(cls, cell: Architecture, pools: Sequence[Pool], device: torch.device) -> EncodedPools:
        """Encode pools, each as far as the shortest goes.

        Parameters
        ----------
        cell : Architecture
            Of each network.
        """
        length = min(pool.values.shape[1] for pool in pools)
        coordinates = [own[:length] for pool in pools for own in pool.coordinates]
        features = torch.empty((len(coordinates), length, cell.encoded_dim), device=device)
        for target, own in zip(features, coordinates, strict=True):
            for rows, part in zip(target.split(_CHUNK), own.split(_CHUNK), strict=True):
                rows.copy_(encode_coordinates(cell, part.to(device)))
        values = torch.cat([pool.values[:, :length] for pool in pools]).to(device)
        return cls(features, values, torch.cat([pool.shares for pool in pools]).to(device))


def encoded_by_cell(
    architecture: Architecture, samples: Samples
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield each cell's (N, encoded_dim) features and (N, out_dim) values; N may be 0."""
    partition = architecture.partition
    points = fold_points(architecture, torch.from_numpy(samples.points))
    order = CellOrder.of(partition, cells_of(partition, points))
    values = order.split(torch.from_numpy(samples.values))
    for cell, (own, own_values) in enumerate(zip(order.split(points), values, strict=True)):
        coordinates = to_cell_coordinates(partition, own, cell)
        yield encode_coordinates(architecture, coordinates), own_values
