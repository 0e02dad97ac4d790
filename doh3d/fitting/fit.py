"""The optimisation of one shape's latent and biases."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from doh3d.codec.entropy import choose_model, code_length_bits
from doh3d.codec.quantization import (
    STEP_COUNT,
    STEPS,
    nearest_step_index,
    quantize,
)
from doh3d.devices import one_thread
from doh3d.errors import Doh3dError
from doh3d.fitting.config import FitConfig
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.rate import laplace_bits
from doh3d.fitting.rounding import Rounded
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.decoder import weight_gains
from doh3d.hypernetwork.projection import Projection, make_projection
from doh3d.hypernetwork.target import (
    TargetWeights,
    encode_points,
    split_weights,
    target_forward,
)

_log = logging.getLogger(__name__)

_WARM_UP_SHARE = 0.1
_MAX_GRADIENT_NORM = 1.0
_RETRIES = 3
_RETRY_FACTOR = 0.3

# How far the step may move towards a size, in eighths of an octave: an eighth of a bit for
# each latent number, about 2% of the file.
_FINER_NOTCHES = 4
_COARSER_NOTCHES = 8

# Bits by which a latent number still grows after rounding sets in.
_LATE_GROWTH_BITS = 0.035

# Steps between progress reports, each of which waits for the device.
REPORT_INTERVAL = 50

# Points on which a finished fit is checked for having become empty or full.
_CHECK_POINTS = 2**16


@dataclass(frozen=True)
class FitProgress:
    """Where a fit stands.

    Attributes
    ----------
    step, steps : int
    loss : float
        Cross-entropy of the last batch, in nats a point.
    estimated_bytes : float
        Latent and biases under the rate model; 0 where they are not quantised in training.
    """

    step: int
    steps: int
    loss: float
    estimated_bytes: float


@dataclass(frozen=True)
class FitResult:
    """An optimised latent, not yet quantised.

    Attributes
    ----------
    latent : (n,) float32
    biases : (bias_count,) float32
    latent_step_index : int
        Step that training rounded to; meaningless where training was not quantisation-aware.
    learning_rate : float
        The one that converged.
    """

    latent: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    latent_step_index: int
    learning_rate: float


ProgressFunction = Callable[[FitProgress], None]


def fit_latent(
    samples: OccupancySamples,
    config: FitConfig,
    *,
    device: torch.device,
    payload_bits: float | None = None,
    progress: ProgressFunction | None = None,
) -> FitResult:
    """Optimise a latent and biases so that the target network separates the samples.

    With `payload_bits`, latent and biases are to take at most so many in the file: when
    rounding sets in, the latent's step is chosen so that they will.

    A fit that ends empty or full, or whose loss is not finite, is repeated at a lower
    learning rate.

    Raises
    ------
    Doh3dError
        If every repetition diverged too.
    """
    learning_rate = config.learning_rate
    tried = []
    for _ in range(1 + _RETRIES):
        with one_thread():
            optimisation = Optimisation(samples, config, learning_rate, device)
            if optimisation.run(progress, payload_bits=payload_bits):
                return optimisation.result()
        tried.append(f"{learning_rate:.2g}")
        _log.warning("the fit diverged at learning rate %.2g; trying a lower one", learning_rate)
        learning_rate *= _RETRY_FACTOR
    raise Doh3dError(
        f"the fit became empty or full at learning rates {', '.join(tried)}: "
        "use a longer latent or more bits"
    )


class Optimisation:
    """Adam on z and h with a one-cycle learning rate, at one peak rate.

    The projection is the configuration's unless another is given.
    """

    def __init__(
        self,
        samples: OccupancySamples,
        config: FitConfig,
        learning_rate: float,
        device: torch.device,
        projection: Projection | None = None,
    ) -> None:
        architecture = config.architecture
        self.config = config
        self.learning_rate = learning_rate
        # On the CPU whatever the device, so that a seed means the same noise everywhere.
        self._generator = torch.Generator().manual_seed(config.seed)
        self._device = device
        self.projection = projection or make_projection(
            config.projection, config.latent, architecture.layer_sizes, config.seed, device
        )
        self._gains = weight_gains(architecture, device)
        self.latent_step_index = nearest_step_index(config.training_step)
        self._latent_step = float(STEPS[self.latent_step_index])
        self._bias_step = float(STEPS[nearest_step_index(config.bias_step)])
        initial = torch.randn(config.latent, generator=self._generator) / math.sqrt(config.latent)
        self.latent = initial.to(device)
        self.biases = torch.zeros(architecture.bias_count, device=device)
        self._optimizer = torch.optim.Adam(
            [self.latent, self.biases], lr=learning_rate, fused=device.type in _FUSED_DEVICES
        )
        self._batch_size = min(config.batch_size, len(samples))
        self._backward = TargetBackward(architecture, self._batch_size, device)
        # The encoding of the whole pool, once: every batch is a slice of it.
        points = torch.from_numpy(samples.points).to(device)
        self._features = torch.cat([encode_points(architecture, p) for p in points.split(2**16)])
        self._labels = torch.from_numpy(samples.inside).to(device, torch.float32)[:, None]

    def run(self, progress: ProgressFunction | None, *, payload_bits: float | None = None) -> bool:
        """Take every step; whether the end is finite and neither empty nor full."""
        config = self.config
        first_rounding = math.ceil(config.noise_share * config.steps)
        count = len(self._features)
        batch = self._batch_size
        position = 0
        for step in range(config.steps):
            # The pool is in random order; each pass takes other slices than the last.
            if position + batch > count:
                position = (position + batch) % max(1, count - batch + 1)
            if step == first_rounding and payload_bits is not None:
                self._choose_step(payload_bits)
            window = slice(position, position + batch)
            position += batch
            self.step(step, self._features[window], self._labels[window])
            if (step + 1) % REPORT_INTERVAL == 0 or step + 1 == config.steps:
                loss, bits = self.last_loss()
                value = float(loss)
                if not math.isfinite(value):
                    return False
                if progress is not None:
                    progress(FitProgress(step + 1, config.steps, value, float(bits) / 8))
        return self._separates()

    @torch.no_grad()
    def step(self, step: int, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Take one optimiser step on a batch. No value is read back from the device."""
        config = self.config
        self._optimizer.param_groups[0]["lr"] = self.learning_rate * one_cycle(step / config.steps)
        latent, biases = self._rounded(noisy=step < config.noise_share * config.steps)
        weights = self._weights(latent, biases)
        gradient = self._backward(weights, features, labels)
        of_latent = self.projection.transpose(gradient.weights * self._gains)
        rate_weight = config.rate_weight if config.quantization_aware else 0.0
        self.latent.grad = latent.gradient(of_latent, rate_weight)
        self.biases.grad = biases.gradient(gradient.biases, rate_weight)
        torch.nn.utils.clip_grad_norm_([self.latent], _MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._last = latent, biases, labels

    @torch.no_grad()
    def last_loss(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last batch's mean cross-entropy and the estimated bits."""
        latent, biases, labels = self._last
        loss = binary_cross_entropy_with_logits(self._backward.logits, labels)
        bits = laplace_bits(latent.levels) + laplace_bits(biases.levels)
        return loss, bits if self.config.quantization_aware else torch.zeros_like(bits)

    def _choose_step(self, payload_bits: float) -> None:
        """Move the latent's step to the finest one near it that keeps within the bits.

        Here, and not after training: in its last phase the network adapts to the very grid
        that it is rounded to, and on any other, finer ones too, it is worse.
        """
        latent = self.latent.detach().cpu().numpy()
        biases = self.biases.detach().cpu().numpy()
        bias_levels = quantize(biases, nearest_step_index(self.config.bias_step), _BIAS_BITS)
        available = payload_bits - code_length_bits(bias_levels, choose_model(bias_levels))
        available -= _LATE_GROWTH_BITS * len(latent)
        for index in range(self.latent_step_index - _FINER_NOTCHES, STEP_COUNT):
            levels = quantize(latent, max(index, 0), self.config.bits)
            if code_length_bits(levels, choose_model(levels)) <= available:
                break
            if index == self.latent_step_index + _COARSER_NOTCHES:
                break
        self.latent_step_index = max(index, 0)
        self._latent_step = float(STEPS[self.latent_step_index])

    def result(self) -> FitResult:
        """Copy the latent and biases as they stand."""
        return FitResult(
            latent=self.latent.detach().cpu().numpy().copy(),
            biases=self.biases.detach().cpu().numpy().copy(),
            latent_step_index=self.latent_step_index,
            learning_rate=self.learning_rate,
        )

    def _rounded(self, *, noisy: bool) -> tuple[Rounded, Rounded]:
        """Latent and biases as the quantiser will leave them."""
        config = self.config
        if not config.quantization_aware:
            return Rounded.exact(self.latent), Rounded.exact(self.biases)
        return (
            Rounded.of(self.latent, self._latent_step, config.bits, self._noise(noisy)),
            Rounded.of(self.biases, self._bias_step, _BIAS_BITS, self._noise(noisy)),
        )

    def _noise(self, noisy: bool) -> torch.Generator | None:
        return self._generator if noisy else None

    def _weights(self, latent: Rounded, biases: Rounded) -> TargetWeights:
        weights = self.projection.project(latent.values).mul_(self._gains)
        return split_weights(self.config.architecture, weights, biases.values)

    @torch.no_grad()
    def _separates(self) -> bool:
        """Whether the quantised field is finite, and neither empty nor full on the samples."""
        weights = self._weights(*self._rounded(noisy=False))
        features = self._features[:_CHECK_POINTS]
        logits = target_forward(self.config.architecture, weights, features)
        inside = logits > 0
        finite = bool(torch.isfinite(logits).all())
        return finite and bool(inside.any()) and not bool(inside.all())


# Devices on which torch has Adam's update as one kernel.
_FUSED_DEVICES = ("cpu", "cuda", "mps")

# Biases are few and their step is fixed: they keep whatever range they need.
_BIAS_BITS = 16


def one_cycle(progress: float) -> float:
    """Share of the peak learning rate at `progress` in [0, 1): linear up, cosine down."""
    if progress < _WARM_UP_SHARE:
        return max(progress / _WARM_UP_SHARE, 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP_SHARE) / (1 - _WARM_UP_SHARE)))
