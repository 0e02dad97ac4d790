"""The rate term: how many bits quantised values will take, as a differentiable function."""

from __future__ import annotations

import math

import torch

# Below this mean magnitude the code length is as good as zero and its gradient explodes.
_MIN_SCALE = 0.05

# The gradient is so many times as steep around 0 as the line through all numbers. With 1, the
# numbers of CAD parts still overshot: the loss has hardly any curvature along them.
_STEEPER_AROUND_ZERO = 4.0

# The mean square is taken to be no smaller, so that a latent of zeros has a finite curvature.
_LEAST_POWER = 1e-12


def laplace_bits(levels: torch.Tensor) -> torch.Tensor:
    """Code length of (..., N) levels under a Laplace distribution of their own scale: (...) bits.

    The levels are integers, or integers plus noise in [-0.5, 0.5] standing for them (Balle,
    Laparra, Simoncelli, "End-to-end optimized image compression", ICLR 2017). The scale b is
    the mean magnitude, its maximum-likelihood estimate; there the code length is stationary
    in b, so no gradient needs to pass through it.
    """
    magnitude = levels.abs()
    scale = magnitude.detach().mean(dim=-1, keepdim=True).clamp_min(_MIN_SCALE)
    # P(v) is the Laplace mass of [v - 1/2, v + 1/2].
    tail = torch.log(-torch.expm1(-1 / scale) / 2) - (magnitude - 0.5) / scale
    inner = magnitude.clamp_max(0.5)
    centre = torch.log1p(-torch.exp(-0.5 / scale) * torch.cosh(inner / scale))
    return -torch.where(magnitude >= 0.5, tail, centre).sum(dim=-1) / math.log(2)


def laplace_bits_gradient(levels: torch.Tensor) -> torch.Tensor:
    """(..., N) derivatives of `laplace_bits` by each level."""
    magnitude = levels.abs()
    inverse = 1 / magnitude.mean(dim=-1, keepdim=True).clamp_min(_MIN_SCALE)
    inner = magnitude.clamp_max(0.5) * inverse
    falling = torch.exp(-0.5 * inverse)
    centre = falling * torch.sinh(inner) * inverse / (1 - falling * torch.cosh(inner))
    slope = torch.where(magnitude >= 0.5, inverse, centre)
    return slope * levels.sign() / math.log(2)


def rate_curvature(latent: torch.Tensor, rate_weight: float | torch.Tensor) -> torch.Tensor:
    """Estimate the curvature of the rate term along each latent number.

    The bits of Laplace numbers have the gradient log2(e) sign(z) / E|z|. The line through it that
    fits the numbers best has the slope log2(e) / E[z^2]; around 0, where most numbers are, the
    gradient is several times steeper.

    Parameters
    ----------
    latent : (n,) float32, or (S, n)
    rate_weight : float, or () or (S, 1) float32

    Returns
    -------
    () float32, or (S, 1)
    """
    power = latent.square().mean(dim=-1, keepdim=latent.dim() > 1)
    return rate_weight * _STEEPER_AROUND_ZERO * math.log2(math.e) / power.clamp_min(_LEAST_POWER)
