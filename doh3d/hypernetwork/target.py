"""The target network: positional encoding and the small perceptron whose weights are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition


@dataclass(frozen=True)
class TargetWeights:
    """The target network's parameters; with K cells those of K networks.

    Attributes
    ----------
    matrices : tuple of (fan_out, fan_in) or (K, fan_out, fan_in) tensors
        One for each layer, first layer first.
    biases : tuple of (fan_out,) or (K, fan_out) tensors
    """

    matrices: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]

    def of_cell(self, cell: int) -> TargetWeights:
        """One of K networks."""
        return TargetWeights(
            tuple(matrix[cell] for matrix in self.matrices),
            tuple(bias[cell] for bias in self.biases),
        )


def split_weights(
    architecture: Architecture, weights: torch.Tensor, biases: torch.Tensor
) -> TargetWeights:
    """Cut flat (P,) weights and (bias_count,) biases into the network's layers, as views.

    Of K cells each layer's K matrices lie one after the other; a cell's biases lie together.
    """
    if architecture.partition is not None:
        return split_many(architecture.of_a_cell, weights, biases.view(architecture.cells, -1))
    shapes = architecture.layer_shapes
    matrices = weights.split(architecture.layer_sizes)
    return TargetWeights(
        tuple(flat.reshape(shape) for flat, shape in zip(matrices, shapes, strict=True)),
        tuple(biases.split([rows for rows, _ in shapes])),
    )


def split_many(
    architecture: Architecture, weights: torch.Tensor, biases: torch.Tensor
) -> TargetWeights:
    """Cut K networks' (K P,) weights and (K, bias_count) biases into layers, as views.

    Matrices are (K, fan_out, fan_in) and biases (K, fan_out).
    """
    count = len(biases)
    shapes = architecture.layer_shapes
    matrices = weights.split([count * size for size in architecture.layer_sizes])
    return TargetWeights(
        tuple(flat.view(count, *shape) for flat, shape in zip(matrices, shapes, strict=True)),
        tuple(biases.split([rows for rows, _ in shapes], dim=1)),
    )


def fold_points(architecture: Architecture, points: torch.Tensor) -> torch.Tensor:
    """(N, d) points by their distance from 0 along mirrored axes."""
    if architecture.mirrored:
        points = points.clone()
        for axis in architecture.mirrored:
            points[:, axis].abs_()
    return points


def encode_points(architecture: Architecture, points: torch.Tensor) -> torch.Tensor:
    """Encode (N, d) points in [-1, 1]^d as (N, d (1 + 2 L)) features.

    The features are grouped as in `Architecture`: x, then for each octave sine and cosine.
    Mirrored axes count by their distance from 0. Of a network with cells the points are places
    in one of them, see `place_in_cell`, and the architecture is `of_a_cell`.
    (Positional encoding as in Mildenhall et al., NeRF, ECCV 2020, with x itself.)
    """
    points = fold_points(architecture, points)
    features = [points]
    for octave in range(architecture.octaves):
        angle = points * (math.pi * 2**octave)
        features += [torch.sin(angle), torch.cos(angle)]
    return torch.cat(features, dim=1)


def place_in_cell(partition: Partition, points: torch.Tensor, cell: int) -> torch.Tensor:
    """Places of folded (N, d) points in a cell, whose corners are at -1 and 1."""
    centre = torch.from_numpy(partition.centres[cell]).to(points.device)
    return (points - centre) / torch.from_numpy(partition.half_sides[cell]).to(points.device)


def target_forward(
    architecture: Architecture, weights: TargetWeights, features: torch.Tensor
) -> torch.Tensor:
    """Evaluate the network on (N, encoded_dim) features; (N, out_dim) logits.

    Or K networks on (K, N, encoded_dim), each on its own: (K, N, out_dim).
    """
    x = features
    last = len(weights.matrices) - 1
    for layer, (matrix, bias) in enumerate(zip(weights.matrices, weights.biases, strict=True)):
        if matrix.dim() == 3:
            x = torch.baddbmm(bias.unsqueeze(1), x, matrix.mT)
        else:
            x = torch.addmm(bias, x, matrix.T)
        if layer == last:
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
    architecture: Architecture, weights: TargetWeights, points: torch.Tensor, chunk: int
) -> torch.Tensor:
    """Values at (N, d) points, each by the network of its cell: (N, out_dim).

    Parameters
    ----------
    chunk : int
        Points at a time.
    """
    partition = architecture.partition
    if partition is None:
        parts = points.split(chunk)
        return torch.cat(
            [target_forward(architecture, weights, encode_points(architecture, p)) for p in parts]
        )
    points = fold_points(architecture, points)
    network = architecture.of_a_cell
    cells = torch.from_numpy(partition.cell_of(points.detach().cpu().numpy())).to(points.device)
    values = points.new_empty(len(points), architecture.out_dim)
    for cell in range(partition.cells):
        for rows in (cells == cell).nonzero().squeeze(1).split(chunk):
            features = encode_points(network, place_in_cell(partition, points[rows], cell))
            values[rows] = target_forward(network, weights.of_cell(cell), features)
    return values
