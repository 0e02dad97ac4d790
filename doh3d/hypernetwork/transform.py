"""A Hadamard projection of floats, as fits take a dozen in each step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch

# Matrix factors of the float transform: one product by H_64 does six butterfly stages in one
# pass over memory, which beats six passes for as long as the factor stays in cache.
_MAX_FACTOR = 64


class FloatTransform(ABC):
    """The map of (n,) or (S, n) float32 latents to (P,) weights, and its transpose.

    Parameters
    ----------
    input_signs : (blocks, n) float32
    output_signs : (P,) float32
    gather : (P,) int64
        Which of the blocks' values become the projection's.
    shape : tuple of int
        Of the blocks, (blocks, N) or (S, blocks, N).

    Attributes
    ----------
    inverse : (S blocks N,) int64
        Where each of the blocks' values goes to.
    inverse_signs : (S blocks N,) float32
        Its sign, and 0 where it is cut off. Gathering is several times faster than scattering.
    """

    def __init__(
        self,
        input_signs: torch.Tensor,
        output_signs: torch.Tensor,
        gather: torch.Tensor,
        shape: tuple[int, ...],
    ) -> None:
        self.input_signs, self.output_signs, self.gather = input_signs, output_signs, gather
        self.shape = shape
        self.inverse = gather.new_zeros(math.prod(shape))
        self.inverse[gather] = torch.arange(len(gather), device=gather.device)
        self.inverse_signs = input_signs.new_zeros(math.prod(shape))
        self.inverse_signs[gather] = output_signs

    @abstractmethod
    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Project latents to (P,) weights."""

    @abstractmethod
    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        """Map (P,) values back to latents."""


class TorchTransform(FloatTransform):
    """By products with small Walsh-Hadamard matrices, on any device."""

    def __init__(
        self,
        input_signs: torch.Tensor,
        output_signs: torch.Tensor,
        gather: torch.Tensor,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__(input_signs, output_signs, gather, shape)
        factors = hadamard_factors(shape[-1], input_signs.dtype, input_signs.device)
        padded = input_signs.new_zeros(shape)
        self._latents = padded[..., : input_signs.shape[1]]
        self._there = WalshHadamard(padded, factors)
        self._spectrum = torch.empty_like(self.inverse_signs)
        # The Walsh-Hadamard matrix is symmetric.
        self._back = WalshHadamard(self._spectrum.view(shape), factors)

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Project latents; see `FloatTransform.project`."""
        torch.mul(latent.unsqueeze(-2), self.input_signs, out=self._latents)
        return self._there().view(-1).index_select(0, self.gather).mul_(self.output_signs)

    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        """Map values back; see `FloatTransform.transpose`."""
        torch.index_select(values, 0, self.inverse, out=self._spectrum)
        self._spectrum.mul_(self.inverse_signs)
        rows = self._back()[..., : self.input_signs.shape[1]]
        return (rows * self.input_signs).sum(dim=-2)


class CompiledTransform(FloatTransform):
    """By compiled loops, on a CPU."""

    def __init__(
        self,
        input_signs: torch.Tensor,
        output_signs: torch.Tensor,
        gather: torch.Tensor,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__(input_signs, output_signs, gather, shape)
        # Importing numba takes a quarter of a second, and decoding needs none of it.
        from doh3d.kernels import hadamard

        self._kernels = hadamard
        self._tables = hadamard.Tables(
            input_signs.numpy(),
            gather.numpy(),
            output_signs.numpy(),
            self.inverse.numpy(),
            self.inverse_signs.numpy(),
        )
        self._blocks = np.zeros((1, *shape)[-3:], np.float32)

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Project latents; see `FloatTransform.project`."""
        weights = latent.new_empty(len(self.gather))
        latents = latent.contiguous().view(len(self._blocks), -1)
        self._kernels.project(latents.numpy(), self._tables, self._blocks, weights.numpy())
        return weights

    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        """Map values back; see `FloatTransform.transpose`."""
        latents = values.new_empty((*self.shape[:-2], self.input_signs.shape[1]))
        by_latent = latents.view(len(self._blocks), -1)
        self._kernels.transpose(
            values.contiguous().numpy(), self._tables, self._blocks, by_latent.numpy()
        )
        return latents


def hadamard_factors(
    size: int, dtype: torch.dtype, device: torch.device | str
) -> list[torch.Tensor]:
    """Walsh-Hadamard matrices whose Kronecker product is the one of `size`, a power of two."""
    factors = []
    while size > 1:
        # Equal shares of the remaining stages, so that no factor is tiny beside another.
        stages = size.bit_length() - 1
        parts = -(-stages // (_MAX_FACTOR.bit_length() - 1))
        order = 1 << -(-stages // parts)
        matrix = torch.ones((1, 1), dtype=dtype, device=device)
        while len(matrix) < order:
            top = torch.cat([matrix, matrix], dim=1)
            matrix = torch.cat([top, torch.cat([matrix, -matrix], dim=1)])
        factors.append(matrix)
        size //= order
    return factors


class WalshHadamard:
    """Transform of each row of (..., N) floats, natural order, unnormalised.

    Parameters
    ----------
    rows : (..., N) tensor
        Which every call reads.
    factors : list of tensors
        As `hadamard_factors` makes them.
    """

    def __init__(self, rows: torch.Tensor, factors: list[torch.Tensor]) -> None:
        self._result = rows
        self._products: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        before, after = rows[..., 0].numel(), rows.shape[-1]
        memory = [torch.empty_like(rows) for _ in factors[:2]]
        # Each product transforms one axis where it stands: moving it would copy everything.
        for number, matrix in enumerate(factors):
            order = len(matrix)
            after //= order
            source, self._result = self._result, memory[number % 2]
            if after > 1:
                shape = (before, order, after)
                left, right = matrix.expand(before, order, order), source.view(shape)
            else:
                shape = (1, before, order)
                left, right = source.view(shape), matrix.unsqueeze(0)
            self._products.append((left, right, self._result.view(shape)))
            before *= order

    def __call__(self) -> torch.Tensor:
        """(..., N) transformed rows; the next call overwrites them."""
        for left, right, result in self._products:
            torch.bmm(left, right, out=result)
        return self._result
