"""Rounding in training, and the gradient's way back through it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from doh3d.codec.quantization import max_level
from doh3d.fitting.rate import laplace_bits_gradient


@dataclass(frozen=True)
class Rounded:
    """Numbers as the quantiser will leave them.

    Attributes
    ----------
    values : (N,) float32, or (K, N) for K shapes
        Levels times step, or the numbers themselves where they are not to be rounded.
    levels : as values
        Integers where rounded; those of graded numbers in units of the coarsest step, so that the
        later parts' are halves and quarters.
    step : float, or (K, 1) float32
    passes : bool, as values, or None
        Where a gradient passes: not where the range of levels has cut a number off.
    """

    values: torch.Tensor
    levels: torch.Tensor
    step: float | torch.Tensor
    passes: torch.Tensor | None

    @classmethod
    def exact(cls, numbers: torch.Tensor) -> Rounded:
        """Leave (N,) numbers as they are."""
        return cls(numbers, numbers, 1.0, None)

    @classmethod
    def of(
        cls,
        numbers: torch.Tensor,
        step: float | torch.Tensor,
        bits: int,
        fixed: int,
        fineness: torch.Tensor | None = None,
    ) -> Rounded:
        """Round the first `fixed` of (..., N) numbers to multiples of `step`; bound them all.

        `fineness`, (N,) float32, says how many times finer than `step` each is rounded.
        """
        levels = numbers / step
        rounded = levels[..., :fixed]
        if fineness is None:
            rounded.round_()
        else:
            rounded.mul_(fineness[:fixed]).round_().div_(fineness[:fixed])
        level = max_level(bits)
        passes = levels.abs() <= level
        levels.clamp_(-level, level)
        return cls(levels * step, levels, step, passes)

    def gradient(self, of_values: torch.Tensor, rate_weight: float | torch.Tensor) -> torch.Tensor:
        """(..., N) gradient by the numbers, of a loss plus `rate_weight` times the levels' bits.

        Rounding passes it straight through.

        Parameters
        ----------
        of_values : (..., N) float32
            Gradient of the loss by `values`.
        rate_weight : float or (..., 1) float32
        """
        total = of_values
        # A tensor is not looked into: that would wait for the device.
        if isinstance(rate_weight, torch.Tensor) or rate_weight:
            total = total + laplace_bits_gradient(self.levels) * (rate_weight / self.step)
        return total.clone() if self.passes is None else total * self.passes
