"""The optimisation of latents and biases, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from doh3d.codec.quantization import STEPS, nearest_step_index
from doh3d.fitting.adam import Adam
from doh3d.fitting.batches import batches_of
from doh3d.fitting.checkpoint import State, Work
from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.curvature import WeightCurvature
from doh3d.fitting.descent import LatentDescent
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.grading import bits_of_fineness, coarsest_step, fineness
from doh3d.fitting.pool import EncodedPools, Pool
from doh3d.fitting.rate import laplace_bits, rate_curvature
from doh3d.fitting.results import FitProgress, FitResult, ProgressFunction
from doh3d.fitting.rounding import Rounded
from doh3d.fitting.schedule import (
    is_updated,
    one_cycle,
    rounded_count,
    steps_of_sizing,
)
from doh3d.fitting.signal import Samples
from doh3d.fitting.size_control import Numbers, SizeControl
from doh3d.fitting.soundness import is_sound
from doh3d.hypernetwork.decoder import weight_gains
from doh3d.hypernetwork.projection import Projection, make_projection
from doh3d.hypernetwork.target import TargetWeights, split_weights, target_forward
from doh3d.thread_team import ThreadTeam

_MAX_GRADIENT_NORM = 1.0

# Adam's peak rate for the biases where the latents have another optimiser.
_BIAS_LEARNING_RATE = 0.01

# Steps between progress reports and checkpoints, which wait for the device.
REPORT_INTERVAL = 50

# Points on which a finished fit is checked for having become constant.
_CHECK_POINTS = 2**16


class Optimisation:
    """Descent on the latents and biases of S signals with a one-cycle rate, at one peak rate.

    Each signal has a latent of its own and C networks, one for each cell of its domain, so that
    there are K = S C. A step of a small fit is some three hundred operations on a few thousand
    numbers, whose calls take longer than their arithmetic: one call serves all signals. They share
    the seed and with it the projection, so that their weights are one transform; networks, metrics
    and conjugate gradients are batched products. No number of one signal enters another's.

    Quantisation-aware training rounds a latent a few numbers at a time, and those that are rounded
    stay as they are: the others go on and make up for the error. The decoder sees no difference,
    and steps twice as coarse do as well as rounding all at once.

    Parameters
    ----------
    samples : S Samples
        Those of a signal alone may be of any length; several are cut to the shortest.
    config : FitConfig, or S of them
        They may differ in where their cells lie, and in nothing else.
    learning_rate : float
        At its peak.
    device : torch.device
    projection : Projection, optional
        The configuration's unless another is given, with the descent for it; of one signal.
    descent : type
    team : ThreadTeam, optional

    Attributes
    ----------
    latents : (n,) float32, or (S, n) for several signals
    biases : (bias_count,) float32, or (S, bias_count)
    sizes : SizeControl
    pools : EncodedPools
    batch_size : int
        Samples of each network in a step.
    """

    def __init__(
        self,
        samples: Sequence[Samples],
        config: FitConfig | Sequence[FitConfig],
        learning_rate: float,
        device: torch.device,
        projection: Projection | None = None,
        descent: type[LatentDescent] = LatentDescent,
        team: ThreadTeam | None = None,
    ) -> None:
        configs = [config] * len(samples) if isinstance(config, FitConfig) else list(config)
        self.config = config = configs[0]
        architecture = config.architecture
        self._signals, self._cells = len(samples), architecture.cells
        assert config.loss == "cross-entropy" or self._signals == 1
        # One signal's tensors have no axis for it: their sums are other operations, and faster.
        self._lead: tuple[int, ...] = () if self._signals == 1 else (self._signals,)
        self.learning_rate = learning_rate
        self._device = device
        self.projection = projection or self._make_projection()
        # A projection may keep what its first transposition makes, and then round otherwise. It
        # must not be known by the weights whether this is the start or a fit taken up again.
        weight_count = self._signals * architecture.weight_count
        self.projection.transpose(torch.zeros(weight_count, device=device))
        # Of each layer's K matrices, one after the other.
        gains = weight_gains(architecture, device).split(architecture.layer_sizes)
        self._gains = torch.cat([layer.repeat(self._signals) for layer in gains])
        self._fineness = fineness(config, device)
        self.sizes = SizeControl(config, self._signals)
        self._use_sizes()
        self._fixed = 0
        self._bias_step = float(STEPS[nearest_step_index(config.bias_step)])
        # On the CPU whatever the device, so that a seed means the same start everywhere, and each
        # signal starts as it would alone.
        generator = torch.Generator().manual_seed(config.seed)
        initial = torch.randn(config.latent, generator=generator) / math.sqrt(config.latent)
        self.latents = initial.to(device).expand(*self._lead, -1).clone()
        self.biases = torch.zeros((*self._lead, architecture.bias_count), device=device)
        self._descent: LatentDescent | None = None
        by_adam = [self.latents, self.biases]
        if config.optimizer == "curvature":
            self._curvature = WeightCurvature(
                architecture.layer_shapes, device, self._signals, self._cells
            )
            self._descent = descent(
                self.projection,
                self._curvature,
                config.latent,
                device,
                self._signals if self._lead else None,
                config.solver_effort,
            )
            by_adam = [self.biases]
        self._adam = Adam(by_adam)
        self._next_step = 0
        pools = [
            Pool.of(own.architecture, each) for own, each in zip(configs, samples, strict=True)
        ]
        self._take(pools, team)

    def _make_projection(self) -> Projection:
        config = self.config
        one = make_projection(
            config.projection,
            config.latent,
            config.architecture.layer_sizes,
            config.seed,
            self._device,
        )
        return one.for_many(self._signals) if self._lead else one

    def _take(self, pools: Sequence[Pool], team: ThreadTeam | None) -> None:
        """Encode all pools once: batches are taken from them."""
        config, cell = self.config, self.config.architecture.of_a_cell
        self.pools = EncodedPools.of(cell, pools, self._device)
        count, length, _ = self.pools.features.shape
        self.batch_size = min(max(1, config.batch_size // self._cells), length)
        self._backward = TargetBackward(
            cell, count, self.batch_size, self._device, config.loss, self.pools.shares, team
        )
        self._batches = batches_of(config, self.pools, self.batch_size, REPORT_INTERVAL, team)

    def run(
        self,
        progress: ProgressFunction | None,
        *,
        payload_bits: Sequence[float] | None = None,
        work: Work | None = None,
    ) -> list[bool]:
        """Take every step left, or those until no signal is finite any more.

        Parameters
        ----------
        progress : callable, optional
            Called every 50 steps with the means over all signals.
        payload_bits : sequence of float, optional
            Of each signal; see `fit_latent`.
        work : Work, optional

        Returns
        -------
        list of bool
            Whether each signal's end is sound: finite, and not constant.
        """
        config = self.config
        sizings = steps_of_sizing(config)
        alive = True
        for step in range(self._next_step, config.steps):
            if payload_bits is not None and step in sizings:
                alive = self.sizes.choose_steps(self._numbers(), payload_bits)
                self._use_sizes()
            self.step(step, *self._batches.take(step, self._measure))
            self._batches.learn(self._backward.errors)
            if payload_bits is not None and is_updated(config, step):
                alive = self.sizes.update(step, self._numbers(), payload_bits)
                self._use_sizes()
            if not alive:
                return [False] * self._signals
            if (step + 1) % REPORT_INTERVAL == 0 or step + 1 == config.steps:
                self._next_step = step + 1
                loss, bits = self.last_loss()
                value = float(loss)
                if not math.isfinite(value) and self._signals == 1:
                    return [False]
                if work is not None and work.due and self._batches.begins_at(step + 1):
                    work.keep(self.state())
                if progress is not None:
                    progress(FitProgress(step + 1, config.steps, value, float(bits) / 8))
        return self._are_sound()

    def state(self) -> State:
        """Copy all that the steps taken have changed."""
        state = {
            "learning_rate": np.array(self.learning_rate),
            "next_step": np.array(self._next_step),
            "fixed": np.array(self._fixed),
        }
        state |= self.sizes.state()
        return state | {name: _to_numpy(values) for name, values in self._tensors().items()}

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Go back to where `state` was taken, of the same samples and configuration."""
        self._next_step = int(state["next_step"])
        self._fixed = int(state["fixed"])
        self.sizes.restore(state)
        self._use_sizes()
        for name, values in self._tensors().items():
            values.copy_(torch.from_numpy(state[name]))
        self._adam.updates = self._next_step
        if self._descent is not None:
            self._descent.updates = self._curvature.updates = self._next_step

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that a step changes."""
        named = {"latents": self.latents, "biases": self.biases} | self._batches.tensors()
        if self._descent is not None:
            named |= self._curvature.tensors()
            named |= self._descent.tensors()
        for number, moments in enumerate(self._adam.moments):
            named |= {f"moment {order} by Adam {number}": m for order, m in enumerate(moments)}
        return named

    @torch.no_grad()
    def step(
        self,
        step: int,
        features: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None = None,
    ) -> None:
        """Take one optimiser step on (K, N, encoded_dim) features and (K, N, out_dim) values.

        With (K, N, 1) importance these count differently. No value is read back from the device.
        """
        config = self.config
        rate = self.learning_rate * one_cycle(step / config.steps)
        self._round_more(step)
        latents, biases = self._rounded(self._fixed)
        gradient = self._backward(self._weights(latents, biases), features, values, importance)
        of_weights = gradient.weights * self._gains
        of_latents = self.projection.transpose(of_weights)
        of_latents = latents.gradient(of_latents, self._rate_weights)
        of_biases = gradient.biases.view(self.biases.shape)
        by_adam = [biases.gradient(of_biases, self._rate_weights)]
        if self._descent is not None:
            self._curvature.update(of_weights)
            bending = rate_curvature(self.latents, self._rate_weights)
            self._descent.step(self.latents, of_latents, rate, self._fixed, bending)
            rate *= _BIAS_LEARNING_RATE / self.learning_rate
        else:
            length = of_latents.norm(dim=-1, keepdim=bool(self._lead))
            by_adam.insert(
                0, of_latents * (_MAX_GRADIENT_NORM / length.clamp_min(_MAX_GRADIENT_NORM))
            )
        self._adam.step(by_adam, rate)
        self._last = latents, biases, values, importance

    def _measure(self, errors: torch.Tensor) -> None:
        """Measure all samples' errors as the signals stand."""
        weights = self._weights(*self._rounded(self._fixed))
        self._backward.measure(weights, self.pools.features, self.pools.values, errors)

    def _round_more(self, step: int) -> None:
        """Round the numbers whose turn it is, for good."""
        due = rounded_count(self.config, step)
        if due > self._fixed:
            new = slice(self._fixed, due)
            finer = None if self._fineness is None else self._fineness[new]
            numbers = self.latents[..., new]
            rounded = Rounded.of(numbers, self._latent_steps, self.config.bits, due, finer)
            self.latents[..., new] = rounded.values
            self._fixed = due

    @torch.no_grad()
    def last_loss(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy or squared error of the last batch, and a signal's estimated bits."""
        latents, biases, values, importance = self._last
        outputs = self._backward.outputs
        if self.config.loss == "cross-entropy":
            loss = binary_cross_entropy_with_logits(outputs, values, importance)
        else:
            loss = mse_loss(outputs, values)
        if not self.config.quantization_aware:
            return loss, torch.zeros_like(loss)
        bits = laplace_bits(latents.levels) + laplace_bits(biases.levels)
        return loss, (bits + bits_of_fineness(self._fineness)).mean()

    def _numbers(self) -> list[Numbers]:
        """Copy each signal's latent and biases."""
        latents, biases = _to_numpy(self.latents), _to_numpy(self.biases)
        each = latents.reshape(self._signals, -1), biases.reshape(self._signals, -1)
        return list(zip(*each, strict=True))

    def _use_sizes(self) -> None:
        """Take steps and rate weights as `sizes` has them."""
        steps = [coarsest_step(self.config, index) for index in self.sizes.step_indices]
        self._latent_steps = self._of_signals(steps)
        self._rate_weights = self._of_signals(self.sizes.rate_weights)

    def _of_signals(self, numbers: Sequence[float]) -> float | torch.Tensor:
        """(S, 1) numbers; the number itself for one signal."""
        if not self._lead:
            return numbers[0]
        return torch.tensor(numbers, dtype=torch.float32, device=self._device)[:, None]

    def results(self) -> list[FitResult]:
        """Copy each signal's latent and biases as they stand."""
        return [
            FitResult(latent.copy(), biases.copy(), index, self.learning_rate)
            for (latent, biases), index in zip(
                self._numbers(), self.sizes.step_indices, strict=True
            )
        ]

    def _rounded(self, fixed: int) -> tuple[Rounded, Rounded]:
        """Latents and biases, the latents' first `fixed` numbers as the quantiser leaves them."""
        config = self.config
        if not config.quantization_aware:
            return Rounded.exact(self.latents), Rounded.exact(self.biases)
        bias_count = self.biases.shape[-1] * (fixed > 0)
        return (
            Rounded.of(self.latents, self._latent_steps, config.bits, fixed, self._fineness),
            Rounded.of(self.biases, self._bias_step, MAX_BITS, bias_count),
        )

    def _weights(self, latents: Rounded, biases: Rounded) -> TargetWeights:
        weights = self.projection.project(latents.values).mul_(self._gains)
        return split_weights(self.config.architecture, weights, biases.values)

    @torch.no_grad()
    def _are_sound(self) -> list[bool]:
        """Whether each signal, quantised, tells something of its samples; see `is_sound`."""
        weights = self._weights(*self._rounded(self.config.latent))
        features = self.pools.features[:, : _CHECK_POINTS // self._cells]
        networks = [
            target_forward(self.config.architecture, weights.of_cell(network), own)
            for network, own in enumerate(features)
        ]
        sound = []
        for signal in range(self._signals):
            own = slice(signal * self._cells, (signal + 1) * self._cells)
            outputs = torch.stack(networks[own])
            values = self.pools.values[own, : outputs.shape[1]]
            sound.append(is_sound(outputs, values, self.config.loss))
        return sound


def _to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    return tensor.detach().cpu().numpy().copy()
