"""How sharply the loss bends along each weight, learned from the gradients themselves.

A hypernetwork mixes all weights in every latent number, so that no step size for each number, as
Adam's, can tell sharp directions from flat ones. Here they are told apart where they have a
structure: in the weight matrices, as in SOAP (Vyas et al., "SOAP: improving and stabilizing
Shampoo using Adam", ICLR 2025) and Shampoo (Gupta, Koren, Singer, ICML 2018). The moments of a
matrix's gradient G, E[G G^T] and E[G^T G], give two bases in which Adam's second moment is close
to diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

# How much of the past the bases' moments keep in each step, and of the second moment.
_BASIS_MEMORY = 0.95
_MOMENT_MEMORY = 0.95

# Steps between two turns of the bases: they turn slowly, and a factorisation costs as much as
# several products.
_TURN_INTERVAL = 10


class WeightCurvature:
    """Running estimate of the metric U diag(sqrt v) U^T of all weights.

    U turns each layer's matrix into the eigenbases of its gradient's row and column moments; v is
    the second moment of the turned gradient. Everything is on one device, and no value is read
    back from it.

    Parameters
    ----------
    shapes : list of (fan_out, fan_in)
        Of the layers.
    device : torch.device
    count : int, optional
        K networks of these shapes, each with a metric of its own. All (P,) tensors are then
        (K P,), each layer's K matrices one after the other, and a trace is (K, 1).
    joint : bool
        Whether the K networks are those of one latent: their metric is one, and so is its trace.
    """

    def __init__(
        self,
        shapes: list[tuple[int, int]],
        device: torch.device,
        count: int | None = None,
        *,
        joint: bool = False,
    ) -> None:
        leading = () if count is None else (count,)
        self._shapes = [(*leading, *shape) for shape in shapes]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._count = count
        self._joint = joint or count is None
        self._moments = [
            torch.zeros((*leading, size, size), device=device) for shape in shapes for size in shape
        ]
        self._bases = [
            # Memory of its own for each, so that a checkpoint can be copied there.
            torch.eye(size, device=device).expand(*leading, size, size).clone()
            for shape in shapes
            for size in shape
        ]
        self._variance = torch.zeros(sum(self._sizes), device=device)
        self._roots = torch.ones_like(self._variance)
        self.updates = 0

    def update(self, gradient: torch.Tensor) -> None:
        """Learn from a (P,) gradient by the weights."""
        for layer, flat in enumerate(gradient.split(self._sizes)):
            matrix = flat.view(self._shapes[layer])
            left, right = self._moments[2 * layer], self._moments[2 * layer + 1]
            self._accumulate(left.mul_(_BASIS_MEMORY), matrix, matrix.mT)
            self._accumulate(right.mul_(_BASIS_MEMORY), matrix.mT, matrix)
        if self.updates % _TURN_INTERVAL == 0:
            # One step of orthogonal iteration, as SOAP takes it, follows the eigenvectors.
            self._bases = [
                torch.linalg.qr(moment @ basis).Q
                for moment, basis in zip(self._moments, self._bases, strict=True)
            ]
        self.updates += 1
        turned = self._turn(gradient)
        self._variance.mul_(_MOMENT_MEMORY)
        self._variance.addcmul_(turned, turned, value=1 - _MOMENT_MEMORY)
        torch.sqrt(self._variance / (1 - _MOMENT_MEMORY**self.updates), out=self._roots)

    def multiply(self, weights: torch.Tensor) -> torch.Tensor:
        """Apply the metric to (P,) weights."""
        return self._turn_back(self._turn(weights).mul_(self._roots))

    def solve(self, weights: torch.Tensor, scale: float, damping: torch.Tensor) -> torch.Tensor:
        """Undo `scale` times the metric, plus `damping` times the identity, on (P,) weights."""
        return self._turn_back(self._turn(weights).div_(self._roots * scale + damping))

    def trace(self) -> torch.Tensor:
        """Sum of the metric's eigenvalues."""
        if self._joint:
            return self._roots.sum()
        layers = self._roots.split(self._sizes)
        return torch.stack([layer.view(self._count or 1, -1).sum(dim=1) for layer in layers]).sum(
            0
        )[:, None]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything learned, by name; copying into it restores it."""
        named = {"variance": self._variance, "roots": self._roots}
        for number, (moment, basis) in enumerate(zip(self._moments, self._bases, strict=True)):
            named |= {f"moment {number}": moment, f"basis {number}": basis}
        return named

    def _accumulate(self, moment: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
        add = torch.Tensor.addmm_ if self._count is None else torch.Tensor.baddbmm_
        add(moment, left, right, alpha=1 - _BASIS_MEMORY)

    def _turn(self, weights: torch.Tensor) -> torch.Tensor:
        """U^T times (P,) weights, in memory of its own."""
        turned = torch.empty_like(weights)
        for layer, (flat, target) in enumerate(self._layers(weights, turned)):
            left, right = self._bases[2 * layer], self._bases[2 * layer + 1]
            torch.matmul(left.mT @ flat, right, out=target)
        return turned

    def _turn_back(self, turned: torch.Tensor) -> torch.Tensor:
        """U times (P,) turned weights, in memory of its own."""
        weights = torch.empty_like(turned)
        for layer, (flat, target) in enumerate(self._layers(turned, weights)):
            left, right = self._bases[2 * layer], self._bases[2 * layer + 1]
            torch.matmul(left @ flat, right.mT, out=target)
        return weights

    def _layers(
        self, first: torch.Tensor, second: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Both (P,) tensors' matrices, layer by layer, as views."""
        firsts, seconds = first.split(self._sizes), second.split(self._sizes)
        for shape, one, other in zip(self._shapes, firsts, seconds, strict=True):
            yield one.view(shape), other.view(shape)
