"""The fixed random projections B_l that turn one latent into every layer's weights.

D'OH (Gordon et al., ACCV 2024) uses a full random matrix. ``dense`` is that, with entries +-1.
``hadamard`` has rows with the same marginal distribution but costs O(P log n) time and
O(n + P) memory: blocks of sign flips, a fast Walsh-Hadamard transform, a permutation and sign
flips (a structured transform as in Le, Sarlos, Smola, "Fastfood", ICML 2013).

Both only add and subtract latents. For integer latents the result is therefore an exact
integer, the same on every device, thread count and library version.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Protocol, get_args

import numpy as np
import torch

from doh3d.devices import has_kernels
from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import ProjectionKind
from doh3d.hypernetwork.philox import Stream, random_signs, random_words
from doh3d.hypernetwork.transform import CompiledTransform, FloatTransform, TorchTransform

# A dense matrix for training lives in memory; this is 4 GiB of float32.
MAX_DENSE_ENTRIES = 2**30

# Latents times blocks that are transformed at a time when projecting integers.
_EXACT_CHUNK_ENTRIES = 2**20

# Entries of a dense matrix that are expanded at a time when projecting integers.
_DENSE_CHUNK_ENTRIES = 2**20


class Projection(Protocol):
    """The map z -> (B_1 z, ..., B_L z), concatenated."""

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Project a (n,) latent to (P,) values.

        float32 latents give float32 values; int64 latents give exact int64.
        """

    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        """Map (P,) float32 values to (n,) by the transposed matrices: a gradient's way back."""


def make_projection(
    kind: ProjectionKind,
    latent_count: int,
    layer_sizes: list[int],
    seed: int,
    device: torch.device | str = "cpu",
) -> HadamardProjection | DenseProjection:
    """Build the projection that (kind, n, layer sizes, seed) name.

    Parameters
    ----------
    kind : "hadamard" or "dense"
    latent_count : int
        n >= 1.
    layer_sizes : list of int
        P_l, the weights of each layer.
    seed : int
        In [0, 2^32).

    Raises
    ------
    ConfigError
        For an unknown kind.
    """
    if kind == "hadamard":
        return HadamardProjection(latent_count, layer_sizes, seed, device)
    if kind == "dense":
        return DenseProjection(latent_count, layer_sizes, seed, device)
    raise ConfigError(
        f"projection is {kind!r}; it must be one of {', '.join(get_args(ProjectionKind))}"
    )


