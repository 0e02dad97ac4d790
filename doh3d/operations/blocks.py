"""Blocks of the domain, large where the logit's sign is proved and small where it is not."""

from __future__ import annotations

import numpy as np
import torch

from doh3d.codec.shape_code import BAND
from doh3d.devices import full_precision
from doh3d.hypernetwork.bounds import LogitBounds
from doh3d.operations.normalized import NormalizedField
from doh3d.thread_team import ThreadTeam, team_of_all_threads

# Leaves along the domain's longest side, and how many of them a coarsest block has along a side.
LEAVES = 128
_COARSEST = 16

# How often a leaf may be halved by whoever looks closer.
FINEST = 4


class SignedBlocks:
    """An octree over the domain whose blocks have proved signs, down to leaves of one size.

    A block without a proof is a leaf, and has the two planes that were found for it.

    Attributes
    ----------
    low : (3, 1) float32
        The domain's lowest corner, normalised coordinates.
    side : float
        Of a leaf.
    counts : (3, 1) int64
        Leaves along each axis. The last may reach beyond the domain.
    codes : (leaves,) int8
        Of the block that a leaf belongs to: 1 plus the binary logarithm of its side in leaves,
        positive where all of it is inside, negative where all is outside. 0 without a proof.
    rows : (leaves,) int32
        Where a leaf without a proof has its planes.
    planes : (M, 2, 4) float32
        As `LogitBounds.planes` describes them.
    """

    def __init__(self, field: NormalizedField) -> None:
        self._field = field
        half = field.code.half_extents
        self.side = 2 * float(half.max()) / LEAVES
        counts = np.ceil(2 * half / self.side - 1e-9).astype(np.int64)
        device = field.device
        self.low = -field.half_extents.unsqueeze(1)
        self.counts = torch.from_numpy(counts).to(device).unsqueeze(1)
        blocks = [int(n) for n in -(-counts // _COARSEST)]
        self._padded = [_COARSEST * n for n in blocks]
        self.strides = torch.tensor(
            [[self._padded[1] * self._padded[2]], [self._padded[2]], [1]], device=device
        )
        leaves = int(np.prod(self._padded))
        self.codes = torch.full((leaves,), -1, dtype=torch.int8, device=device)
        self.rows = torch.zeros(leaves, dtype=torch.int32, device=device)
        self._bounds: dict[int, LogitBounds] = {}
        axes = [torch.arange(n, device=device) for n in blocks]
        self.planes = self._prove(torch.cartesian_prod(*axes))

    @property
    def finest(self) -> float:
        """Side of a leaf that is halved as often as can be."""
        return self.side / (1 << FINEST)

    def leaves_at(self, places: torch.Tensor) -> torch.Tensor:
        """(3, N) leaves that (3, N) places are in."""
        return self.boxes_at(places, self.side)

    def boxes_at(self, places: torch.Tensor, side: float) -> torch.Tensor:
        """(3, N) boxes of such a side, of leaves or halved ones, that (3, N) places are in."""
        most = (self.counts * round(self.side / side)) - 1
        found = ((places - self.low) / side).floor().long()
        return torch.minimum(found.clamp_min(0), most)

    @torch.no_grad()
    def planes_of(self, boxes: torch.Tensor, halvings: int) -> torch.Tensor:
        """(B, 2, 4) planes over (B, 3) boxes, of leaves that were halved so often."""
        if halvings not in self._bounds:
            self._bounds[halvings] = self._bounds_over(self.side / 2**halvings)
        with full_precision:
            planes = self._bounds[halvings].planes(boxes, for_signs=True)
        return planes.transpose(0, 1).contiguous()

    @torch.no_grad()
    def _prove(self, boxes: torch.Tensor) -> torch.Tensor:
        size = _COARSEST
        octants = torch.cartesian_prod(*[torch.arange(2, device=boxes.device)] * 3)
        while True:
            planes = self._planes_over(boxes, size)
            lowest = planes[:, :, 0] - planes[:, :, 1:].abs().sum(dim=2)
            positive, negative = (lowest > 0).unbind(dim=1)
            level = size.bit_length()
            self._fill(boxes[positive], size, level)
            self._fill(boxes[negative], size, -level)
            is_open = ~(positive | negative)
            boxes = boxes[is_open]
            if size == 1:
                break
            size //= 2
            boxes = (2 * boxes.unsqueeze(1) + octants).flatten(0, 1)
            inner = (boxes * size < self.counts.T).all(dim=1)
            boxes = boxes[inner]
        flat = boxes @ self.strides.squeeze(1)
        self.codes[flat] = 0
        self.rows[flat] = torch.arange(len(flat), dtype=torch.int32, device=flat.device)
        return planes[is_open]

    def _planes_over(self, boxes: torch.Tensor, size: int) -> torch.Tensor:
        with team_of_all_threads() as team:
            bounds = self._bounds_over(size * self.side, team)
            planes = bounds.planes(boxes, for_signs=True)
        return planes.transpose(0, 1).contiguous()

    def _bounds_over(self, side: float, team: ThreadTeam | None = None) -> LogitBounds:
        centres = []
        for low, count in zip(self.low.squeeze(1).tolist(), self.counts.tolist(), strict=True):
            boxes = np.ceil(count[0] * self.side / side - 1e-9)
            middles = low + side * (np.arange(boxes) + 0.5)
            centres.append(torch.from_numpy(middles.astype(np.float32)).to(self._field.device))
        architecture, weights = self._field.code.architecture, self._field.weights
        return LogitBounds(architecture, weights, centres, (side / 2,) * 3, team, BAND)

    def _fill(self, boxes: torch.Tensor, size: int, code: int) -> None:
        x, y, z = (n // size for n in self._padded)
        by_block = self.codes.view(x, size, y, size, z, size).permute(0, 2, 4, 1, 3, 5)
        i, j, k = boxes.unbind(dim=1)
        by_block[i, j, k] = code
