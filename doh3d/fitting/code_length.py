"""Bits that latents and biases will take in their files, counted on the device of a fit."""

from __future__ import annotations

import numpy as np
import torch

from doh3d.codec.entropy import FIRST_SPLIT_SCALE, MAX_SHIFT, OCTAVE, TABLE_RADIUS, table_bits
from doh3d.codec.quantization import GRADES, grade_factors, grade_parts, max_level


class CodeLength:
    """Bits that the numbers of S signals take, each quantised and under the best model for it.

    It is what `quantize`, `choose_model` and `code_length_bits` come to, but for the order of
    sums. Nothing is read back from the device.

    Parameters
    ----------
    count : int
        N, numbers of each signal.
    bits : int
    graded : bool
        See `doh3d.codec.quantization.quantize`.
    device : torch.device
    """

    def __init__(self, count: int, bits: int, graded: bool, device: torch.device) -> None:
        parts = grade_parts(count) if graded else [(slice(0, count), 0)]
        factors = grade_factors(count) if graded else np.ones(count)
        level = max_level(bits) * (2 ** (GRADES - 1) if graded else 1)
        # Levels below 2^k are never shorter with more than k of their bits split off.
        self._shift_count = 1 + min(MAX_SHIFT, level.bit_length())
        self._factors = torch.from_numpy(factors).to(device)
        self._limits = torch.from_numpy(level // factors).to(device)
        numbers = torch.zeros(count, dtype=torch.int64)
        for number, (part, _) in enumerate(parts):
            numbers[part] = number
        shifts = torch.arange(self._shift_count)
        self._part_count = len(parts)
        # Of each number, once for each shift: where the counts of its part and of the shift begin.
        symbols = TABLE_RADIUS + 1
        first = (numbers * self._shift_count + shifts[:, None]) * symbols
        self._first = first.to(device)
        self._bins = self._part_count * self._shift_count * symbols
        self._shifts = shifts[:, None].to(device)
        self._halves = ((1 << shifts) >> 1)[:, None].to(device)
        whole = torch.from_numpy(table_bits())
        self._tables = whole.flatten(0, 1).T.contiguous().to(device)
        split = whole[:, FIRST_SPLIT_SCALE:]
        self._split_tables = split.flatten(0, 1).T.contiguous().to(device)
        self._families, self._scales, _ = whole.shape
        # Bits that are split off, of all numbers of a part.
        lengths = torch.tensor([part.stop - part.start for part, _ in parts])
        self._split_bits = (lengths[:, None] * shifts[1:]).to(torch.float64).to(device)

    def __call__(self, numbers: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
        """(S, 1) float64 bits of (S, N) numbers quantised to multiples of (S, 1) float64 `delta`.

        Of graded ones it is the last part's step, the finest.
        """
        levels = (numbers.to(torch.float64) / (delta * self._factors)).round_()
        levels = levels.clamp_(-self._limits, self._limits).nan_to_num_().to(torch.int64)
        # In units of each part's own step; the bits that a finer one adds are in the models.
        moved = (levels[:, None] + self._halves) >> self._shifts
        bins = moved.abs_().clamp_(max=TABLE_RADIUS).add_(self._first).flatten(1)
        counts = bins.new_zeros((len(bins), self._bins))
        counts.scatter_add_(1, bins, torch.ones_like(bins))
        histograms = counts.to(torch.float64).view(
            len(bins), self._part_count, self._shift_count, TABLE_RADIUS + 1
        )
        return self._of_best_models(histograms)

    def _of_best_models(self, histograms: torch.Tensor) -> torch.Tensor:
        """(S, 1) bits under the best model, of (S, parts, shifts, symbols) counts."""
        signals, parts, shift_count, _ = histograms.shape
        unsplit = (histograms[:, :, 0] @ self._tables).view(
            signals, parts, self._families, self._scales
        )
        split = histograms[:, :, 1:] @ self._split_tables
        split = split.add_(self._split_bits[..., None]).view(
            signals, parts, shift_count - 1, self._families, OCTAVE
        )
        of_parameters = torch.cat([unsplit, split.transpose(2, 3).flatten(3)], dim=3)
        # Each part's scale is an octave above that of the part before.
        length = of_parameters.shape[3] - OCTAVE * (parts - 1)
        bits = of_parameters[:, 0, :, :length]
        for part in range(1, parts):
            bits = bits + of_parameters[:, part, :, OCTAVE * part : OCTAVE * part + length]
        return bits.flatten(1).amin(dim=1, keepdim=True)
