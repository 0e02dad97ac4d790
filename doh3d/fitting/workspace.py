"""The passes through networks in torch's operations: on any device, and for any activation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TypeAlias

import torch

from doh3d.fitting.batches import Batch
from doh3d.fitting.losses import Loss
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights

# Matrices and biases of K networks, (K, fan_out, fan_in) and (K, fan_out) for each layer.
Layers: TypeAlias = tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]


class Passes(ABC):
    """Passes of tiles, some networks with some of their points, through K networks.

    Parameters
    ----------
    architecture : Architecture
        Of each network.
    loss : Loss
    scales : (K, 1, 1) float32
        The derivative of a network's part of the loss by an output is this times the residual.
    tile : (networks, rows)
        Size of the largest tile.
    threads : int
    """

    @abstractmethod
    def __init__(
        self,
        architecture: Architecture,
        loss: Loss,
        scales: torch.Tensor,
        tile: tuple[int, int],
        threads: int,
    ) -> None: ...

    @abstractmethod
    def prepare(self, weights: TargetWeights) -> None:
        """Take the networks' parameters."""

    @abstractmethod
    def evaluate(
        self,
        thread: int,
        networks: slice,
        rows: slice,
        features: torch.Tensor,
        outputs: torch.Tensor,
    ) -> None:
        """Write a tile's (L, N, out_dim) outputs for its (L, N, encoded_dim) features."""

    @abstractmethod
    def differentiate(
        self,
        thread: int,
        networks: slice,
        rows: slice,
        batch: Batch,
        outputs: torch.Tensor,
        errors: torch.Tensor,
        gradient: TargetWeights,
    ) -> None:
        """Write a tile's outputs, its residuals' lengths if they count, and its gradient.

        Parameters
        ----------
        batch : Batch
            The tile's samples, (L, N, ...).
        outputs, errors : (L, N, out_dim), (L, N, 1) float32
        gradient : TargetWeights
            By the parameters of all K networks, where those of the tile's are written.
        """


class TorchPasses(Passes):
    """In torch's operations."""

    def __init__(
        self,
        architecture: Architecture,
        loss: Loss,
        scales: torch.Tensor,
        tile: tuple[int, int],
        threads: int,
    ) -> None:
        self._architecture, self._loss, self._scales = architecture, loss, scales
        self._workspaces = [Workspace(architecture, *tile, scales.device) for _ in range(threads)]
        self._layers: Layers = ((), ())

    def prepare(self, weights: TargetWeights) -> None:
        """Take the networks' parameters."""
        self._layers = weights.matrices, weights.biases
        if self._architecture.activation == "smooth":
            first, *others = weights.matrices
            *hidden, last = weights.biases
            halves = (matrix * 0.5 for matrix in others)
            self._layers = (first, *halves), (*(bias + 1 for bias in hidden), last)

    def evaluate(
        self,
        thread: int,
        networks: slice,
        rows: slice,
        features: torch.Tensor,
        outputs: torch.Tensor,
    ) -> None:
        """Write a tile's outputs, see `Passes.evaluate`."""
        workspace = self._workspaces[thread].take(networks, rows)
        workspace.forward(self._layers, features, outputs)

    def differentiate(
        self,
        thread: int,
        networks: slice,
        rows: slice,
        batch: Batch,
        outputs: torch.Tensor,
        errors: torch.Tensor,
        gradient: TargetWeights,
    ) -> None:
        """Write a tile's outputs, errors and gradient, see `Passes.differentiate`."""
        workspace = self._workspaces[thread].take(networks, rows)
        residual = workspace.of_outputs
        workspace.forward(self._layers, batch.features, outputs)
        self._loss.residual(outputs, batch.values, residual)
        if batch.importance is not None:
            lengths(residual, errors)
            residual.mul_(batch.importance)
        residual.mul_(self._scales[networks])
        workspace.backward(self._layers, batch.features, gradient)


def lengths(residuals: torch.Tensor, errors: torch.Tensor) -> None:
    """Write the lengths of (K, N, out_dim) residuals into a (K, N, 1) tensor."""
    torch.linalg.vector_norm(residuals, dim=2, keepdim=True, out=errors)


