"""The latents and biases of a fit: their start, their rounding, and the networks they make."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.quantization import STEPS, nearest_step_index
from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.rate import laplace_bits
from doh3d.fitting.rounding import Rounded, bits_of_fineness, fineness
from doh3d.fitting.schedule import rounded_count
from doh3d.fitting.size_control import Numbers, SizeControl
from doh3d.hypernetwork.decoder import weight_gains
from doh3d.hypernetwork.projection import Projection, make_projection
from doh3d.hypernetwork.target import TargetWeights, split_weights


class Parameters:
    """Latents z and biases of S signals of C cells each, and the K = S C networks they make.

    Quantisation-aware training rounds a latent a few numbers at a time, and the rounded numbers
    stay as they are, so that the others make up for their error. The decoder sees no difference,
    and a quantisation step twice as coarse does as well as rounding all numbers at once.

    Parameters
    ----------
    config : FitConfig
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
    rate_weights : float, or (S, 1) float32
        Lambda of each signal's rate term.
    """

    def __init__(
        self,
        config: FitConfig,
        signals: int,
        device: torch.device,
        projection: Projection | None = None,
    ) -> None:
        self._config, self._signals, self._device = config, signals, device
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
        self._fineness = fineness(config, device)
        self._bias_delta = float(STEPS[nearest_step_index(config.bias_step)])
        self._latent_deltas: float | torch.Tensor
        self.rate_weights: float | torch.Tensor

    def use(self, sizes: SizeControl) -> None:
        """Take the quantisation steps and rate weights that `sizes` has now."""
        self._latent_deltas = self._of_signals(sizes.latent_deltas)
        self.rate_weights = self._of_signals(sizes.rate_weights)

    def _of_signals(self, numbers: Sequence[float]) -> float | torch.Tensor:
        """(S, 1) numbers; the number itself for one signal."""
        if self._signals == 1:
            return numbers[0]
        return torch.tensor(numbers, dtype=torch.float32, device=self._device)[:, None]

    def round_due(self, step: int) -> None:
        """Round for good the latents' numbers that are due before this optimiser step."""
        due = rounded_count(self._config, step)
        if due > self.fixed:
            new = slice(self.fixed, due)
            finer = None if self._fineness is None else self._fineness[new]
            numbers = self.latents[..., new]
            rounded = Rounded.of(numbers, self._latent_deltas, self._config.bits, due, finer)
            self.latents[..., new] = rounded.values
            self.fixed = due

    def rounded(self, fixed: int) -> tuple[Rounded, Rounded]:
        """Latents and biases, the latents' first `fixed` numbers as the quantiser leaves them."""
        config = self._config
        if not config.quantization_aware:
            return Rounded.exact(self.latents), Rounded.exact(self.biases)
        bias_count = self.biases.shape[-1] * (fixed > 0)
        return (
            Rounded.of(self.latents, self._latent_deltas, config.bits, fixed, self._fineness),
            Rounded.of(self.biases, self._bias_delta, MAX_BITS, bias_count),
        )

    def networks(self, latents: Rounded, biases: Rounded) -> TargetWeights:
        """Make the weights of K networks."""
        weights = self.projection.project(latents.values).mul_(self.gains)
        return split_weights(self._config.architecture, weights, biases.values)

    def bits(self, latents: Rounded, biases: Rounded) -> torch.Tensor:
        """Mean over the signals of the bits that the rate model expects; 0 without quantisation."""
        if not self._config.quantization_aware:
            return self.latents.new_zeros(())
        bits = laplace_bits(latents.levels) + laplace_bits(biases.levels)
        return (bits + bits_of_fineness(self._fineness)).mean()

    def numbers(self) -> list[Numbers]:
        """Copy each signal's latent and biases."""
        each = [to_numpy(t.view(self._signals, -1)) for t in (self.latents, self.biases)]
        return list(zip(*each, strict=True))


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    """Copy a float32 tensor to the CPU."""
    return tensor.detach().cpu().numpy().copy()
