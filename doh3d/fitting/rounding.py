"""Rounding in training, the gradient's way back through it, and graded quantisation steps.

The quantisation step is called delta. With graded steps a latent's later numbers are rounded more
finely than its first ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from doh3d.codec.quantization import GRADES, STEPS, grade_factors, max_level
from doh3d.fitting.config import FitConfig
from doh3d.fitting.rate import laplace_bits_gradient


@dataclass(frozen=True)
class Rounded:
    """Numbers as the quantiser will leave them.

    Attributes
    ----------
    values : (N,) float32, or (S, N) for S signals
        Levels times delta, or the numbers themselves where they are not to be rounded.
    levels : as values
        Integers where rounded. Those of graded numbers are in units of the coarsest delta, so that
        the later parts' levels are halves and quarters.
    delta : float, or (S, 1) float32
        Quantisation step.
    passes : bool, as values, or None
        Whether a gradient passes. It does not where the range of levels has cut a number off.
    """

    values: torch.Tensor
    levels: torch.Tensor
    delta: float | torch.Tensor
    passes: torch.Tensor | None

    @classmethod
    def exact(cls, numbers: torch.Tensor) -> Rounded:
        """Leave (..., N) numbers as they are."""
        return cls(numbers, numbers, 1.0, None)

    @classmethod
    def of(
        cls,
        numbers: torch.Tensor,
        delta: float | torch.Tensor,
        bits: int,
        fixed: int,
        fineness: torch.Tensor | None = None,
    ) -> Rounded:
        """Round the first `fixed` of (..., N) numbers to multiples of `delta`; bound them all.

        `fineness`, (N,) float32, says how many times finer than `delta` each is rounded.
        """
        levels = numbers / delta
        rounded = levels[..., :fixed]
        if fineness is None:
            rounded.round_()
        else:
            rounded.mul_(fineness[:fixed]).round_().div_(fineness[:fixed])
        level = max_level(bits)
        passes = levels.abs() <= level
        levels.clamp_(-level, level)
        return cls(levels * delta, levels, delta, passes)

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
        # A tensor's value is not read: that would wait for the device.
        if isinstance(rate_weight, torch.Tensor) or rate_weight:
            total = total + laplace_bits_gradient(self.levels) * (rate_weight / self.delta)
        return total.clone() if self.passes is None else total * self.passes


def fineness(config: FitConfig, device: torch.device) -> torch.Tensor | None:
    """(n,) how many times finer than the coarsest delta each latent number is rounded."""
    if not config.graded_training:
        return None
    factors = grade_factors(config.latent)
    return torch.from_numpy((factors[0] / factors).astype(np.float32)).to(device)


def coarsest_delta(config: FitConfig, delta_index: int) -> float:
    """Delta of the first latent numbers, where that of the last has this index."""
    octaves = GRADES - 1 if config.graded_training else 0
    return float(STEPS[delta_index]) * 2.0**octaves


def bits_of_fineness(fineness: torch.Tensor | None) -> torch.Tensor | float:
    """Bits that finer deltas add to those of levels in units of the coarsest."""
    return 0.0 if fineness is None else fineness.log2().sum()
