"""The target networks' loss and its gradient, written out.

Autograd allocates every activation anew in each step; for layers this small the memory's first
touch costs more than the arithmetic. Here all buffers are made once, and a batch passes through
them in tiles that stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from doh3d.devices import has_kernels
from doh3d.fitting.batches import Batch
from doh3d.fitting.losses import Loss
from doh3d.fitting.workspace import Passes, TorchPasses, lengths
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights, split_weights
from doh3d.thread_team import ThreadTeam

# Numbers in the activations of one layer of a tile, on the CPU.
_CACHED_ACTIVATIONS = 2**17


@dataclass(frozen=True)
class TargetGradient:
    """Gradient of a batch's loss; the tensors are buffers that the next batch overwrites.

    Attributes
    ----------
    weights : (K P,) float32
        Each layer's K matrices lie one after the other.
    biases : (K, bias_count) float32
    """

    weights: torch.Tensor
    biases: torch.Tensor


class TargetBackward:
    """Forward and backward pass of K target networks of one architecture, each on its own batch.

    The networks belong to S signals of C cells each, K = S C, and each signal has one loss. The
    losses of all signals are added up, so that no number of one enters another's gradient.

    Parameters
    ----------
    architecture : Architecture
        Of each network.
    shares : (S, C) float32
        Weight of each network's mean in its signal's mean.
    batch : int
        Points of each network, N.
    loss : Loss
    team : ThreadTeam, optional
        The threads that compute. The result does not depend on how many they are.

    Attributes
    ----------
    outputs : (K, N, out_dim) float32
        What the networks gave for the last batch: logits or values, as the loss takes them. A
        buffer too.
    errors : (K, N, 1) float32
        The length of each sample's residual in the last batch that had an importance. A buffer.
    """

    def __init__(
        self,
        architecture: Architecture,
        shares: torch.Tensor,
        batch: int,
        loss: Loss,
        team: ThreadTeam | None = None,
    ) -> None:
        count, device = shares.numel(), shares.device
        self._architecture, self._loss, self._shares = architecture, loss, shares
        self._team = team or ThreadTeam()
        networks, self._rows = _tile_size(architecture.width, count, batch, device)
        self._networks = list(_slices(count, networks))
        self.outputs = torch.empty((count, batch, architecture.out_dim), device=device)
        self.errors = torch.empty((count, batch, 1), device=device)
        scales = shares.view(-1, 1, 1) * (loss.scale / (batch * architecture.out_dim))
        self._passes = _passes_of(
            architecture, loss, scales, (networks, self._rows), self._team.threads
        )
        # Each part of the rows has sums of its own: added up in order they are always the same.
        parts = math.ceil(batch / self._rows)
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

    @torch.no_grad()
    def __call__(
        self,
        weights: TargetWeights,
        features: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None = None,
        gather: Callable[[slice, slice], object] | None = None,
    ) -> TargetGradient:
        """Differentiate the loss of a batch.

        Parameters
        ----------
        weights : TargetWeights
            Of K networks.
        features : (K, N, encoded_dim) float32
            Encoded points.
        values : (K, N, out_dim) float32
            What the networks should give: for the cross-entropy 1 inside and 0 outside.
        importance : (K, N, 1) float32, optional
            How much each sample counts in the mean; 1 without it.
        gather : callable, optional
            Brings the samples of some networks and rows into the tensors above before they are
            read, see `Batches.gather`.
        """
        self._passes.prepare(weights)
        tiles = self._tiles(features.shape[1])

        def differentiate(thread: int, number: int) -> None:
            networks, rows = tile = tiles[number]
            if gather is not None:
                gather(networks, rows)
            some = None if importance is None else importance[tile]
            self._passes.differentiate(
                thread,
                *tile,
                Batch(features[tile], values[tile], some),
                self.outputs[tile],
                self.errors[tile],
                self._split[rows.start // self._rows],
            )

        self._team.run(differentiate, len(tiles))
        found = self._gradient
        if len(self._split) > 1:
            torch.sum(self._weights, dim=0, out=found.weights)
            torch.sum(self._biases, dim=0, out=found.biases)
        divisors = self._loss.divisors(self.outputs, values, importance, self._shares)
        if divisors is not None:
            self._divide(found, divisors)
        return found

    @torch.no_grad()
    def measure(
        self,
        weights: TargetWeights,
        features: torch.Tensor,
        values: torch.Tensor,
        errors: torch.Tensor,
    ) -> None:
        """Write the lengths of any number of samples' residuals into a (K, M, 1) tensor.

        The other parameters are as those of a batch.
        """
        residuals = self.evaluate(weights, features)
        self._loss.residual(residuals, values, residuals)
        lengths(residuals, errors)

    @torch.no_grad()
    def evaluate(self, weights: TargetWeights, features: torch.Tensor) -> torch.Tensor:
        """(K, M, out_dim) outputs for any number of points."""
        self._passes.prepare(weights)
        tiles = self._tiles(features.shape[1])
        outputs = features.new_empty((*features.shape[:2], self._architecture.out_dim))

        def evaluate(thread: int, number: int) -> None:
            tile = tiles[number]
            self._passes.evaluate(thread, *tile, features[tile], outputs[tile])

        self._team.run(evaluate, len(tiles))
        return outputs

    def _tiles(self, rows: int) -> list[tuple[slice, slice]]:
        """Networks and rows of each tile of a batch with so many rows."""
        return [
            (networks, part) for part in _slices(rows, self._rows) for networks in self._networks
        ]

    def _divide(self, found: TargetGradient, divisors: torch.Tensor) -> None:
        """Divide each signal's gradient by its own of (S, 1) divisors."""
        signals = len(divisors)
        found.biases.view(signals, -1).div_(divisors)
        for layer in found.weights.split(
            [len(found.biases) * size for size in self._architecture.layer_sizes]
        ):
            layer.view(signals, -1).div_(divisors)


def _passes_of(
    architecture: Architecture,
    loss: Loss,
    scales: torch.Tensor,
    tile: tuple[int, int],
    threads: int,
) -> Passes:
    if architecture.activation == "sine" or not has_kernels(scales):
        return TorchPasses(architecture, loss, scales, tile, threads)
    from doh3d.fitting.compiled_passes import CompiledPasses

    return CompiledPasses(architecture, loss, scales, tile, threads)


def _tile_size(width: int, count: int, batch: int, device: torch.device) -> tuple[int, int]:
    """Networks and rows of a tile: some networks with all their rows, or one with some of them."""
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
