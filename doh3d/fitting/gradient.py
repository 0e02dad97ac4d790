"""The target networks' loss and its gradient, written out.

Autograd allocates every activation anew in each step; for layers this small the memory's first
touch costs more than the arithmetic. Here all buffers are made once, and a batch passes through
them in pieces that stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from doh3d.fitting.config import Loss
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights, split_weights
from doh3d.thread_team import ThreadTeam

# Squared error that is added under the logarithm: about what rounding to 8 bits makes of values in
# [-1, 1]. Below it nothing is to be gained.
LEAST_SQUARED_ERROR = 5e-6

# Numbers in the activations of one layer of a piece, on the CPU.
_CACHED_ACTIVATIONS = 2**17


@dataclass(frozen=True)
class TargetGradient:
    """Gradient of the mean loss of a batch.

    The tensors are buffers that the next batch overwrites.

    Attributes
    ----------
    weights : (K P,) float32
        Each layer's K matrices, one after the other.
    biases : (K, bias_count) float32
    """

    weights: torch.Tensor
    biases: torch.Tensor


class TargetBackward:
    """Forward and backward pass of K target networks of one architecture, each on its own batch.

    Those of many shapes, each with a loss of its own; or those of one signal's cells, or its one
    network, whose losses make one.

    Parameters
    ----------
    architecture : Architecture
        Of each network.
    count : int
        K.
    batch : int
        Points of each network.
    device : torch.device
    loss : "cross-entropy" or "log-squared-error"
    shares : (K,) float32, optional
        Of each network in one loss; their sum is 1. Without them each has its own.
    team : ThreadTeam, optional
        Who computes. The result does not depend on how many they are.

    Attributes
    ----------
    outputs : (K, N, out_dim) float32
        Of the last batch, logits or values as the loss takes them; a buffer too.
    errors : (K, N, out_dim) float32
        How far off they are, in probability or value: the length of each sample's gradient by
        the outputs, but for a factor. A buffer as well.
    """

    def __init__(
        self,
        architecture: Architecture,
        count: int,
        batch: int,
        device: torch.device,
        loss: Loss = "cross-entropy",
        shares: torch.Tensor | None = None,
        team: ThreadTeam | None = None,
    ) -> None:
        self._architecture = architecture
        self._loss = loss
        self._shares = None if shares is None else shares[:, None, None]
        self._team = team or ThreadTeam()
        networks, rows = _size_of_a_piece(architecture.width, count, batch, device)
        self._cells = list(_slices(count, networks))
        self._rows = list(_slices(batch, rows))
        self._workspaces = [
            _Workspace(architecture, networks, rows, device) for _ in range(self._team.threads)
        ]
        self.outputs = torch.empty((count, batch, architecture.out_dim), device=device)
        self.errors = torch.empty_like(self.outputs)
        # Each part of the rows has sums of its own: added up in order they are always the same.
        parts = len(self._rows)
        self._weights = torch.zeros((parts, count * architecture.weight_count), device=device)
        self._biases = torch.zeros((parts, count, architecture.bias_count), device=device)
        self._split = [
            split_weights(architecture, weights, biases)
            for weights, biases in zip(self._weights, self._biases, strict=True)
        ]
        self._gradient = TargetGradient(
            self._weights[0] if parts == 1 else torch.empty_like(self._weights[0]),
            self._biases[0] if parts == 1 else torch.empty_like(self._biases[0]),
        )
        self._after_first = count * architecture.layer_sizes[0]

    @torch.no_grad()
    def __call__(
        self,
        weights: TargetWeights,
        features: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None = None,
    ) -> TargetGradient:
        """Differentiate the mean loss over the batch.

        Parameters
        ----------
        weights : TargetWeights
            Of K networks.
        features : (K, N, encoded_dim) float32
            Encoded points, N being the batch size.
        values : (K, N, out_dim) float32
            What the networks should give: for the cross-entropy 1 inside and 0 outside.
        importance : (K, N, 1) float32, optional
            How much each sample counts in the cross-entropy's mean; 1 without it.
        """
        weights = _prepared(self._architecture, weights)

        def differentiate(thread: int, piece: int) -> None:
            part, group = divmod(piece, len(self._cells))
            cells, rows = self._cells[group], self._rows[part]
            workspace = self._workspaces[thread].take(cells, rows)
            outputs = self.outputs[cells, rows]
            workspace.forward(weights, features[cells, rows], outputs)
            self._subtract(outputs, values[cells, rows], workspace.of_outputs)
            if importance is not None:
                torch.abs(workspace.of_outputs, out=self.errors[cells, rows])
                workspace.of_outputs.mul_(importance[cells, rows])
            workspace.of_outputs.mul_(self._scale(cells))
            workspace.backward(weights, features[cells, rows], self._split[part])

        self._team.run(differentiate, len(self._cells) * len(self._rows))
        found = self._gradient
        if len(self._rows) > 1:
            torch.sum(self._weights, dim=0, out=found.weights)
            torch.sum(self._biases, dim=0, out=found.biases)
        if self._architecture.activation == "smooth":
            # The activations that multiplied them were twice their values.
            found.weights[self._after_first :].mul_(0.5)
        if self._loss == "log-squared-error":
            self._through_logarithm(found, values)
        return found

    @torch.no_grad()
    def measure(
        self,
        weights: TargetWeights,
        features: torch.Tensor,
        values: torch.Tensor,
        errors: torch.Tensor,
    ) -> None:
        """Write the errors of any number of samples into a (K, M, out_dim) tensor.

        The other parameters are as those of a batch.
        """
        weights = _prepared(self._architecture, weights)
        size = self._rows[0].stop
        pieces = [
            (cells, rows) for rows in _slices(features.shape[1], size) for cells in self._cells
        ]

        def evaluate(thread: int, piece: int) -> None:
            cells, rows = pieces[piece]
            workspace = self._workspaces[thread].take(cells, rows)
            target = errors[cells, rows]
            workspace.forward(weights, features[cells, rows], target)
            self._subtract(target, values[cells, rows], target)
            target.abs_()

        self._team.run(evaluate, len(pieces))

    def _subtract(self, outputs: torch.Tensor, values: torch.Tensor, delta: torch.Tensor) -> None:
        """Write into `delta` what outputs give, a probability or themselves, less the values.

        The loss's derivative by each output, but for a factor.
        """
        if self._loss == "cross-entropy":
            torch.sigmoid(outputs, out=delta).sub_(values)
        else:
            torch.sub(outputs, values, out=delta)

    def _scale(self, cells: slice) -> torch.Tensor | float:
        """Factor of some networks' losses, which are means."""
        scale = 1 / (self.outputs.shape[1] * self.outputs.shape[2])
        if self._loss == "log-squared-error":
            scale *= 2
        return scale if self._shares is None else self._shares[cells] * scale

    def _through_logarithm(self, found: TargetGradient, values: torch.Tensor) -> None:
        """Turn the gradient of the mean squared error into that of its logarithm."""
        # d log(e + r^2) is d r^2 / (e + r^2), and the gradient is linear in the former.
        errors = (self.outputs - values).square().mean(dim=(1, 2), keepdim=True)
        error = (errors if self._shares is None else errors * self._shares).sum()
        found.weights.div_(error + LEAST_SQUARED_ERROR)
        found.biases.div_(error + LEAST_SQUARED_ERROR)


