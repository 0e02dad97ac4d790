"""The optimisation of many shapes' latents and biases together, step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from doh3d.codec.quantization import STEPS, nearest_step_index
from doh3d.crew import Crew
from doh3d.fitting.adam import Adam
from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.curvature import WeightCurvature
from doh3d.fitting.descent import LatentDescent
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.optimisation import (
    BIAS_LEARNING_RATE,
    CHECK_POINTS,
    REPORT_INTERVAL,
    batches_of,
    bits_of_fineness,
    coarsest_step,
    fineness,
)
from doh3d.fitting.rate import laplace_bits, rate_curvature
from doh3d.fitting.results import FitProgress, FitResult, ProgressFunction
from doh3d.fitting.rounding import Rounded
from doh3d.fitting.schedule import (
    is_steered,
    one_cycle,
    pace_of_bits,
    rounded_count,
    steps_of_a_turn,
    steps_of_sizing,
)
from doh3d.fitting.step_size import RateSteering, excess_of_bits, step_index_for_bits
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.decoder import weight_gains
from doh3d.hypernetwork.projection import make_projection
from doh3d.hypernetwork.target import encode_points, split_many, target_forward

_Floats = npt.NDArray[np.float32]


class ManyOptimisation:
    """What `Optimisation` does to one shape, done to K of one configuration in each step.

    A step of a small fit is some three hundred operations on a few thousand numbers, whose calls
    take longer than their arithmetic: here one call serves all shapes. Shapes that share a seed
    share the projection, so that their weights are one transform; networks, metrics and conjugate
    gradients are batched matrix products. No number of one shape enters another's.

    Parameters
    ----------
    samples : sequence of OccupancySamples
        K shapes' pools, all of one length.
    config : FitConfig
        Whose optimiser is "curvature" and whose loss is "cross-entropy".
    device : torch.device
    """

    def __init__(
        self,
        samples: Sequence[OccupancySamples],
        config: FitConfig,
        device: torch.device,
        crew: Crew | None = None,
    ) -> None:
        assert config.optimizer == "curvature"
        assert config.loss == "cross-entropy"
        assert len({len(pool) for pool in samples}) == 1
        architecture = config.architecture
        count, n = len(samples), config.latent
        self.config = config
        self._device = device
        self._crew = crew
        self._projection = make_projection(
            config.projection, n, architecture.layer_sizes, config.seed, device
        ).for_many(count)
        # Of each layer's K matrices, one after the other.
        gains = weight_gains(architecture, device).split(architecture.layer_sizes)
        self._gains = torch.cat([layer.repeat(count) for layer in gains])
        self._fineness = fineness(config, device)
        self._step_indices = np.full(count, config.training_step_index)
        self._use_steps()
        self._bias_step = float(STEPS[nearest_step_index(config.bias_step)])
        self._fixed = 0
        rate_weight = config.rate_weight if config.quantization_aware else 0.0
        self._rate_weights = torch.full((count, 1), rate_weight, device=device)
        self._steerings = [RateSteering() for _ in samples]
        # Each shape starts as it would alone.
        generator = torch.Generator().manual_seed(config.seed)
        initial = torch.randn(n, generator=generator) / math.sqrt(n)
        self._latents = initial.to(device).repeat(count, 1)
        self._biases = torch.zeros((count, architecture.bias_count), device=device)
        self._curvature = WeightCurvature(architecture.layer_shapes, device, count)
        self._descent = LatentDescent(
            self._projection, self._curvature, n, device, count, config.solver_effort
        )
        self._adam = Adam([self._biases])
        self._batch_size = min(config.batch_size, len(samples[0]))
        self._backward = TargetBackward(architecture, count, self._batch_size, device, crew=crew)
        self._features = torch.empty(
            (count, len(samples[0]), architecture.encoded_dim), device=device
        )
        for features, pool in zip(self._features, samples, strict=True):
            points = torch.from_numpy(pool.points).to(device)
            for target, part in zip(features.split(2**16), points.split(2**16), strict=True):
                target.copy_(encode_points(architecture, part))
        labels = [torch.from_numpy(pool.occupancy) for pool in samples]
        self._labels = torch.stack(labels).to(device)[..., None]

    def run(
        self,
        progress: ProgressFunction | None = None,
        *,
        payload_bits: Sequence[float] | None = None,
    ) -> None:
        """Take every step; a shape that diverges leaves the others as they are.

        Parameters
        ----------
        progress : callable, optional
            Called every 50 steps with the means over all shapes.
        payload_bits : sequence of float, optional
            Of each shape; see `fit_latent`.
        """
        config = self.config
        sizings = steps_of_sizing(config)
        batches = batches_of(config, self._features, self._labels, self._batch_size, self._crew)
        for step in range(config.steps):
            if step in sizings and payload_bits is not None:
                self._choose_steps(payload_bits)
            self.step(step, *batches.take(step, self._measure))
            batches.learn(self._backward.errors)
            if payload_bits is not None and is_steered(config, step):
                self._steer(step, payload_bits)
            due = (step + 1) % REPORT_INTERVAL == 0 or step + 1 == config.steps
            if due and progress is not None:
                progress(self._progress(step + 1))

    @torch.no_grad()
    def step(
        self,
        step: int,
        features: torch.Tensor,
        labels: torch.Tensor,
        importance: torch.Tensor | None = None,
    ) -> None:
        """Take one step on (K, N, encoded_dim) features and (K, N, 1) labels.

        With (K, N, 1) importance these count differently. No value is read back from the device.
        """
        config = self.config
        shape_of_schedule = one_cycle(step / config.steps)
        self._round_more(step)
        latents, biases = self._rounded(self._fixed)
        target = split_many(config.architecture, self._weights(latents), biases.values)
        gradient = self._backward(target, features, labels, importance)
        of_weights = gradient.weights * self._gains
        of_latents = latents.gradient(self._projection.transpose(of_weights), self._rate_weights)
        of_biases = biases.gradient(gradient.biases, self._rate_weights)
        self._curvature.update(of_weights)
        self._descent.step(
            self._latents,
            of_latents,
            config.learning_rate * shape_of_schedule,
            self._fixed,
            rate_curvature(self._latents, self._rate_weights),
        )
        self._adam.step([of_biases], BIAS_LEARNING_RATE * shape_of_schedule)
        self._last = latents, biases, labels, importance

    def _measure(self, errors: torch.Tensor) -> None:
        """Measure all samples' errors as the shapes stand."""
        latents, biases = self._rounded(self._fixed)
        target = split_many(self.config.architecture, self._weights(latents), biases.values)
        self._backward.measure(target, self._features, self._labels, errors)

    def results(self) -> list[FitResult | None]:
        """Copy each shape's latent and biases as they stand; None of one that has diverged."""
        latents, biases = self._latents.cpu().numpy(), self._biases.cpu().numpy()
        return [
            FitResult(
                latent=latents[k].copy(),
                biases=biases[k].copy(),
                latent_step_index=int(self._step_indices[k]),
                learning_rate=self.config.learning_rate,
            )
            if separates
            else None
            for k, separates in enumerate(self._separate())
        ]

    def _round_more(self, step: int) -> None:
        """Round the numbers whose turn it is, for good."""
        due = rounded_count(self.config, step)
        if due > self._fixed:
            new = slice(self._fixed, due)
            finer = None if self._fineness is None else self._fineness[new]
            rounded = Rounded.of(self._latents[:, new], self._steps, self.config.bits, due, finer)
            self._latents[:, new] = rounded.values
            self._fixed = due

    def _rounded(self, fixed: int) -> tuple[Rounded, Rounded]:
        config = self.config
        if not config.quantization_aware:
            return Rounded.exact(self._latents), Rounded.exact(self._biases)
        bias_count = self._biases.shape[1] * (fixed > 0)
        return (
            Rounded.of(self._latents, self._steps, config.bits, fixed, self._fineness),
            Rounded.of(self._biases, self._bias_step, MAX_BITS, bias_count),
        )

    def _weights(self, latents: Rounded) -> torch.Tensor:
        return self._projection.project(latents.values).mul_(self._gains)

    def _choose_steps(self, payload_bits: Sequence[float]) -> None:
        """Choose each latent's step as `Optimisation` does."""
        for k, (latent, biases) in self._finite():
            self._step_indices[k] = step_index_for_bits(
                latent, biases, self.config, payload_bits[k]
            )
            self._steerings[k].excess = math.nan
        self._use_steps()

    def _steer(self, step: int, payload_bits: Sequence[float]) -> None:
        """Turn each rate weight as `Optimisation` does."""
        config = self.config
        for k, (latent, biases) in self._finite():
            excess = excess_of_bits(
                latent, biases, config, payload_bits[k], step_index=int(self._step_indices[k])
            )
            self._steerings[k].turn(
                excess, steps=steps_of_a_turn(config), pace=pace_of_bits(config, step)
            )
            self._rate_weights[k] = config.rate_weight * self._steerings[k].factor

    def _finite(self) -> Iterator[tuple[int, tuple[_Floats, _Floats]]]:
        """Yield number, latent and biases of each shape that is finite: others have no size."""
        pairs = zip(self._latents.cpu().numpy(), self._biases.cpu().numpy(), strict=True)
        for k, pair in enumerate(pairs):
            if all(np.isfinite(numbers).all() for numbers in pair):
                yield k, pair

    def _use_steps(self) -> None:
        steps = [coarsest_step(self.config, int(index)) for index in self._step_indices]
        self._steps = torch.tensor(steps, dtype=torch.float32, device=self._device)[:, None]

    @torch.no_grad()
    def _progress(self, step: int) -> FitProgress:
        latents, biases, labels, importance = self._last
        loss = binary_cross_entropy_with_logits(self._backward.outputs, labels, importance)
        size = 0.0
        if self.config.quantization_aware:
            bits = laplace_bits(latents.levels) + laplace_bits(biases.levels)
            size = float((bits + bits_of_fineness(self._fineness)).mean()) / 8
        return FitProgress(step, self.config.steps, float(loss), size)

    @torch.no_grad()
    def _separate(self) -> list[bool]:
        """Whether each quantised field is finite, and neither empty nor full on its samples."""
        latents, biases = self._rounded(self.config.latent)
        architecture = self.config.architecture
        target = split_many(architecture, self._weights(latents), biases.values)
        found = []
        for k, features in enumerate(self._features):
            logits = target_forward(architecture, target.of_cell(k), features[:CHECK_POINTS])
            inside = logits > 0
            finite = bool(torch.isfinite(logits).all())
            found.append(finite and bool(inside.any()) and not bool(inside.all()))
        return found
