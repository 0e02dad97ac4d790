"""Rounding in training, the gradient's way back through it, and graded quantisation steps.

The quantisation step is called delta. With graded steps a latent's later numbers are rounded more
finely than its first ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from doh3d.codec.quantization import grade_factors, max_level
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
    passes : bool, as values, or None
        Whether a gradient passes. It does not where the range of levels has cut a number off.
    """

    values: torch.Tensor
    levels: torch.Tensor
    passes: torch.Tensor | None

    @classmethod
    def exact(cls, numbers: torch.Tensor) -> Rounded:
        """Leave (..., N) numbers as they are."""
        return cls(numbers, numbers, None)

    @classmethod
    def of(
        cls,
        numbers: torch.Tensor,
        delta: float | torch.Tensor,
        bits: int,
        are_fixed: torch.Tensor,
        fineness: torch.Tensor | None = None,
    ) -> Rounded:
        """Round some of (..., N) numbers to multiples of `delta`; bound them all.

        Parameters
        ----------
        numbers : (..., N) float32
        delta : float, or (S, 1) float32
            Quantisation step.
        bits : int
        are_fixed : (N,) bool
            Which are rounded.
        fineness : (N,) float32, optional
            How many times finer than `delta` each is rounded.
        """
        exact = numbers / delta
        rounded = exact.round() if fineness is None else (exact * fineness).round_() / fineness
        levels = torch.where(are_fixed, rounded, exact)
        level = max_level(bits)
        passes = levels.abs() <= level
        levels.clamp_(-level, level)
        return cls(levels * delta, levels, passes)

    def gradient(self, of_values: torch.Tensor, of_bits: torch.Tensor | float) -> torch.Tensor:
        """(..., N) gradient by the numbers, of a loss and the levels' bits.

        Rounding passes it straight through. Exact numbers have no bits.

        Parameters
        ----------
        of_values : (..., N) float32
            Gradient of the loss by `values`.
        of_bits : float or (..., 1) float32
            The rate weight over delta.
        """
        if self.passes is None:
            return of_values.clone()
        return (of_values + laplace_bits_gradient(self.levels) * of_bits) * self.passes


def fineness(config: FitConfig, device: torch.device) -> torch.Tensor | None:
    """(n,) how many times finer than the coarsest delta each latent number is rounded."""
    if not config.graded_training:
        return None
    factors = grade_factors(config.latent)
    return torch.from_numpy((factors[0] / factors).astype(np.float32)).to(device)


def bits_of_fineness(fineness: torch.Tensor | None) -> torch.Tensor | float:
    """Bits that finer deltas add to those of levels in units of the coarsest."""
    return 0.0 if fineness is None else fineness.log2().sum()
