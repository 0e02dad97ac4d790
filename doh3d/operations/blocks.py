"""Blocks of the domain, large where the logit's sign is proved and small where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.shape_code import BAND
from doh3d.devices import full_precision
from doh3d.geometry.lattice import Lattice
from doh3d.geometry.search import COARSEST_BLOCK, LEAF_BLOCK, LatticeField
from doh3d.hypernetwork.bounds import LogitBounds
from doh3d.operations.normalized import NormalizedField
from doh3d.thread_team import ThreadTeam, team_of_all_threads

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Gives (2, B, 4) planes over (B, 3) int64 boxes of so many leaves along a side, as
# `LogitBounds.planes` describes them.
PlanesOver: TypeAlias = Callable[[torch.Tensor, int], torch.Tensor]

# Leaves along the domain's longest side.
LEAVES = 128

# Leaves along the side of a coarsest block.
_COARSEST = COARSEST_BLOCK // LEAF_BLOCK

# How often a leaf may be halved by whoever looks closer.
FINEST = 4

# Blocks bounded at a time: bounds the memory for their planes.
_BLOCKS = 2**15

# By how much of a cell blocks begin before the domain: their faces should not meet the voxels of a
# lattice that is aligned with it.
_OFFSET = 0.3819660112501051

# A voxel so near to a block's face, in normalised coordinates, may be evaluated beyond it: float32
# rounds to a sixtieth of that. It counts as not proved.
_NEAR_FACE = 2.0**-18


@dataclass(frozen=True)
class ProvedLeaves:
    """What bounds prove of a box's leaves, found from the coarsest blocks down.

    Attributes
    ----------
    codes : (X, Y, Z) int8
        Of the block that a leaf belongs to: 1 plus the binary logarithm of its side in leaves,
        positive where all of it is inside, negative where all is outside. 0 without a proof. Sides
        are multiples of the coarsest block's: the last leaves may be beyond the box.
    boxes : (M, 3) int64
        Leaves without a proof.
    """

    codes: torch.Tensor
    boxes: torch.Tensor

    @classmethod
    def of(
        cls,
        planes_over: PlanesOver,
        counts: Sequence[int],
        device: torch.device,
        keep: Callable[[torch.Tensor], None] | None = None,
    ) -> ProvedLeaves:
        """Prove what can be proved of a box with so many leaves along each axis.

        `keep` is given the planes of the leaves without a proof, (B, 2, 4) at a time, in the order
        of `boxes`.
        """
        blocks = [-(-n // _COARSEST) for n in counts]
        codes = torch.full([_COARSEST * n for n in blocks], -1, dtype=torch.int8, device=device)
        boxes = torch.cartesian_prod(*[torch.arange(n, device=device) for n in blocks])
        octants = torch.cartesian_prod(*[torch.arange(2, device=device)] * 3)
        within = torch.tensor(counts, device=device)
        size = _COARSEST
        while True:
            found = []
            for some in boxes.split(_BLOCKS):
                planes = planes_over(some, size)
                # Planes that overflowed are NaN, and prove nothing.
                lowest = planes[:, :, 0] - planes[:, :, 1:].abs().sum(dim=2)
                positive, negative = (lowest > 0).unbind()
                _fill(codes, some[positive], size, size.bit_length())
                _fill(codes, some[negative], size, -size.bit_length())
                is_open = ~(positive | negative)
                found.append(some[is_open])
                if size == 1 and keep is not None:
                    keep(planes[:, is_open].transpose(0, 1).contiguous())
            boxes = torch.cat(found)
            if size == 1:
                _fill(codes, boxes, 1, 0)
                return cls(codes, boxes)
            size //= 2
            boxes = (2 * boxes.unsqueeze(1) + octants).flatten(0, 1)
            boxes = boxes[(boxes * size < within).all(dim=1)]


def _fill(codes: torch.Tensor, boxes: torch.Tensor, size: int, code: int) -> None:
    x, y, z = (n // size for n in codes.shape)
    by_block = codes.view(x, size, y, size, z, size).permute(0, 2, 4, 1, 3, 5)
    i, j, k = boxes.unbind(dim=1)
    by_block[i, j, k] = code


def blocks_lattice(half_extents: FloatArray, spacing: float, most_cells: int) -> Lattice:
    """Lay a lattice over the domain whose blocks prove the signs of voxels.

    Parameters
    ----------
    half_extents : (3,) float64
        Half sides of the domain, in normalised coordinates.
    spacing : float
        About the distance of the voxels, in these.
    most_cells : int
        Along the longest side.
    """
    sides = 2 * half_extents
    cell = max(spacing, float(sides.max()) / most_cells)
    cell = min(cell, float(sides.max()) / LEAF_BLOCK)
    x, y, z = (np.ceil(sides / cell + _OFFSET).astype(int) + 1).tolist()
    return Lattice(-half_extents - _OFFSET * cell, cell, (x, y, z))


@dataclass(frozen=True)
class BlockSigns:
    """Which blocks of a lattice over the domain are proved to be inside, or outside.

    Attributes
    ----------
    origin : (3,) float64
        Lowest corner of the first block, in normalised coordinates.
    side : float
        Of a block.
    signs : (x, y, z) int8
        1 inside, -1 outside, 0 not proved.
    """

    origin: FloatArray
    side: float
    signs: npt.NDArray[np.int8]

    @classmethod
    def of(cls, field: LatticeField, lattice: Lattice) -> BlockSigns:
        """Bound a field over the blocks of a lattice, from the coarsest to the smallest."""

        def planes_over(boxes: torch.Tensor, size: int) -> torch.Tensor:
            cells = size * LEAF_BLOCK
            return torch.from_numpy(field.planes(boxes.numpy() * cells, cells))

        counts = [-(-(n - 1) // LEAF_BLOCK) for n in lattice.shape]
        codes = ProvedLeaves.of(planes_over, counts, torch.device("cpu")).codes
        return cls(lattice.origin, LEAF_BLOCK * lattice.spacing, codes.sign().numpy())

    def at(self, points: FloatArray) -> npt.NDArray[np.int8]:
        """(N,) int8 signs at (N, 3) normalised points within the domain."""
        place = (points - self.origin) / self.side
        block = np.floor(place)
        depth = np.minimum(place - block, block + 1 - place)
        x, y, z = np.clip(block.astype(np.int64), 0, np.array(self.signs.shape) - 1).T
        near_face = (depth < _NEAR_FACE / self.side).any(axis=1)
        found: npt.NDArray[np.int8] = self.signs[x, y, z]
        found[near_face] = 0
        return found


class SignedBlocks:
    """Blocks over the domain as rays walk through them, and planes where nothing is proved.

    Attributes
    ----------
    low : (3, 1) float32
        The domain's lowest corner, normalised coordinates.
    side : float
        Of a leaf.
    counts : (3, 1) int64
        Leaves along each axis. The last may reach beyond the domain.
    strides : (3, 1) int64
        From a leaf's place to its number.
    codes : (leaves,) int8
        As `ProvedLeaves` has them.
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
        self._bounds: dict[int, LogitBounds] = {}
        planes: list[torch.Tensor] = []
        with torch.no_grad(), team_of_all_threads() as team:
            bounds = {
                2**level: self._bounds_over(2**level * self.side, team)
                for level in range(_COARSEST.bit_length())
            }
            leaves = ProvedLeaves.of(
                lambda boxes, size: bounds[size].planes(boxes, for_signs=True),
                counts.tolist(),
                device,
                planes.append,
            )
        self.planes = torch.cat(planes)
        self.codes = leaves.codes.flatten()
        self.strides = torch.tensor(leaves.codes.stride(), device=device).unsqueeze(1)
        flat = leaves.boxes @ self.strides.squeeze(1)
        self.rows = torch.zeros(len(self.codes), dtype=torch.int32, device=device)
        self.rows[flat] = torch.arange(len(flat), dtype=torch.int32, device=device)

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

    def _bounds_over(self, side: float, team: ThreadTeam | None = None) -> LogitBounds:
        centres = []
        for low, count in zip(self.low.squeeze(1).tolist(), self.counts.tolist(), strict=True):
            boxes = np.ceil(count[0] * self.side / side - 1e-9)
            middles = low + side * (np.arange(boxes) + 0.5)
            centres.append(torch.from_numpy(middles.astype(np.float32)).to(self._field.device))
        architecture, weights = self._field.code.architecture, self._field.weights
        return LogitBounds(architecture, weights, centres, (side / 2,) * 3, team, BAND)
