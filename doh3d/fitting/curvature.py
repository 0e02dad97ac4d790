"""The curvature of the loss along the weights, estimated from the gradients themselves.

A hypernetwork mixes all weights in every latent number, so that a step size for each number, as
Adam has it, cannot tell sharp directions from flat ones. Here they are told apart where they have
a structure: in the weight matrices, as in SOAP (Vyas et al., "SOAP: improving and stabilizing
Shampoo using Adam", ICLR 2025) and Shampoo (Gupta, Koren, Singer, ICML 2018). The moments of a
matrix's gradient G, E[G G^T] and E[G^T G], give two bases in which Adam's second moment is close
to diagonal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch

# Decay of the bases' moments and of the second moment in each step.
_BASIS_MEMORY = 0.95
_MOMENT_MEMORY = 0.95

# Steps between two updates of the bases: they change slowly, and a factorisation costs as much as
# several products.
BASIS_INTERVAL = 10


class WeightCurvature:
    """Running estimate of the metric U diag(sqrt v) U^T of all weights.

    U rotates each layer's matrix into the eigenbases of its gradient's row and column moments; v is
    the second moment of the rotated gradient. Everything is on one device, and no value is read
    back from it.

    Parameters
    ----------
    shapes : list of (fan_out, fan_in)
        Of the layers.
    device : torch.device
    signals, cells : int
        S signals have C networks of these shapes each, K = S C. All (P,) tensors are then (K P,),
        with each layer's K matrices one after the other. A signal's networks have one metric and
        one trace: a number for one signal, (S, 1) for several.
    """

    def __init__(
        self,
        shapes: list[tuple[int, int]],
        device: torch.device,
        signals: int = 1,
        cells: int = 1,
    ) -> None:
        networks = signals * cells
        # Successive layers of one shape make one batch of matrices.
        groups = [(shape, len(list(same))) for shape, same in itertools.groupby(shapes)]
        self._shapes = [(layers * networks, *shape) for shape, layers in groups]
        self._layers = [layers for _, layers in groups]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._signals, self._cells = signals, cells
        sides = [(many, side) for many, *shape in self._shapes for side in shape]
        self._moments = [torch.zeros((many, side, side), device=device) for many, side in sides]
        self._bases = [
            # Each has memory of its own, so that a checkpoint can be copied there.
            torch.eye(side, device=device).expand(many, side, side).clone()
            for many, side in sides
        ]
        self._variance = torch.zeros(sum(self._sizes), device=device)
        self._roots = torch.ones_like(self._variance)
        self.updates = torch.zeros((), dtype=torch.float64, device=device)
        self._make_products()

    def _make_products(self) -> None:
        """List the products of a rotation and of its inverse, with the memory they pass through.

        There are thousands of small products in a second: finding memory anew for each would cost
        as much as the arithmetic.
        """
        flat = [torch.zeros_like(self._variance) for _ in range(4)]
        self._given, _, self._rotated, self._returned = flat
        parts = [
            [
                part.view(shape)
                for part, shape in zip(tensor.split(self._sizes), self._shapes, strict=True)
            ]
            for tensor in flat
        ]
        self._there: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._back: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        bases = zip(self._bases[::2], self._bases[1::2], strict=True)
        for (left, right), given, middle, rotated, returned in zip(bases, *parts, strict=True):
            if left.shape[-1] == 1:
                # A basis of one vector is a sign, which comes twice.
                self._there.append((given, right, rotated))
                self._back.append((rotated, right.mT, returned))
            else:
                self._there += [(left.mT, given, middle), (middle, right, rotated)]
                self._back += [(left, rotated, middle), (middle, right.mT, returned)]

    @property
    def shapes_of_one(self) -> list[tuple[int, int, int]]:
        """How many matrices of which rows and columns one signal has, group by group."""
        shapes = zip(self._shapes, self._layers, strict=True)
        return [(layers * self._cells, rows, columns) for (_, rows, columns), layers in shapes]

    def of_signal(self, signal: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield the roots and the left and right bases of each group of a signal's matrices.

        All are views, (layers, C, rows, columns), (layers, C, rows, rows) and
        (layers, C, columns, columns).
        """
        for group, roots in enumerate(self._roots.split(self._sizes)):
            lead = self._layers[group], self._signals, self._cells
            left, right = self._bases[2 * group : 2 * group + 2]
            matrices = (roots.view(self._shapes[group]), left, right)
            roots, left, right = (each.view(*lead, *each.shape[1:])[:, signal] for each in matrices)
            yield roots, left, right

    def see(self, gradient: torch.Tensor) -> None:
        """Take the moments of a (P,) gradient by the weights."""
        for group, flat in enumerate(gradient.split(self._sizes)):
            matrix = flat.view(self._shapes[group])
            left, right = self._moments[2 * group], self._moments[2 * group + 1]
            for moment, one, other in ((left, matrix, matrix.mT), (right, matrix.mT, matrix)):
                moment.baddbmm_(one, other, beta=_BASIS_MEMORY, alpha=1 - _BASIS_MEMORY)

    def follow(self) -> None:
        """Turn the bases with the moments, in the first step and in every `BASIS_INTERVAL`-th.

        One step of orthogonal iteration, as SOAP takes it, follows the eigenvectors.
        """
        for moment, basis in zip(self._moments, self._bases, strict=True):
            basis.copy_(orthonormal(moment @ basis))

    def learn(self, gradient: torch.Tensor) -> None:
        """Learn from the (P,) gradient that was seen, in the bases as they are now."""
        self.updates.add_(1)
        rotated = self._rotate(gradient)
        self._variance.mul_(_MOMENT_MEMORY)
        self._variance.addcmul_(rotated, rotated, value=1 - _MOMENT_MEMORY)
        torch.sqrt(self._variance / (1 - _MOMENT_MEMORY**self.updates), out=self._roots)

    def multiply(self, weights: torch.Tensor) -> torch.Tensor:
        """Apply the metric to (P,) weights; the next product overwrites the result."""
        self._rotate(weights).mul_(self._roots)
        return self._rotate_back()

    def solve(self, weights: torch.Tensor, scale: float, damping: torch.Tensor) -> torch.Tensor:
        """Apply the inverse of `scale` times the metric plus `damping` times I to (P,) weights.

        The next product overwrites the result.
        """
        self._rotate(weights).div_(self._roots * scale + damping)
        return self._rotate_back()

    def trace(self) -> torch.Tensor:
        """Sum of the metric's eigenvalues."""
        if self._signals == 1:
            return self._roots.sum()
        # Each signal's sum runs over its layers.
        of_groups = [
            group.view(self._layers[k], self._signals, -1).sum(dim=(0, 2))
            for k, group in enumerate(self._roots.split(self._sizes))
        ]
        return torch.stack(of_groups).sum(dim=0)[:, None]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that were learned; copying into them restores them."""
        named = {"variance": self._variance, "roots": self._roots}
        named["updates of the curvature"] = self.updates
        for number, (moment, basis) in enumerate(zip(self._moments, self._bases, strict=True)):
            named |= {f"moment {number}": moment, f"basis {number}": basis}
        return named

    def _rotate(self, weights: torch.Tensor) -> torch.Tensor:
        """U^T times (P,) weights."""
        self._given.copy_(weights)
        for left, right, result in self._there:
            torch.bmm(left, right, out=result)
        return self._rotated

    def _rotate_back(self) -> torch.Tensor:
        """U times what has been rotated."""
        for left, right, result in self._back:
            torch.bmm(left, right, out=result)
        return self._returned


def orthonormal(matrices: torch.Tensor) -> torch.Tensor:
    """Q of the QR factorisations of (K, n, n) matrices, but for the signs of its columns."""
    if matrices.device.type != "cuda":
        q: torch.Tensor = torch.linalg.qr(matrices).Q
        return q
    return orthonormal_by_blocks(matrices)


def orthonormal_by_blocks(matrices: torch.Tensor) -> torch.Tensor:
    """Q as `orthonormal` has it, in operations that CUDA does on all matrices at once.

    There, torch multiplies Householder reflections out one matrix after the other. All n of a
    matrix are I - V T V^T with T^-1 = D^-1 + U, where V has their vectors, D their factors, and U
    is V^T V above its diagonal (Schreiber, Van Loan, SIAM J. Sci. Stat. Comput. 10(1), 1989).
    """
    reflected, factors = torch.geqrf(matrices)
    size = matrices.shape[-1]
    unit = torch.eye(size, dtype=matrices.dtype, device=matrices.device)
    vectors = reflected.tril(-1) + unit
    # A factor may be 0, where there is nothing to reflect.
    scaled = factors.unsqueeze(-1) * (vectors.mT @ vectors).triu(1) + unit
    middle = torch.linalg.solve_triangular(
        scaled, torch.diag_embed(factors), upper=True, unitriangular=True
    )
    product: torch.Tensor = unit - vectors @ (middle @ vectors.mT)
    return product
