"""A signal's samples as its networks take them: by cell, and encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from doh3d.errors import ConfigError
from doh3d.fitting.signal import Samples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.cells import cells_of, to_cell_coordinates
from doh3d.hypernetwork.partition import Partition
from doh3d.hypernetwork.target import encode_coordinates, fold_points

# Points encoded at a time.
_CHUNK = 2**16


@dataclass(frozen=True)
class Pool:
    """As many samples for each cell, in the samples' order. One network is one cell.

    Where pools overlap, a cell's network is shown samples a little beyond its faces, too.
    Neighbours both learn the same of what is near the face between them, and so agree better
    there. Without that a surface has larger steps and creases where it crosses faces.

    Attributes
    ----------
    coordinates : C tensors of (N, d) float32
        In the cells, see `to_cell_coordinates`.
    values : (C, N, out_dim) float32
    shares : (C,) float32
        What of all samples lies in each cell itself; their sum is 1.
    """

    coordinates: list[torch.Tensor]
    values: torch.Tensor
    shares: torch.Tensor

    @classmethod
    def of(cls, architecture: Architecture, samples: Samples, overlap: float = 0.0) -> Pool:
        """Give each cell its samples, and those beyond its faces by up to `overlap` half sides.

        Raises
        ------
        ConfigError
            If a cell has none.
        """
        partition = architecture.partition
        points = fold_points(architecture, torch.from_numpy(samples.points))
        cells = cells_of(partition, points)
        counts = torch.bincount(cells.long(), minlength=partition.cells)
        if not counts.min():
            raise ConfigError(
                f"{len(samples)} samples leave one of {partition.cells} cells empty; use more "
                "samples or fewer cells"
            )
        rows = [
            _rows_within_reach(partition, points, cells, cell, overlap)
            for cell in range(partition.cells)
        ]
        length, values = min(map(len, rows)), torch.from_numpy(samples.values)
        coordinates = [
            to_cell_coordinates(partition, points[own[:length]], cell)
            for cell, own in enumerate(rows)
        ]
        return cls(
            coordinates,
            torch.stack([values[own[:length]] for own in rows]),
            (counts.to(torch.float64) / len(samples)).to(torch.float32),
        )


def _rows_within_reach(
    partition: Partition, points: torch.Tensor, cells: torch.Tensor, cell: int, overlap: float
) -> torch.Tensor:
    """Ascending rows of (N, d) folded points that are a cell's, or just beyond its faces."""
    within = cells == cell
    if overlap:
        inside = to_cell_coordinates(partition, points, cell)
        within |= (inside.abs() <= 1 + overlap).all(dim=1)
    return within.nonzero().squeeze(1)


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
    architecture: Architecture, samples: Samples, overlap: float
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (N, encoded_dim) features and (N, out_dim) values for each cell; N may be 0.

    They are those that `Pool.of` gives it.
    """
    partition, values = architecture.partition, torch.from_numpy(samples.values)
    points = fold_points(architecture, torch.from_numpy(samples.points))
    cells = cells_of(partition, points)
    for cell in range(partition.cells):
        rows = _rows_within_reach(partition, points, cells, cell, overlap)
        coordinates = to_cell_coordinates(partition, points[rows], cell)
        yield encode_coordinates(architecture, coordinates), values[rows]