class HadamardProjection:
    """Blocks y = D2 Pi H D1 z of N = 2^ceil(log2 n) values each, cut to P for all layers.

    The layers share blocks, one after the other: a block of each layer's own would cost as much for
    the few weights of the last layer as for thousands.
    D1 and D2 are random signs, Pi a random permutation, H the N x N Walsh-Hadamard matrix in
    natural order applied to z padded with zeros.

    Attributes
    ----------
    of_one : HadamardProjection
        The map of one latent, where this is that of many.
    """

    def __init__(
        self,
        latent_count: int,
        layer_sizes: list[int],
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        block = 1 << max(0, latent_count - 1).bit_length()
        size = sum(layer_sizes)
        blocks = -(-size // block)
        signs = random_signs(seed, 0, Stream.INPUT_SIGNS, 0, blocks * block)
        input_signs = signs.reshape(blocks, block)[:, :latent_count]
        gather = []
        # Many blocks at a time where they are short: a short latent makes thousands of them.
        step = max(1, _EXACT_CHUNK_ENTRIES // block)
        for k in range(0, blocks, step):
            count = min(step, blocks - k)
            keys = random_words(seed, 0, Stream.PERMUTATION, k * block, count * block)
            # Stable, so that equal keys leave no choice.
            order = np.argsort(keys.reshape(count, block), axis=1, kind="stable")
            order += (k + np.arange(count)[:, None]) * block
            gather.append(order.reshape(-1)[: size - k * block])
        output_signs = random_signs(seed, 0, Stream.OUTPUT_SIGNS, 0, size)
        self.of_one = self
        self._block = block
        self._layer_sizes = layer_sizes
        self._input_signs = torch.from_numpy(input_signs.copy()).to(device)
        self._gather = torch.from_numpy(np.concatenate(gather).astype(np.int64)).to(device)
        self._output_signs = torch.from_numpy(output_signs).to(device)
        # Made when first used: integers need none of it.
        self._floats: FloatTransform | None = None
        # Of transformed blocks; with many latents, (K, rows).
        self._rows: tuple[int, ...] = (len(self._input_signs),)

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Project a (n,) latent; see `Projection.project`."""
        if latent.dtype == torch.int64:
            # A few blocks at a time: the sums of a long latent are eight bytes each.
            step = max(1, _EXACT_CHUNK_ENTRIES // self._block)
            spectrum = torch.cat(
                [
                    walsh_hadamard_exact(self._padded(latent * signs))
                    for signs in self._input_signs.split(step)
                ]
            )
            return spectrum.reshape(-1).index_select(0, self._gather) * self._output_signs
        return self.floats(latent.dtype).project(latent)

    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        """Map (P,) values back to (n,); see `Projection.transpose`."""
        return self.floats(values.dtype).transpose(values)

    def for_many(self, count: int) -> HadamardProjection:
        """Return the same map of K float32 latents at once: from (K, n) to (K P,) and back.

        All latents' values of the first layer come first, latent by latent, then those of the
        next: each layer's K matrices lie one after the other.
        """
        many = copy.copy(self)
        many.of_one = self
        first = self._places * torch.arange(count, device=self._gather.device)[:, None]
        by_layer = zip(
            self._gather.split(self._layer_sizes),
            self._output_signs.split(self._layer_sizes),
            strict=True,
        )
        tables = [((first + gather).view(-1), signs.repeat(count)) for gather, signs in by_layer]
        many._gather = torch.cat([gather for gather, _ in tables])
        many._output_signs = torch.cat([signs for _, signs in tables])
        many._rows = (count, *self._rows)
        many._floats = None
        return many

    @property
    def _places(self) -> int:
        """Values of all blocks before they are cut."""
        return math.prod(self._rows) * self._block

    def floats(self, dtype: torch.dtype = torch.float32) -> FloatTransform:
        """Return the same map of floats, both ways; always the same object."""
        if self._floats is None:
            input_signs = self._input_signs.to(dtype)
            kind = CompiledTransform if has_kernels(input_signs) else TorchTransform
            self._floats = kind(
                input_signs,
                self._output_signs.to(dtype),
                self._gather,
                (*self._rows, self._block),
            )
        return self._floats

    def _padded(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(rows, (0, self._block - rows.shape[-1]))


class DenseProjection:
    """A full random matrix with entries +-1: row p of layer l reads signs p n to (p + 1) n."""

    def __init__(
        self,
        latent_count: int,
        layer_sizes: list[int],
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        entries = latent_count * sum(layer_sizes)
        if entries > MAX_DENSE_ENTRIES:
            raise ConfigError(
                f"a dense projection of n * P = {entries} entries is over the limit of "
                f"{MAX_DENSE_ENTRIES}; use a smaller latent or network, or 'hadamard'"
            )
        self._latent_count = latent_count
        self._layer_sizes = layer_sizes
        self._seed = seed
        self._device = device
        self._matrix: torch.Tensor | None = None

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Project a (n,) latent; see `Projection.project`."""
        # Decoding never holds the matrix: signs are expanded chunk by chunk. Nor are there integer
        # matrix products: CUDA has none.
        decoding = self._matrix is None and not latent.requires_grad
        if latent.dtype == torch.int64 or decoding:
            # Made before the chunks: results that are left between them would keep the
            # allocator from using a chunk's memory again.
            sums = latent.new_empty(sum(self._layer_sizes))
            first = 0
            for rows in self._row_chunks():
                torch.sum(rows * latent, dim=1, out=sums.narrow(0, first, len(rows)))
                first += len(rows)
            return sums
        return torch.mv(self._float_matrix(latent.dtype), latent)

    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        """Map (P,) values back to (n,); see `Projection.transpose`."""
        return torch.mv(self._float_matrix(values.dtype).T, values)

    def for_many(self, count: int) -> Projection:
        """Return the same map of K latents at once; see `HadamardProjection.for_many`."""
        return _ManyDense(self, self._layer_sizes, count)

    def _float_matrix(self, dtype: torch.dtype) -> torch.Tensor:
        if self._matrix is None:
            self._matrix = torch.cat([rows.to(dtype) for rows in self._row_chunks()])
        return self._matrix

    def _row_chunks(self) -> Iterator[torch.Tensor]:
        """(R, n) int8 rows, all layers in order, at most `_DENSE_CHUNK_ENTRIES` at a time."""
        n = self._latent_count
        step = max(1, _DENSE_CHUNK_ENTRIES // n)
        for layer, size in enumerate(self._layer_sizes):
            for first in range(0, size, step):
                count = min(step, size - first)
                signs = random_signs(self._seed, layer, Stream.DENSE_SIGNS, first * n, count * n)
                yield torch.from_numpy(signs.reshape(count, n)).to(self._device)


class _ManyDense:
    """A dense projection of (K, n) latents; see `HadamardProjection.for_many`."""

    def __init__(self, single: DenseProjection, layer_sizes: list[int], count: int) -> None:
        self._single = single
        self._layer_sizes = layer_sizes
        self._count = count

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        values = latent @ self._single._float_matrix(latent.dtype).T
        return torch.cat([layer.reshape(-1) for layer in values.split(self._layer_sizes, dim=1)])

    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        layers = values.split([self._count * size for size in self._layer_sizes])
        rows = torch.cat([layer.view(self._count, -1) for layer in layers], dim=1)
        return rows @ self._single._float_matrix(values.dtype)


def walsh_hadamard_exact(rows: torch.Tensor) -> torch.Tensor:
    """Transform each row of (K, N) int64, natural order, by additions and subtractions only."""
    count, size = rows.shape
    half = 1
    while half < size:
        pairs = rows.reshape(count, size // (2 * half), 2, half)
        a, b = pairs.unbind(dim=2)
        rows = torch.stack([a + b, a - b], dim=2)
        half *= 2
    return rows.reshape(count, size)
