"""Range analysis: planes between which a cell's network keeps its logit over boxes of space.

A forward pass carries every neuron as ``centre + slopes . t + bends . (2 t^2 - 1) +- error``, t
in [-1, 1]^3 within the box, each of these terms as if it varied by itself (affine arithmetic:
de Figueiredo, Stolfi 2004; on neural fields: Sharp and Jacobson, "Spelunking the deep", SIGGRAPH
2022). It gives each neuron's range, and so lines around its activation. A backward pass
substitutes these lines from the output down to the point (CROWN: Zhang et al., NeurIPS 2018),
which keeps errors that cancel from adding up.

The planes hold for the network as it is evaluated, in floating point. An inner product of k
terms is off by at most (k + 1) u sum |w x|, in units u of rounding. With Z >= |W| |x| + |b| over
a chunk of boxes, 4 (k + 8) u Z is added to each neuron's error, k the larger side of W. In the
forward pass this covers the evaluation, the same rounding of centre, slopes and error here, the
few roundings of an activation, and those of its lines. In the backward pass, times the neuron's
factor in size, it covers the evaluation, and the roundings of factors times W, b and the lines'
offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import embedding_bag, one_hot

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.relaxation import (
    CellAxis,
    Lines,
    bent_encoding,
    mirrored_encoding,
    relu_lines,
    sine_lines,
    smooth_lines,
)
from doh3d.hypernetwork.target import TargetWeights

# Numbers in a layer of a chunk of boxes: a few arrays of this many stay within the cache.
_CPU_NUMBERS = 2**16
_DEVICE_NUMBERS = 2**21

# So many are reduced at once.
_FEW_ROWS = 64

# Rounding unit of matrix products, which are in full precision wherever bounds are.
_UNIT = 2.0**-24

# Whoever evaluates a plane in float32 adds four numbers.
_PLANE_ROUNDING = 2.0**-20


class CellBounds:
    """Bounds of the logit of one cell's network over equal boxes that are aligned on a grid.

    What the first layer makes of a box is a sum of three rows, one for each axis.

    Parameters
    ----------
    architecture, weights, centres, half_sides
        As of `doh3d.hypernetwork.bounds.LogitBounds`.
    cell : int
        Whose network is bounded, also over boxes that lie elsewhere.

    Attributes
    ----------
    chunk : int
        Boxes that should be bounded at a time.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: TargetWeights,
        centres: Sequence[torch.Tensor],
        half_sides: Sequence[float],
        cell: int,
    ) -> None:
        partition, layers = architecture.partition, weights.of_cell(cell)
        numbers = partition.centres[cell].tolist(), partition.half_sides[cell].tolist()
        self._cell_axes = [CellAxis(*pair) for pair in zip(*numbers, strict=True)]
        self._architecture = architecture
        self._matrices = [matrix for matrix, _ in layers]
        self._biases = [bias for _, bias in layers]
        self._magnitudes = [matrix.abs().T for matrix in self._matrices]
        # Never 0, so that radii are not.
        self._bias_sizes = [bias.abs() + 1e-30 for bias in self._biases]
        self._shares = [4 * (max(matrix.shape) + 8) * _UNIT for matrix in self._matrices]
        widest = max(max(matrix.shape) for matrix in self._matrices)
        on_cpu = self._biases[0].device.type == "cpu"
        self.chunk = max(1, (_CPU_NUMBERS if on_cpu else _DEVICE_NUMBERS) // widest)
        self._make_tables(centres, half_sides)

    @torch.no_grad()
    def planes(self, boxes: torch.Tensor, *, for_signs: bool) -> torch.Tensor:
        """Bound (B, 3) boxes as `LogitBounds.planes` does, all at once: (2, B, 4)."""
        rows = boxes + self._offsets
        analysis = self._forward(rows)
        if not for_signs:
            return self._backward(rows, analysis)
        level = analysis.lowest.unsqueeze(2)
        planes = torch.cat([level, level.new_zeros(2, len(rows), 3)], dim=2)
        open_ = (~(analysis.lowest > 0).any(dim=0)).nonzero().squeeze(1)
        if len(open_):
            planes[:, open_] = self._backward(rows[open_], analysis.of_boxes(open_))
        return planes

    def _make_tables(self, centres: Sequence[torch.Tensor], half_sides: Sequence[float]) -> None:
        """Tables with a row for each centre, one axis after the other.

        Of the features, (n, F), slope, bend and error; of the first layer, (n, m), the same and
        the centre, in `_curves` all slopes and then all bends.
        """
        dims = len(centres)
        # Feature j depends on axis j mod d alone.
        first = self._matrices[0]
        by_axis = first.T.unflatten(0, (-1, dims)).unbind(1)
        features, layer, sizes = [], [], []
        for d in range(dims):
            bend = mirrored_encoding if d in self._architecture.mirrored else bent_encoding
            bends = bend(self._architecture, centres[d], half_sides[d], self._cell_axes[d])
            size = bends.centre.abs() + bends.slope.abs() + bends.bend.abs() + bends.error
            size = size.amax(dim=0)
            sizes.append(size)
            # The inner products with the features, in the backward pass.
            error = bends.error + self._shares[0] * size
            weights = by_axis[d]
            layer.append(
                (
                    bends.centre @ weights,
                    bends.slope @ weights,
                    bends.bend @ weights,
                    error @ weights.abs(),
                )
            )
            own = one_hot(torch.tensor(d, device=first.device), dims).to(first.dtype)
            features.append(
                [(part.unsqueeze(2) * own).flatten(1) for part in (bends.slope, bends.bend, error)]
            )
        self._feature_slopes, self._feature_bends, self._feature_errors = map(
            torch.cat, zip(*features, strict=True)
        )
        self._centres, slopes, parabolas, self._errors = map(torch.cat, zip(*layer, strict=True))
        self._curves = torch.cat([slopes, parabolas])
        self._first_rounding = self._rounding(0, torch.stack(sizes, dim=1).flatten())
        lengths = [len(axis) for axis in centres]
        offsets = [sum(lengths[:d]) for d in range(dims)]
        self._offsets = torch.tensor(offsets, device=first.device)
        axes = torch.arange(first.shape[1], device=first.device) % dims
        self._axes = one_hot(axes, dims).to(first.dtype)

    def _forward(self, rows: torch.Tensor) -> _Analysis:
        first = centre = _summed_rows(self._centres, rows).add_(self._biases[0])
        # (6, B, m): slopes and bends along each axis.
        both = torch.cat([rows.T, rows.T + len(self._centres)]).flatten()
        curves = self._curves.index_select(0, both).reshape(6, *centre.shape)
        error = _summed_rows(self._errors, rows).add_(self._first_rounding)
        lines: list[Lines] = []
        roundings = [self._first_rounding]
        last = len(self._matrices) - 1
        for layer in range(1, last + 1):
            radius = curves.abs().sum(dim=0).add_(error)
            line = self._lines(centre, radius)
            # Activations exceed their argument by 1 at most, and lines are within twice their gap.
            sizes = (centre + radius).clamp_min_(0.0).add_(line.gap, alpha=2.0)
            lines.append(line)
            roundings.append(self._rounding(layer, _largest(sizes).add_(1.0)))
            matrix = self._matrices[layer].T
            centre = torch.addcmul(line.middle, line.slope, centre)
            centre = torch.addmm(self._biases[layer], centre, matrix)
            curves = curves.mul_(line.slope) @ matrix
            error = torch.addcmul(line.gap, line.slope.abs(), error)
            error = torch.addmm(roundings[layer], error, self._magnitudes[layer])
        radius = curves.abs().sum(dim=0).add_(error).squeeze(1)
        centre = centre.squeeze(1)
        radius.add_((centre.abs() + radius).mul_(_PLANE_ROUNDING))
        lowest = torch.stack([centre - radius, -centre - radius])
        return _Analysis(first, lines, roundings, lowest)

    def _lines(self, centre: torch.Tensor, radius: torch.Tensor) -> Lines:
        if self._architecture.activation == "relu":
            return relu_lines(centre, radius)
        if self._architecture.activation == "smooth":
            return smooth_lines(centre, radius)
        return sine_lines(self._architecture.omega, centre, radius)

    def _backward(self, rows: torch.Tensor, analysis: _Analysis) -> torch.Tensor:
        """(2, B, 4) planes below the logit and its negation.

        Lines are parallel, so the logit is within `error` of one plane.
        """
        last = len(self._matrices) - 1
        # (1, m) and (1,), of every box until the lines come in.
        factor, offset = self._matrices[last], self._biases[last]
        error = analysis.roundings[last]
        for layer in range(last - 1, -1, -1):
            line = analysis.lines[layer]
            offset = offset + (factor * line.middle).sum(dim=1)
            error = error + (factor.abs() * line.gap).sum(dim=1)
            factor = factor * line.slope
            error.add_(factor.abs() @ analysis.roundings[layer])
            if layer:
                offset.add_(factor @ self._biases[layer])
            else:
                offset.add_((factor * analysis.first).sum(dim=1))
            factor = factor @ self._matrices[layer]
        error.add_((factor.abs() * _summed_rows(self._feature_errors, rows)).sum(dim=1))
        bends = (factor * _summed_rows(self._feature_bends, rows)) @ self._axes
        error.add_(bends.abs().sum(dim=1))
        slopes = factor.mul_(_summed_rows(self._feature_slopes, rows)) @ self._axes
        size = (offset.abs() + error).add_(slopes.abs().sum(dim=1))
        error.add_(size.mul_(_PLANE_ROUNDING))
        below = torch.cat([(offset - error).unsqueeze(1), slopes], dim=1)
        above = torch.cat([(-offset - error).unsqueeze(1), -slopes], dim=1)
        return torch.stack([below, above])

    def _rounding(self, layer: int, largest: torch.Tensor) -> torch.Tensor:
        """(fan_out,) rounding error of a layer whose inputs are at most (fan_in,) `largest`."""
        total = torch.addmv(self._bias_sizes[layer], self._magnitudes[layer].T, largest)
        return total.mul_(self._shares[layer])


@dataclass(frozen=True)
class _Analysis:
    """What the forward pass leaves of a chunk of B boxes.

    Attributes
    ----------
    first : (B, m) float32
        The first layer before its activation, at the centre.
    lines : one for each hidden layer
    roundings : (fan_out,) tensors, one for each layer
    lowest : (2, B) float32
        Below the logit and its negation, by the ranges alone.
    """

    first: torch.Tensor
    lines: list[Lines]
    roundings: list[torch.Tensor]
    lowest: torch.Tensor

    def of_boxes(self, boxes: torch.Tensor) -> _Analysis:
        """Keep what concerns some of the boxes, by their (M,) numbers."""
        lines = [line.of_boxes(boxes) for line in self.lines]
        return _Analysis(self.first[boxes], lines, self.roundings, self.lowest[:, boxes])


def _largest(rows: torch.Tensor) -> torch.Tensor:
    """(m,) maxima of (B, m) rows, by halves: on a CPU torch's own is six times slower."""
    while len(rows) > _FEW_ROWS:
        half = (len(rows) + 1) // 2
        rows = torch.maximum(rows[:half], rows[-half:])
    return rows.amax(dim=0)


def _summed_rows(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(B, m) sums of the (n, m) table's rows that (B, 3) indices name."""
    return embedding_bag(rows, table, mode="sum")