class _Workspace:
    """What one thread works with: all activations of a piece, and their gradients.

    A smooth network's activations s (v - s / 2), v being its argument plus 1 and s that clamped
    to [0, 2], are twice their values: it takes the fewest passes over memory.
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
        # A sine needs what went into it as well; a smooth unit twice its slope.
        slopes = widths[:-1] if architecture.activation != "relu" else []
        self._flat = buffers(widths[:-1]), buffers(slopes), buffers(widths)
        self._size = (0, 0)
        self._cells = slice(0)
        self._activations: list[torch.Tensor] = []
        self._slopes: list[torch.Tensor] = []
        self._deltas: list[torch.Tensor] = []

    def take(self, cells: slice, rows: slice) -> _Workspace:
        """Get ready for a piece."""
        self._cells = cells
        size = (cells.stop - cells.start, rows.stop - rows.start)
        if size != self._size:
            self._size = size
            self._activations, self._slopes, self._deltas = (
                [
                    flat[: math.prod(size) * width].view(*size, width)
                    for flat, width in zip(kind, self._widths, strict=False)
                ]
                for kind in self._flat
            )
        return self

    @property
    def of_outputs(self) -> torch.Tensor:
        """Where the loss's gradient by the outputs is to be put."""
        return self._deltas[-1]

    def forward(
        self, weights: TargetWeights, features: torch.Tensor, outputs: torch.Tensor
    ) -> None:
        inputs = features
        layers = zip(weights.matrices, weights.biases, [*self._activations, None], strict=True)
        for layer, (matrix, bias, activation) in enumerate(layers):
            target = outputs if activation is None else activation
            torch.baddbmm(bias[self._cells, None], inputs, matrix[self._cells].mT, out=target)
            if activation is not None:
                self._activate(layer, activation)
                inputs = activation

    def backward(
        self, weights: TargetWeights, features: torch.Tensor, gradient: TargetWeights
    ) -> None:
        cells, deltas = self._cells, self._deltas
        for layer in range(len(deltas) - 1, -1, -1):
            delta = deltas[layer]
            inputs = self._activations[layer - 1] if layer else features
            torch.bmm(delta.mT, inputs, out=gradient.matrices[layer][cells])
            torch.sum(delta, dim=1, out=gradient.biases[layer][cells])
            if layer:
                torch.bmm(delta, weights.matrices[layer][cells], out=deltas[layer - 1])
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
        delta = self._deltas[layer]
        if self._activation == "relu":
            # Where the output is 0, so is the derivative.
            torch.ops.aten.threshold_backward.grad_input(
                delta, self._activations[layer], 0, grad_input=delta
            )
        elif self._activation == "smooth":
            # Half of it is in the weights.
            delta.mul_(self._slopes[layer])
        else:
            delta.mul_(self._slopes[layer].cos_()).mul_(self._omega)


def _prepared(architecture: Architecture, weights: TargetWeights) -> TargetWeights:
    """Weights as `_Workspace` takes them: a smooth unit's argument is plus 1, its value twice."""
    if architecture.activation != "smooth":
        return weights
    first, *others = weights.matrices
    *hidden, last = weights.biases
    return TargetWeights(
        (first, *(matrix * 0.5 for matrix in others)), (*(bias + 1 for bias in hidden), last)
    )


def _size_of_a_piece(width: int, count: int, batch: int, device: torch.device) -> tuple[int, int]:
    """Networks and rows: some networks with all their rows, or one with some of them."""
    if device.type != "cpu":
        return count, batch
    cached = max(1, _CACHED_ACTIVATIONS // width)
    if batch <= cached:
        return min(count, cached // batch), batch
    # An even number of parts, for two threads.
    parts = 2 * math.ceil(batch / cached / 2)
    return 1, math.ceil(batch / parts)


def _slices(count: int, size: int) -> Iterator[slice]:
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))
