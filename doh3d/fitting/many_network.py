"""The loss's gradient of many target networks at once, as batched matrix products.

Those of many shapes, each with a loss of its own, or those of one signal's cells.
"""

from __future__ import annotations

import torch

from doh3d.fitting.config import Loss
from doh3d.fitting.gradient import LEAST_SQUARED_ERROR, TargetGradient
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights, smooth_relu, split_many

# Numbers in the activations of one layer that are held at a time on the CPU: with those of all
# layers they stay in its cache.
_CACHED_ACTIVATIONS = 2**16


class ManyBackward:
    """Forward and backward pass of K target networks of one architecture, each on its own batch.

    The gradient by the weights is flat as `HadamardProjection.for_many` has them: each layer's K
    matrices, one after the other.

    Attributes
    ----------
    outputs : (K, N, out_dim) float32
        Of the last batch; a buffer that the next one overwrites.
    """

    def __init__(
        self, architecture: Architecture, count: int, batch: int, device: torch.device
    ) -> None:
        self._architecture = architecture
        self._count = count
        shapes = architecture.layer_shapes
        self._at_once = count
        if device.type == "cpu":
            cached = _CACHED_ACTIVATIONS // (batch * architecture.width)
            self._at_once = min(count, max(1, cached))

        def buffers(rows: list[int]) -> list[torch.Tensor]:
            return [torch.empty((self._at_once, batch, size), device=device) for size in rows]

        widths = [rows for rows, _ in shapes]
        self._outputs, self._deltas = buffers(widths[:-1]), buffers(widths)
        # A sine needs what went into it as well.
        self._angles = buffers(widths[:-1]) if architecture.activation == "sine" else []
        self._slopes = buffers(widths[:-1]) if architecture.activation == "smooth" else []
        self._ones = torch.ones((self._at_once, 1, batch), device=device)
        self.outputs = torch.empty((count, batch, widths[-1]), device=device)
        weights = torch.zeros(count * architecture.weight_count, device=device)
        biases = torch.zeros((count, architecture.bias_count), device=device)
        self._gradient = TargetGradient(weights, biases)
        split = split_many(architecture, weights, biases)
        self._matrix_gradients, self._bias_gradients = split.matrices, split.biases

    @torch.no_grad()
    def __call__(
        self,
        weights: TargetWeights,
        features: torch.Tensor,
        values: torch.Tensor,
    ) -> TargetGradient:
        """Differentiate each network's mean binary cross-entropy.

        Parameters
        ----------
        weights : TargetWeights
            Of K networks.
        features : (K, N, encoded_dim) float32
            Encoded points, N being the batch size.
        values : (K, N, out_dim) float32
            What the networks should give.

        Returns
        -------
        TargetGradient
            (K P,) and (K, bias_count).
        """
        for first in range(0, self._count, self._at_once):
            part = slice(first, min(first + self._at_once, self._count))
            self._differentiate(weights, part, features[part], values[part])
        return self._gradient

    def _differentiate(
        self, target: TargetWeights, part: slice, features: torch.Tensor, values: torch.Tensor
    ) -> None:
        count = len(features)
        matrices = [matrix[part] for matrix in target.matrices]
        biases = [bias[part, None] for bias in target.biases]
        outputs = [output[:count] for output in self._outputs]
        deltas = [delta[:count] for delta in self._deltas]
        inputs = [features, *outputs]
        for layer, output in enumerate([*outputs, self.outputs[part]]):
            torch.baddbmm(biases[layer], inputs[layer], matrices[layer].mT, out=output)
            if layer < len(outputs):
                self._activate(layer, output)
        self._by_outputs(part, values, deltas[-1])
        for layer in range(len(deltas) - 1, -1, -1):
            delta = deltas[layer]
            torch.bmm(delta.mT, inputs[layer], out=self._matrix_gradients[layer][part])
            torch.sum(delta, dim=1, out=self._bias_gradients[layer][part])
            if layer:
                torch.bmm(delta, matrices[layer], out=deltas[layer - 1])
                self._through_activation(layer - 1, deltas[layer - 1], outputs[layer - 1])

    def _by_outputs(self, part: slice, values: torch.Tensor, delta: torch.Tensor) -> None:
        """Differentiate the losses of some networks by their outputs, into `delta`."""
        # d/dlogit of the cross-entropy of a sigmoid.
        torch.sigmoid(self.outputs[part], out=delta)
        delta.sub_(values).div_(values.shape[1])

    def _activate(self, layer: int, output: torch.Tensor) -> None:
        if self._angles:
            angle = self._angles[layer][: len(output)]
            torch.mul(output, self._architecture.omega, out=angle)
            torch.sin(angle, out=output)
        elif self._slopes:
            smooth_relu(output, self._slopes[layer][: len(output)])
        else:
            output.clamp_min_(0)

    def _through_activation(self, layer: int, delta: torch.Tensor, output: torch.Tensor) -> None:
        """Multiply the gradient by the activation's derivative."""
        if self._angles:
            angle = self._angles[layer][: len(delta)]
            delta.mul_(angle.cos_()).mul_(self._architecture.omega)
        elif self._slopes:
            delta.mul_(self._slopes[layer][: len(delta)])
        else:
            # Where the output is 0, so is the derivative.
            torch.ops.aten.threshold_backward.grad_input(delta, output, 0, grad_input=delta)


class CellsBackward(ManyBackward):
    """The same for the K networks of one signal's cells, whose losses make one.

    Parameters
    ----------
    shares : (K,) float32
        Of each cell in the loss; their sum is 1.
    """

    def __init__(
        self,
        architecture: Architecture,
        batch: int,
        device: torch.device,
        loss: Loss,
        shares: torch.Tensor,
    ) -> None:
        super().__init__(architecture.of_a_cell, architecture.cells, batch, device)
        self._loss = loss
        self._shares = shares[:, None, None]

    @torch.no_grad()
    def __call__(
        self, weights: TargetWeights, features: torch.Tensor, values: torch.Tensor
    ) -> TargetGradient:
        """Differentiate the loss of all cells: as `TargetBackward`, the gradient flat."""
        gradient = super().__call__(weights, features, values)
        if self._loss == "log-squared-error":
            # d log(e + r^2) is d r^2 / (e + r^2), and the gradient is linear in the former.
            error = ((self.outputs - values).square() * self._shares).sum()
            error = error / values[0].numel() + LEAST_SQUARED_ERROR
            gradient.weights.div_(error)
            gradient.biases.div_(error)
        return TargetGradient(gradient.weights, gradient.biases.view(-1))

    def _by_outputs(self, part: slice, values: torch.Tensor, delta: torch.Tensor) -> None:
        if self._loss == "cross-entropy":
            super()._by_outputs(part, values, delta)
            delta.mul_(self._shares[part])
        else:
            torch.sub(self.outputs[part], values, out=delta)
            delta.mul_(self._shares[part] * (2 / values[0].numel()))
