"""Samples of a signal whose domain is cut into cells, by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from doh3d.errors import ConfigError
from doh3d.fitting.signal import Samples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import encode_points, fold_points, place_in_cell

# Points encoded at a time.
_CHUNK = 2**16


@dataclass(frozen=True)
class CellSamples:
    """As many samples of each cell, in the samples' order.

    Attributes
    ----------
    places : K tensors of (N, d) float32
        Places in the cells, see `place_in_cell`.
    values : (K, N, out_dim) float32
    shares : (K,) float32
        What each cell had of all samples; their sum is 1.
    """

    places: list[torch.Tensor]
    values: torch.Tensor
    shares: torch.Tensor

    @classmethod
    def of(cls, architecture: Architecture, samples: Samples) -> CellSamples:
        """Sort samples by cell.

        Raises
        ------
        ConfigError
            If a cell has none.
        """
        partition = architecture.partition
        assert partition is not None
        points = fold_points(architecture, torch.from_numpy(samples.points))
        cells = partition.cell_of(points.numpy())
        counts = np.bincount(cells, minlength=partition.cells)
        if not counts.min():
            raise ConfigError(
                f"{len(samples)} samples leave one of {partition.cells} cells empty; use more "
                "samples or fewer cells"
            )
        order = np.argsort(cells, kind="stable")
        firsts = np.cumsum(counts) - counts
        rows = torch.from_numpy(order[firsts[:, None] + np.arange(counts.min())])
        return cls(
            [place_in_cell(partition, points[own], cell) for cell, own in enumerate(rows)],
            torch.from_numpy(samples.values)[rows],
            torch.from_numpy(counts / counts.sum()).to(torch.float32),
        )


def encode_chunks(architecture: Architecture, points: torch.Tensor) -> torch.Tensor:
    """Encode points as `encode_points`, some at a time."""
    return torch.cat([encode_points(architecture, part) for part in points.split(_CHUNK)])
