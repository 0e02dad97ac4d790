"""Forward and backward pass of some networks on some of their points, in one thread's buffers."""

from __future__ import annotations

import math

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights


class Workspace:
    """All activations of a tile and their gradients: the points `rows` of the networks `networks`.

    A smooth unit with the argument v - 1 is computed as a = s (v - s / 2), s = clamp(v, 0, 2). That
    takes the fewest passes over memory; da/dv is s, and a is twice the unit's value. Hence
    `prepared` adds 1 to the biases of hidden layers and halves the matrices that follow them, and
    the gradient by those matrices comes out doubled.

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

    def forward(
        self, weights: TargetWeights, features: torch.Tensor, outputs: torch.Tensor
    ) -> None:
        """Write the outputs of `prepared` weights for a tile's features."""
        inputs, networks = features, self._networks
        layers = zip(weights.matrices, weights.biases, [*self._activations, None], strict=True)
        for layer, (matrix, bias, activation) in enumerate(layers):
            target = outputs if activation is None else activation
            torch.baddbmm(bias[networks, None], inputs, matrix[networks].mT, out=target)
            if activation is not None:
                self._activate(layer, activation)
                inputs = activation

    def backward(
        self, weights: TargetWeights, features: torch.Tensor, gradient: TargetWeights
    ) -> None:
        """Write the gradient by the tile's weights, from the one in `of_outputs`."""
        networks, gradients = self._networks, self._gradients
        for layer in range(len(gradients) - 1, -1, -1):
            of_layer = gradients[layer]
            inputs = self._activations[layer - 1] if layer else features
            torch.bmm(of_layer.mT, inputs, out=gradient.matrices[layer][networks])
            torch.sum(of_layer, dim=1, out=gradient.biases[layer][networks])
            if layer:
                torch.bmm(of_layer, weights.matrices[layer][networks], out=gradients[layer - 1])
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


def prepared(architecture: Architecture, weights: TargetWeights) -> TargetWeights:
    """Return K networks' weights as a `Workspace` takes them."""
    if architecture.activation != "smooth":
        return weights
    first, *others = weights.matrices
    *hidden, last = weights.biases
    return TargetWeights(
        (first, *(matrix * 0.5 for matrix in others)), (*(bias + 1 for bias in hidden), last)
    )
