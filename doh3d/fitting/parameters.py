"""The latents and biases of a fit: their start, their rounding, and the networks they make."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.rate import laplace_bits
from doh3d.fitting.rounding import Rounded, bits_of_fineness, fineness
from doh3d.fitting.size_control import SizeControl
from doh3d.hypernetwork.decoder import weight_gains
from doh3d.hypernetwork.projection import Projection, make_projection
from doh3d.hypernetwork.target import TargetWeights, split_weights

# A latent and its biases.
Numbers: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


class Parameters:
    """Latents z and biases of S signals of C cells each, and the K = S C networks they make.

    Quantisation-aware training rounds a latent a few numbers at a time, and the rounded numbers
    stay as they are, so that the others make up for their error. The decoder sees no difference,
    and a quantisation step twice as coarse does as well as rounding all numbers at once.

    Parameters
    ----------
    config : FitConfig
    sizes : SizeControl
        Whose quantisation steps and rate weights are taken.
    signals : int
        S.
    device : torch.device
    projection : Projection, optional
        The configuration's unless another is given.

    Attributes
    ----------
    latents : (n,) float32, or (S, n) for several signals
        One signal's tensors have no axis for it: their sums are other operations, and faster.
    biases : (bias_count,) float32, or (S, bias_count)
    projection : Projection
        B.
    gains : (K P,) float32
        Factors of the weights B z; each layer's K matrices lie one after the other.
    fixed : int
        How many of each latent's first numbers are rounded for good.
    free : (n,) float32
        1 for each latent number that may move, and 0 for those that are rounded for good.
    """

    def __init__(
        self,
        config: FitConfig,
        sizes: SizeControl,
        signals: int,
        device: torch.device,
        projection: Projection | None = None,
    ) -> None:
        self._config, self._sizes, self._signals = config, sizes, signals
        architecture = config.architecture
        lead = () if signals == 1 else (signals,)
        if projection is None:
            projection = make_projection(
                config.projection, config.latent, architecture.layer_sizes, config.seed, device
            )
            projection = projection if signals == 1 else projection.for_many(signals)
        self.projection = projection
        # A projection may keep what its first transposition makes, and then round otherwise. The
        # weights must not depend on whether a fit begins here or is taken up again.
        weight_count = signals * architecture.weight_count
        self.projection.transpose(torch.zeros(weight_count, device=device))
        gains = weight_gains(architecture, device).split(architecture.layer_sizes)
        self.gains = torch.cat([layer.repeat(signals) for layer in gains])
        # The start is drawn on the CPU whatever the device, so that a seed means the same start
        # everywhere, and each signal starts as it would alone.
        generator = torch.Generator().manual_seed(config.seed)
        initial = torch.randn(config.latent, generator=generator) / math.sqrt(config.latent)
        self.latents = initial.to(device).expand(*lead, -1).clone()
        self.biases = torch.zeros((*lead, architecture.bias_count), device=device)
        self.fixed = 0
        self.free = torch.ones(config.latent, device=device)
        self._are_fixed = torch.zeros(config.latent, dtype=torch.bool, device=device)
        self._biases_are_fixed = torch.zeros(1, dtype=torch.bool, device=device)
        self._fineness = fineness(config, device)

    def fix(self, count: int) -> None:
        """Say that the latents' first `count` numbers are rounded for good, and the biases, too.

        With 0 none is.
        """
        if count == self.fixed:
            return
        self.fixed = count
        self._are_fixed[:count].fill_(True)
        self._are_fixed[count:].fill_(False)
        self._biases_are_fixed.fill_(count > 0)
        self.free.copy_(self._are_fixed.logical_not())

    def rounded(self) -> tuple[Rounded, Rounded]:
        """Latents and biases, those that are rounded for good as the quantiser leaves them."""
        return self._rounded(self._are_fixed, self._biases_are_fixed)

    def all_rounded(self) -> tuple[Rounded, Rounded]:
        """Latents and biases as the quantiser would leave them all."""
        return self._rounded(
            torch.ones_like(self._are_fixed), torch.ones_like(self._biases_are_fixed)
        )

    def _rounded(
        self, are_fixed: torch.Tensor, biases_are_fixed: torch.Tensor
    ) -> tuple[Rounded, Rounded]:
        bits, sizes = self._config.range_bits, self._sizes
        if not self._config.quantization_aware:
            return Rounded.exact(self.latents), Rounded.exact(self.biases)
        return (
            Rounded.of(self.latents, sizes.deltas, bits, are_fixed, self._fineness),
            Rounded.of(self.biases, sizes.bias_delta, MAX_BITS, biases_are_fixed),
        )

    def keep(self, latents: Rounded) -> None:
        """Leave the numbers that are rounded for good where they have been rounded to."""
        self.latents.copy_(torch.where(self._are_fixed, latents.values, self.latents))

    def networks(self, latents: Rounded, biases: Rounded) -> TargetWeights:
        """Make the weights of K networks."""
        weights = self.projection.project(latents.values).mul_(self.gains)
        return split_weights(self._config.architecture, weights, biases.values)

    def bits(self) -> torch.Tensor:
        """Mean over the signals of the bits that the rate model expects; 0 without quantisation."""
        if not self._config.quantization_aware:
            return self.latents.new_zeros(())
        latents, biases = self.rounded()
        bits = laplace_bits(latents.levels) + laplace_bits(biases.levels)
        return (bits + bits_of_fineness(self._fineness)).mean()

    def of_signals(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(S, n) latents and (S, bias_count) biases, as views."""
        return self.latents.view(self._signals, -1), self.biases.view(self._signals, -1)

    def numbers(self) -> list[Numbers]:
        """Copy each signal's latent and biases."""
        return list(zip(*map(to_numpy, self.of_signals()), strict=True))


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    """Copy a float32 tensor to the CPU."""
    return tensor.detach().cpu().numpy().copy()
