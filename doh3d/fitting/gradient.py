"""The target network's loss and its gradient, written out.

Autograd allocates every activation anew in each step; for layers this small the memory's first
touch costs more than the arithmetic. Here all buffers are made once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from doh3d.fitting.config import Loss
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights, smooth_relu

# Squared error that is added under the logarithm: about what rounding to 8 bits makes of values in
# [-1, 1]. Below it nothing is to be gained.
LEAST_SQUARED_ERROR = 5e-6


@dataclass(frozen=True)
class TargetGradient:
    """Gradient of the mean loss of a batch.

    The tensors are buffers that the next batch overwrites.

    Attributes
    ----------
    weights : (P,) float32
    biases : (bias_count,) float32
    """

    weights: torch.Tensor
    biases: torch.Tensor


class TargetBackward:
    """Forward and backward pass of a target network on batches of one size.

    Attributes
    ----------
    outputs : (N, out_dim) float32
        Of the last batch, logits or values as the loss takes them; a buffer too.
    """

    def __init__(
        self,
        architecture: Architecture,
        batch: int,
        device: torch.device,
        loss: Loss = "cross-entropy",
    ) -> None:
        self._architecture = architecture
        self._loss = loss
        shapes = architecture.layer_shapes

        def buffers() -> list[torch.Tensor]:
            return [torch.empty((batch, rows), device=device) for rows, _ in shapes]

        self._outputs, self._deltas = buffers(), buffers()
        # A sine needs what went into it as well.
        self._angles = buffers()[:-1] if architecture.activation == "sine" else []
        self._slopes = buffers()[:-1] if architecture.activation == "smooth" else []
        self._ones = torch.ones(batch, device=device)
        weights = torch.zeros(architecture.weight_count, device=device)
        biases = torch.zeros(architecture.bias_count, device=device)
        self.outputs = self._outputs[-1]
        self._gradient = TargetGradient(weights, biases)
        split = weights.split(architecture.layer_sizes)
        self._matrix_gradients = [
            flat.view(shape) for flat, shape in zip(split, shapes, strict=True)
        ]
        self._bias_gradients = biases.split([rows for rows, _ in shapes])

    @torch.no_grad()
    def __call__(
        self, weights: TargetWeights, features: torch.Tensor, values: torch.Tensor
    ) -> TargetGradient:
        """Differentiate the mean loss over the batch.

        Parameters
        ----------
        features : (N, encoded_dim) float32
            Encoded points, N being the batch size.
        values : (N, out_dim) float32
            What the network should give: for the cross-entropy 1 inside and 0 outside.
        """
        self._forward(weights, features)
        deltas = self._deltas
        if self._loss == "cross-entropy":
            # d/dlogit of the cross-entropy of a sigmoid.
            torch.sigmoid(self.outputs, out=deltas[-1])
            deltas[-1].sub_(values).div_(values.numel())
        else:
            torch.sub(self.outputs, values, out=deltas[-1])
            # d/dvalue of log(e + mean r^2) is 2 r / (N e + sum r^2).
            least = LEAST_SQUARED_ERROR * values.numel()
            deltas[-1].mul_(2 / (deltas[-1].square().sum() + least))
        for layer in range(len(deltas) - 1, -1, -1):
            inputs = self._outputs[layer - 1] if layer else features
            torch.mm(deltas[layer].T, inputs, out=self._matrix_gradients[layer])
            torch.mv(deltas[layer].T, self._ones, out=self._bias_gradients[layer])
            if layer:
                torch.mm(deltas[layer], weights.matrices[layer], out=deltas[layer - 1])
                self._through_activation(layer - 1)
        return self._gradient

    def _forward(self, weights: TargetWeights, features: torch.Tensor) -> None:
        inputs = features
        last = len(self._outputs) - 1
        for layer, output in enumerate(self._outputs):
            torch.addmm(weights.biases[layer], inputs, weights.matrices[layer].T, out=output)
            if layer == last:
                break
            if self._angles:
                torch.mul(output, self._architecture.omega, out=self._angles[layer])
                torch.sin(self._angles[layer], out=output)
            elif self._slopes:
                smooth_relu(output, self._slopes[layer])
            else:
                output.clamp_min_(0)
            inputs = output

    def _through_activation(self, layer: int) -> None:
        """Multiply the gradient by the activation's derivative."""
        delta = self._deltas[layer]
        if self._angles:
            delta.mul_(self._angles[layer].cos_()).mul_(self._architecture.omega)
        elif self._slopes:
            delta.mul_(self._slopes[layer])
        else:
            # Where the output is 0, so is the derivative.
            torch.ops.aten.threshold_backward.grad_input(
                delta, self._outputs[layer], 0, grad_input=delta
            )
