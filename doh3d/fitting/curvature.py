"""How sharply the loss bends along each weight, learned from the gradients themselves.

A hypernetwork mixes all weights in every latent number, so that no step size for each number, as
Adam's, can tell sharp directions from flat ones. Here they are told apart where they have a
structure: in the weight matrices, as in SOAP (Vyas et al., "SOAP: improving and stabilizing
Shampoo using Adam", ICLR 2025) and Shampoo (Gupta, Koren, Singer, ICML 2018). The moments of a
matrix's gradient G, E[G G^T] and E[G^T G], give two bases in which Adam's second moment is close
to diagonal.
"""

from __future__ import annotations

import itertools
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
        networks = 1 if count is None else count
        # Neighbours of one shape are one batch of matrices.
        groups = [(shape, len(list(same))) for shape, same in itertools.groupby(shapes)]
        self._shapes = [(layers * networks, *shape) for shape, layers in groups]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._networks = networks
        self._joint = joint or count is None
        sides = [(many, side) for many, *shape in self._shapes for side in shape]
        self._moments = [torch.zeros((many, side, side), device=device) for many, side in sides]
        self._bases = [
            # Memory of its own for each, so that a checkpoint can be copied there.
            torch.eye(side, device=device).expand(many, side, side).clone()
            for many, side in sides
        ]
        self._variance = torch.zeros(sum(self._sizes), device=device)
        self._roots = torch.ones_like(self._variance)
        # What is between two products, and a result that is used at once.
        self._between = torch.empty_like(self._variance)
        self._turned = torch.empty_like(self._variance)
        self.updates = 0

    def update(self, gradient: torch.Tensor) -> None:
        """Learn from a (P,) gradient by the weights."""
        for group, flat in enumerate(gradient.split(self._sizes)):
            matrix = flat.view(self._shapes[group])
            left, right = self._moments[2 * group], self._moments[2 * group + 1]
            for moment, one, other in ((left, matrix, matrix.mT), (right, matrix.mT, matrix)):
                moment.baddbmm_(one, other, beta=_BASIS_MEMORY, alpha=1 - _BASIS_MEMORY)
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
        # Of each network, over its layers.
        of_groups = [
            group.view(-1, self._networks, math.prod(shape)).sum(dim=(0, 2))
            for group, (_, *shape) in zip(self._roots.split(self._sizes), self._shapes, strict=True)
        ]
        return torch.stack(of_groups).sum(dim=0)[:, None]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything learned, by name; copying into it restores it."""
        named = {"variance": self._variance, "roots": self._roots}
        for number, (moment, basis) in enumerate(zip(self._moments, self._bases, strict=True)):
            named |= {f"moment {number}": moment, f"basis {number}": basis}
        return named

    def _turn(self, weights: torch.Tensor) -> torch.Tensor:
        """U^T times (P,) weights, in memory that the next turn overwrites."""
        for group, (flat, between, target) in enumerate(self._groups(weights, self._turned)):
            left, right = self._bases[2 * group], self._bases[2 * group + 1]
            torch.bmm(torch.bmm(left.mT, flat, out=between), right, out=target)
        return self._turned

    def _turn_back(self, turned: torch.Tensor) -> torch.Tensor:
        """U times (P,) turned weights, in memory of its own."""
        weights = torch.empty_like(turned)
        for group, (flat, between, target) in enumerate(self._groups(turned, weights)):
            left, right = self._bases[2 * group], self._bases[2 * group + 1]
            torch.bmm(torch.bmm(left, flat, out=between), right.mT, out=target)
        return weights

    def _groups(
        self, first: torch.Tensor, last: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Matrices of (P,) tensors, and of the memory between them, group by group, as views."""
        parts = [tensor.split(self._sizes) for tensor in (first, self._between, last)]
        for shape, one, between, other in zip(self._shapes, *parts, strict=True):
            yield one.view(shape), between.view(shape), other.view(shape)
