"""The loss's gradient of many target networks at once, as batched matrix products."""

from __future__ import annotations

import torch

from doh3d.fitting.gradient import TargetGradient
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights

# Numbers in the activations of one layer that are held at a time on the CPU: with those of all
# layers they stay in its cache.
_CACHED_ACTIVATIONS = 2**16


class ManyBackward:
    """Forward and backward pass of K target networks of one architecture, each on its own batch.

    Weights are flat as `HadamardProjection.for_many` makes them: each layer's K matrices, one
    after the other.

    Attributes
    ----------
    logits : (K, N, 1) float32
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
        self._ones = torch.ones((self._at_once, 1, batch), device=device)
        self.logits = torch.empty((count, batch, widths[-1]), device=device)
        weights = torch.zeros(count * architecture.weight_count, device=device)
        biases = torch.zeros((count, architecture.bias_count), device=device)
        self._gradient = TargetGradient(weights, biases)
        split = split_many(architecture, weights, biases)
        self._matrix_gradients, self._bias_gradients = split.matrices, split.biases

    @torch.no_grad()
    def __call__(
        self,
        weights: torch.Tensor,
        biases: torch.Tensor,
        features: torch.Tensor,
        labels: torch.Tensor,
    ) -> TargetGradient:
        """Differentiate each network's mean binary cross-entropy.

        Parameters
        ----------
        weights : (K P,) float32
        biases : (K, bias_count) float32
        features : (K, N, encoded_dim) float32
            Encoded points, N being the batch size.
        labels : (K, N, 1) float32

        Returns
        -------
        TargetGradient
            (K P,) and (K, bias_count).
        """
        split = split_many(self._architecture, weights, biases)
        for first in range(0, self._count, self._at_once):
            part = slice(first, min(first + self._at_once, self._count))
            self._differentiate(split, part, features[part], labels[part])
        return self._gradient

    def _differentiate(
        self, target: TargetWeights, part: slice, features: torch.Tensor, labels: torch.Tensor
    ) -> None:
        count = len(features)
        matrices = [matrix[part] for matrix in target.matrices]
        biases = [bias[part, None] for bias in target.biases]
        outputs = [output[:count] for output in self._outputs]
        deltas = [delta[:count] for delta in self._deltas]
        inputs = [features, *outputs]
        for layer, output in enumerate([*outputs, self.logits[part]]):
            torch.baddbmm(biases[layer], inputs[layer], matrices[layer].mT, out=output)
            if layer < len(outputs):
                self._activate(layer, output)
        # d/dlogit of the cross-entropy of a sigmoid.
        torch.sigmoid(self.logits[part], out=deltas[-1])
        deltas[-1].sub_(labels).div_(features.shape[1])
        for layer in range(len(deltas) - 1, -1, -1):
            delta = deltas[layer]
            torch.bmm(delta.mT, inputs[layer], out=self._matrix_gradients[layer][part])
            torch.sum(delta, dim=1, out=self._bias_gradients[layer][part])
            if layer:
                torch.bmm(delta, matrices[layer], out=deltas[layer - 1])
                self._through_activation(layer - 1, deltas[layer - 1], outputs[layer - 1])

    def _activate(self, layer: int, output: torch.Tensor) -> None:
        if self._angles:
            angle = self._angles[layer][: len(output)]
            torch.mul(output, self._architecture.omega, out=angle)
            torch.sin(angle, out=output)
        else:
            output.clamp_min_(0)

    def _through_activation(self, layer: int, delta: torch.Tensor, output: torch.Tensor) -> None:
        """Multiply the gradient by the activation's derivative."""
        if self._angles:
            angle = self._angles[layer][: len(delta)]
            delta.mul_(angle.cos_()).mul_(self._architecture.omega)
        else:
            # Where the output is 0, so is the derivative.
            torch.ops.aten.threshold_backward.grad_input(delta, output, 0, grad_input=delta)


def split_many(
    architecture: Architecture, weights: torch.Tensor, biases: torch.Tensor
) -> TargetWeights:
    """Cut (K P,) weights and (K, bias_count) biases into layers, as views.

    Matrices are (K, fan_out, fan_in) and biases (K, fan_out).
    """
    count = len(biases)
    shapes = architecture.layer_shapes
    matrices = weights.split([count * size for size in architecture.layer_sizes])
    return TargetWeights(
        tuple(flat.view(count, *shape) for flat, shape in zip(matrices, shapes, strict=True)),
        tuple(biases.split([rows for rows, _ in shapes], dim=1)),
    )
