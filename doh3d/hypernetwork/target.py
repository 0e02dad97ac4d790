"""The target network: positional encoding and the small perceptron whose weights are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from doh3d.hypernetwork.architecture import Architecture


@dataclass(frozen=True)
class TargetWeights:
    """The target network's parameters.

    Attributes
    ----------
    matrices : tuple of (fan_out, fan_in) tensors
        One for each layer, first layer first.
    biases : tuple of (fan_out,) tensors
    """

    matrices: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]


def split_weights(
    architecture: Architecture, weights: torch.Tensor, biases: torch.Tensor
) -> TargetWeights:
    """Cut flat (P,) weights and (bias_count,) biases into the network's layers, as views."""
    shapes = architecture.layer_shapes
    matrices = weights.split(architecture.layer_sizes)
    return TargetWeights(
        tuple(flat.reshape(shape) for flat, shape in zip(matrices, shapes, strict=True)),
        tuple(biases.split([rows for rows, _ in shapes])),
    )


def encode_points(architecture: Architecture, points: torch.Tensor) -> torch.Tensor:
    """Encode (N, d) points in [-1, 1]^d as (N, d (1 + 2 L)) features.

    The features are grouped as in `Architecture`: x, then for each octave sine and cosine.
    Mirrored axes count by their distance from 0.
    (Positional encoding as in Mildenhall et al., NeRF, ECCV 2020, with x itself.)
    """
    if architecture.mirrored:
        points = points.clone()
        for axis in architecture.mirrored:
            points[:, axis].abs_()
    features = [points]
    for octave in range(architecture.octaves):
        angle = points * (math.pi * 2**octave)
        features += [torch.sin(angle), torch.cos(angle)]
    return torch.cat(features, dim=1)


def target_forward(
    architecture: Architecture, weights: TargetWeights, features: torch.Tensor
) -> torch.Tensor:
    """Evaluate the network on (N, encoded_dim) features; (N, out_dim) logits."""
    x = features
    last = len(weights.matrices) - 1
    for layer, (matrix, bias) in enumerate(zip(weights.matrices, weights.biases, strict=True)):
        x = torch.addmm(bias, x, matrix.T)
        if layer == last:
            break
        sine = architecture.activation == "sine"
        x = torch.sin(architecture.omega * x) if sine else torch.relu(x)
    return x
