"""An occupancy field on the nodes of a lattice: its values there, and proofs of their signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.shape_code import BAND
from doh3d.geometry.lattice import Lattice
from doh3d.hypernetwork.bounds import LogitBounds
from doh3d.hypernetwork.nodes import NodeLogits
from doh3d.thread_team import ThreadTeam

if TYPE_CHECKING:
    from doh3d.field import OccupancyField

# Cells have fewer nodes each, and the last chunk of each cell is filled up. But of chunks smaller
# than this more time goes to each operation's overhead than to the arithmetic.
_LEAST_CHUNK = 2**11

# Evaluations of the network that bounding it over a block costs: eight products with each matrix
# on the way forward, one on the way back; one more for what lies between them.
_EVALUATIONS_OF_BOUNDS = 10


class OccupancyLattice:
    """An occupancy field on a lattice, as `doh3d.geometry.search.LatticeField` describes it.

    `check` is called with the multiplications so far, before those that come next; it may raise.
    """

    def __init__(
        self,
        field: OccupancyField,
        lattice: Lattice,
        check: Callable[[int], None] = lambda work: None,
        team: ThreadTeam | None = None,
    ) -> None:
        self._team = team or ThreadTeam()
        self.shape = lattice.shape
        self._check = check
        self._work = 0
        self._field = field
        self._lattice = lattice
        self._device = field.weights.biases[0].device
        coordinates = [lattice.coordinates(axis, np.arange(n)) for axis, n in enumerate(self.shape)]
        architecture = field.code.architecture
        self._logits = NodeLogits(
            architecture,
            field.weights,
            [self._tensor(axis) for axis in coordinates],
            max(field.chunk // architecture.cells, _LEAST_CHUNK),
            self._team,
            BAND,
        )
        half_extents = field.code.half_extents.astype(np.float32)
        self._beyond = [
            np.abs(axis) > half for axis, half in zip(coordinates, half_extents, strict=True)
        ]
        self._bounds: dict[int, LogitBounds] = {}

    @torch.no_grad()
    def logits(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(N,) logits of (N, 3) nodes, the same bits whichever the others are."""
        self._spend(len(nodes))
        values: npt.NDArray[np.float32] = self._logits(self._tensor(nodes)).cpu().numpy()
        for axis, beyond in enumerate(self._beyond):
            if beyond.any():
                values[beyond[nodes[:, axis]]] = -np.inf
        return values

    @torch.no_grad()
    def planes(self, corners: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float32]:
        """(2, B, 4) planes below the logit and its negation, over blocks of `size` cells."""
        self._spend(_EVALUATIONS_OF_BOUNDS * len(corners))
        planes = self._bounds_over(size).planes(self._tensor(corners // size), for_signs=True)
        return cast(npt.NDArray[np.float32], planes.cpu().numpy())

    def _spend(self, evaluations: int) -> None:
        self._work += evaluations * self._field.code.architecture.evaluation_cost
        self._check(self._work)

    def _bounds_over(self, size: int) -> LogitBounds:
        if size not in self._bounds:
            half = size * self._lattice.spacing / 2
            centres = [
                origin + half + 2 * half * np.arange(-(-n // size))
                for origin, n in zip(self._lattice.origin, self.shape, strict=True)
            ]
            self._bounds[size] = LogitBounds(
                self._field.code.architecture,
                self._field.weights,
                [self._tensor(axis.astype(np.float32)) for axis in centres],
                (half,) * 3,
                team=self._team,
                band=BAND,
            )
        return self._bounds[size]

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)
