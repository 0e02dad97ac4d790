"""From a latent and biases to the target network's weights: W_l = s_l (B_l z)."""

from __future__ import annotations

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.projection import Projection
from doh3d.hypernetwork.target import TargetWeights, split_weights


def weight_gains(
    architecture: Architecture, device: torch.device, step: float = 1.0
) -> torch.Tensor:
    """(P,) float32 factors s_l * step, one for each generated weight.

    Those of the first layer are times its feature's factor. Products are taken in double
    precision, and rounded to float32 at the end.
    """
    first, *others = architecture.layer_gains
    row = [first * step * factor for factor in architecture.feature_factors]
    parts = [torch.tensor(row, dtype=torch.float32, device=device)]
    parts[0] = parts[0].repeat(architecture.layer_sizes[0] // len(row))
    for size, gain in zip(architecture.layer_sizes[1:], others, strict=True):
        parts.append(torch.full((size,), gain * step, dtype=torch.float32, device=device))
    return torch.cat(parts)


def generate_weights(
    architecture: Architecture,
    projection: Projection,
    latent: torch.Tensor,
    biases: torch.Tensor,
) -> TargetWeights:
    """Make the weights from a float latent; gradients flow to `latent` and `biases`.

    Parameters
    ----------
    latent : (n,) float32
        With variance 1/n the weights have their usual initialisation's variance.
    biases : (bias_count,) float32
    """
    gains = weight_gains(architecture, latent.device)
    return split_weights(architecture, projection.project(latent) * gains, biases)


def generate_weights_exact(
    architecture: Architecture,
    projection: Projection,
    latent: torch.Tensor,
    latent_step: float,
    biases: torch.Tensor,
    bias_step: float,
) -> TargetWeights:
    """Make the weights from quantised levels, bit-identical everywhere.

    Integers up to the last operation: an exact int64 sum is rounded to float32 and multiplied
    once by the float32 factor s_l * step. Both operations are correctly rounded by IEEE 754.

    Parameters
    ----------
    latent : (n,) int64
        Levels; the latent is ``latent * latent_step``.
    biases : (bias_count,) int64
    """
    sums = projection.project(latent).to(torch.float32)
    factors = weight_gains(architecture, latent.device, latent_step)
    return split_weights(architecture, sums * factors, biases.to(torch.float32) * bias_step)