class Workspace:
    """All activations of a tile and their gradients: the points `rows` of the networks `networks`.

    A smooth unit with the argument v - 1 is computed as a = s (v - s / 2), s = clamp(v, 0, 2). That
    takes the fewest passes over memory; da/dv is s, and a is twice the unit's value. Hence
    `TorchPasses.prepare` adds 1 to the biases of hidden layers and halves the matrices that follow
    them, and the gradient by those matrices is halved, too.

    Parameters
    ----------
    architecture : Architecture
        Of each network.
    networks, rows : int
        Of the largest tile.
    device : torch.device
    """

    def __init__(
        self, architecture: Architecture, networks: int, rows: int, device: torch.device
    ) -> None:
        self._activation = architecture.activation
        self._omega = architecture.omega
        widths = [fan_out for fan_out, _ in architecture.layer_shapes]

        def buffers(widths: list[int]) -> list[torch.Tensor]:
            return [torch.empty(networks * rows * width, device=device) for width in widths]

        self._widths = widths
        # A sine's derivative needs its argument as well, and a smooth unit's needs s.
        slopes = widths[:-1] if architecture.activation != "relu" else []
        self._flat = buffers(widths[:-1]), buffers(slopes), buffers(widths)
        self._size = (0, 0)
        self._networks = slice(0)
        self._activations: list[torch.Tensor] = []
        self._slopes: list[torch.Tensor] = []
        self._gradients: list[torch.Tensor] = []

    def take(self, networks: slice, rows: slice) -> Workspace:
        """Get ready for a tile."""
        self._networks = networks
        size = (networks.stop - networks.start, rows.stop - rows.start)
        if size != self._size:
            self._size = size
            self._activations, self._slopes, self._gradients = (
                [
                    flat[: math.prod(size) * width].view(*size, width)
                    for flat, width in zip(kind, self._widths, strict=False)
                ]
                for kind in self._flat
            )
        return self

    @property
    def of_outputs(self) -> torch.Tensor:
        """Where `backward` finds the loss's gradient by the tile's outputs."""
        return self._gradients[-1]

    def forward(self, layers: Layers, features: torch.Tensor, outputs: torch.Tensor) -> None:
        """Write the outputs for a tile's features."""
        inputs, networks = features, self._networks
        each = zip(*layers, [*self._activations, None], strict=True)
        for layer, (matrix, bias, activation) in enumerate(each):
            target = outputs if activation is None else activation
            torch.baddbmm(bias[networks, None], inputs, matrix[networks].mT, out=target)
            if activation is not None:
                self._activate(layer, activation)
                inputs = activation

    def backward(self, layers: Layers, features: torch.Tensor, gradient: TargetWeights) -> None:
        """Write the gradient by the tile's weights, from the one in `of_outputs`."""
        networks, gradients = self._networks, self._gradients
        for layer in range(len(gradients) - 1, -1, -1):
            of_layer = gradients[layer]
            inputs = self._activations[layer - 1] if layer else features
            found = gradient.matrices[layer][networks]
            torch.bmm(of_layer.mT, inputs, out=found)
            if layer and self._activation == "smooth":
                found.mul_(0.5)
            torch.sum(of_layer, dim=1, out=gradient.biases[layer][networks])
            if layer:
                torch.bmm(of_layer, layers[0][layer][networks], out=gradients[layer - 1])
                self._through_activation(layer - 1)

    def _activate(self, layer: int, activation: torch.Tensor) -> None:
        if self._activation == "relu":
            activation.clamp_min_(0)
        elif self._activation == "smooth":
            slope = torch.clamp(activation, 0, 2, out=self._slopes[layer])
            activation.sub_(slope, alpha=0.5).mul_(slope)
        else:
            angle = torch.mul(activation, self._omega, out=self._slopes[layer])
            torch.sin(angle, out=activation)

    def _through_activation(self, layer: int) -> None:
        """Multiply the gradient by the activation's derivative."""
        gradient = self._gradients[layer]
        if self._activation == "relu":
            # Where the output is 0, so is the derivative.
            torch.ops.aten.threshold_backward.grad_input(
                gradient, self._activations[layer], 0, grad_input=gradient
            )
        elif self._activation == "smooth":
            gradient.mul_(self._slopes[layer])
        else:
            gradient.mul_(self._slopes[layer].cos_()).mul_(self._omega)
