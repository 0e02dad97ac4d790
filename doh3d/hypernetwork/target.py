"""The target network: positional encoding and the small perceptron whose weights are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.cells import CellOrder, to_cell_coordinates

# A layer's (fan_out, fan_in) matrix and (fan_out,) biases.
Layer = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class TargetWeights:
    """The parameters of K target networks, one for each cell.

    Attributes
    ----------
    matrices : tuple of (K, fan_out, fan_in) tensors
        One for each layer, first layer first.
    biases : tuple of (K, fan_out) tensors
    whole : (weights, biases), optional
        What the layers are views of, where they are: (K P,), of each layer the K matrices, one
        after the other; and (K, bias_count).
    """

    matrices: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    whole: tuple[torch.Tensor, torch.Tensor] | None = None

    def of_cell(self, cell: int) -> list[Layer]:
        """One network's layers, first layer first."""
        pairs = zip(self.matrices, self.biases, strict=True)
        return [(matrix.select(0, cell), bias.select(0, cell)) for matrix, bias in pairs]


def split_weights(
    architecture: Architecture, weights: torch.Tensor, biases: torch.Tensor
) -> TargetWeights:
    """Cut the flat weights and the biases of any number of networks into layers, as views.

    Parameters
    ----------
    architecture : Architecture
        Of each network; its partition does not count.
    weights : (K P,)
        Of each layer the K matrices, one after the other.
    biases : K times the biases of one network, in any shape
        A network's lie together.
    """
    shapes = architecture.layer_shapes
    by_network = biases.view(-1, sum(rows for rows, _ in shapes))
    count = len(by_network)
    matrices = weights.split([count * rows * columns for rows, columns in shapes])
    return TargetWeights(
        tuple(flat.view(count, *shape) for flat, shape in zip(matrices, shapes, strict=True)),
        tuple(by_network.split([rows for rows, _ in shapes], dim=1)),
        (weights, by_network),
    )


def fold_points(architecture: Architecture, points: torch.Tensor) -> torch.Tensor:
    """(N, d) points by their distance from 0 along mirrored axes."""
    if architecture.mirrored:
        points = points.clone()
        for axis in architecture.mirrored:
            points[:, axis].abs_()
    return points


def encode_coordinates(architecture: Architecture, coordinates: torch.Tensor) -> torch.Tensor:
    """Encode (N, d) coordinates in a cell, see `to_cell_coordinates`, as (N, d (1 + 2 L)) features.

    The features are grouped as in `Architecture`: x, then for each octave sine and cosine.
    (Positional encoding as in Mildenhall et al., NeRF, ECCV 2020, with x itself.)
    """
    features = [coordinates]
    for octave in range(architecture.octaves):
        angle = coordinates * (math.pi * 2**octave)
        features += [torch.sin(angle), torch.cos(angle)]
    return torch.cat(features, dim=1)


def target_forward(
    architecture: Architecture, layers: Sequence[Layer], features: torch.Tensor
) -> torch.Tensor:
    """Evaluate one network on (N, encoded_dim) features; (N, out_dim) logits or values."""
    x = features
    last = len(layers) - 1
    for number, (matrix, bias) in enumerate(layers):
        x = torch.addmm(bias, x, matrix.T)
        if number == last:
            break
        if architecture.activation == "sine":
            x = torch.sin(architecture.omega * x)
        elif architecture.activation == "smooth":
            x = smooth_relu(x)
        else:
            x = torch.relu(x)
    return x


def smooth_relu(x: torch.Tensor) -> torch.Tensor:
    """0 below -1, (x + 1)^2 / 4 up to 1, then x; overwrites x with it."""
    x.add_(1.0)
    slope = torch.mul(x, 0.5).clamp_(0.0, 1.0)
    return x.sub_(slope).mul_(slope)


def evaluate_points(
    architecture: Architecture,
    weights: TargetWeights,
    points: torch.Tensor,
    chunk: int,
    band: float = 0.0,
) -> torch.Tensor:
    """Values at (N, d) points, each by the network of its cell: (N, out_dim).

    Parameters
    ----------
    chunk : int
        Points at a time.
    band : float
        Within so many half sides of a face a value is a mean of the neighbours', see
        `doh3d.hypernetwork.cells.cell_weights`.
    """
    partition = architecture.partition
    points = fold_points(architecture, points)
    order = CellOrder.of(partition, points, band)
    parts = []
    for cell, own in enumerate(order.split(points)):
        layers = weights.of_cell(cell)
        for some in own.split(chunk):
            features = encode_coordinates(architecture, to_cell_coordinates(partition, some, cell))
            parts.append(target_forward(architecture, layers, features))
    return order.combine(torch.cat(parts))
