"""The optimisation of one signal's latent and biases, step by step."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from doh3d.codec.quantization import GRADES, STEPS, grade_factors, nearest_step_index
from doh3d.crew import Crew
from doh3d.fitting.adam import Adam
from doh3d.fitting.batches import Batches, DrawsByError, SlicesInTurn
from doh3d.fitting.cell_samples import CellSamples, encode_chunks
from doh3d.fitting.checkpoint import State, Work
from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.curvature import WeightCurvature
from doh3d.fitting.descent import LatentDescent
from doh3d.fitting.gradient import TargetBackward
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
from doh3d.fitting.signal import Samples
from doh3d.fitting.step_size import RateSteering, excess_of_bits, step_index_for_bits
from doh3d.hypernetwork.decoder import weight_gains
from doh3d.hypernetwork.projection import Projection, make_projection
from doh3d.hypernetwork.target import (
    TargetWeights,
    fold_points,
    split_many,
    target_forward,
)

_MAX_GRADIENT_NORM = 1.0

# Adam's peak rate for the biases where the latent has another optimiser.
BIAS_LEARNING_RATE = 0.01

# Steps between progress reports and checkpoints, which wait for the device.
REPORT_INTERVAL = 50

# Points on which a finished fit is checked for having become constant.
CHECK_POINTS = 2**16

# Squared error that no constant is refused for, of values in [-1, 1].
_TINY_ERROR = 1e-3


class Optimisation:
    """Descent on z and h with a one-cycle learning rate, at one peak rate.

    Quantisation-aware training rounds the latent a few numbers at a time, and those that are
    rounded stay as they are: the others go on and make up for the error. The decoder sees no
    difference, and steps twice as coarse do as well as rounding all at once.

    The projection is the configuration's unless another is given, with the descent for it.
    """

    def __init__(
        self,
        samples: Samples,
        config: FitConfig,
        learning_rate: float,
        device: torch.device,
        projection: Projection | None = None,
        descent: type[LatentDescent] = LatentDescent,
        crew: Crew | None = None,
    ) -> None:
        architecture = config.architecture
        self.config = config
        self.learning_rate = learning_rate
        # On the CPU whatever the device, so that a seed means the same start everywhere.
        generator = torch.Generator().manual_seed(config.seed)
        self._device = device
        self.projection = projection or make_projection(
            config.projection, config.latent, architecture.layer_sizes, config.seed, device
        )
        # A projection may keep what its first transposition makes, and then round otherwise. It
        # must not be known by the weights whether this is the start or a fit taken up again.
        self.projection.transpose(torch.zeros(architecture.weight_count, device=device))
        self._gains = weight_gains(architecture, device)
        self._fineness = fineness(config, device)
        self._use_step(config.training_step_index)
        self._fixed = 0
        self._steering = RateSteering()
        self._use_rate_weight()
        self._bias_step = float(STEPS[nearest_step_index(config.bias_step)])
        initial = torch.randn(config.latent, generator=generator) / math.sqrt(config.latent)
        self.latent = initial.to(device)
        self.biases = torch.zeros(architecture.bias_count, device=device)
        self._descent: LatentDescent | None = None
        by_adam = [self.latent, self.biases]
        if config.optimizer == "curvature":
            count = None if architecture.partition is None else architecture.cells
            self._curvature = WeightCurvature(architecture.layer_shapes, device, count, joint=True)
            self._descent = descent(
                self.projection,
                self._curvature,
                config.latent,
                device,
                effort=config.solver_effort,
            )
            by_adam = [self.biases]
        self._adam = Adam(by_adam)
        self._next_step = 0
        self._take(samples, crew)

    def _take(self, samples: Samples, crew: Crew | None) -> None:
        """Encode the whole pool, of each cell if there are, once: batches are taken from it."""
        config, architecture, device = self.config, self.config.architecture, self._device
        cells, cell = architecture.cells, architecture.of_a_cell
        if architecture.partition is None:
            places = [fold_points(architecture, torch.from_numpy(samples.points))]
            values = torch.from_numpy(samples.values)[None]
            shares = torch.ones(1)
        else:
            pool = CellSamples.of(architecture, samples)
            places, values, shares = pool.places, pool.values, pool.shares
        self._features = torch.stack([encode_chunks(cell, each.to(device)) for each in places])
        self._values = values.to(device)
        self._batch_size = min(max(1, config.batch_size // cells), self._values.shape[1])
        self._backward = TargetBackward(
            cell, cells, self._batch_size, device, config.loss, shares.to(device), crew
        )
        self._batches = batches_of(config, self._features, self._values, self._batch_size, crew)

    def run(
        self,
        progress: ProgressFunction | None,
        *,
        payload_bits: float | None = None,
        work: Work | None = None,
    ) -> bool:
        """Take every step left; whether the end is finite and not constant."""
        config = self.config
        sizings = steps_of_sizing(config)
        for step in range(self._next_step, config.steps):
            if step in sizings and payload_bits is not None:
                if not self._is_finite():
                    return False
                self._choose_step(payload_bits)
            batch = self._batches.take(step, self._measure)
            self.step(step, *batch)
            self._batches.learn(self._backward.errors)
            if payload_bits is not None and is_steered(config, step):
                if not self._is_finite():
                    return False
                self._steer(step, payload_bits)
            if (step + 1) % REPORT_INTERVAL == 0 or step + 1 == config.steps:
                self._next_step = step + 1
                loss, bits = self.last_loss()
                value = float(loss)
                if not math.isfinite(value):
                    return False
                if work is not None and work.due and self._batches.begins_at(step + 1):
                    work.keep(self.state())
                if progress is not None:
                    progress(FitProgress(step + 1, config.steps, value, float(bits) / 8))
        return self._is_sound()

    def state(self) -> State:
        """Copy all that the steps taken have changed."""
        state = {
            "learning_rate": np.array(self.learning_rate),
            "next_step": np.array(self._next_step),
            "fixed": np.array(self._fixed),
            "steering": np.array([self._steering.logarithm, self._steering.excess]),
            "latent_step_index": np.array(self.latent_step_index),
        }
        return state | {name: _to_numpy(values) for name, values in self._tensors().items()}

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Go back to where `state` was taken, of the same samples and configuration."""
        self._next_step = int(state["next_step"])
        self._fixed = int(state["fixed"])
        self._steering.logarithm, self._steering.excess = state["steering"].tolist()
        self._use_rate_weight()
        self._use_step(int(state["latent_step_index"]))
        for name, values in self._tensors().items():
            values.copy_(torch.from_numpy(state[name]))
        self._adam.updates = self._next_step
        if self._descent is not None:
            self._descent.updates = self._curvature.updates = self._next_step

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that a step changes."""
        named = {"latent": self.latent, "biases": self.biases} | self._batches.tensors()
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
        latent, biases = self._rounded(self._fixed)
        weights = self._weights(latent, biases)
        gradient = self._backward(weights, features, values, importance)
        of_weights = gradient.weights * self._gains
        of_latent = self.projection.transpose(of_weights)
        of_latent = latent.gradient(of_latent, self._rate_weight)
        by_adam = [biases.gradient(gradient.biases.view(-1), self._rate_weight)]
        if self._descent is not None:
            self._curvature.update(of_weights)
            bending = rate_curvature(self.latent, self._rate_weight)
            self._descent.step(self.latent, of_latent, rate, self._fixed, bending)
            rate *= BIAS_LEARNING_RATE / self.learning_rate
        else:
            length = of_latent.norm()
            by_adam.insert(
                0, of_latent * (_MAX_GRADIENT_NORM / length.clamp_min(_MAX_GRADIENT_NORM))
            )
        self._adam.step(by_adam, rate)
        self._last = latent, biases, values, importance

    def _measure(self, errors: torch.Tensor) -> None:
        """Measure all samples' errors as the signal stands."""
        weights = self._weights(*self._rounded(self._fixed))
        self._backward.measure(weights, self._features, self._values, errors)

    def _round_more(self, step: int) -> None:
        """Round the numbers whose turn it is, for good."""
        due = rounded_count(self.config, step)
        if due > self._fixed:
            new = slice(self._fixed, due)
            finer = None if self._fineness is None else self._fineness[new]
            rounded = Rounded.of(self.latent[new], self._latent_step, self.config.bits, due, finer)
            self.latent[new] = rounded.values
            self._fixed = due

    @torch.no_grad()
    def last_loss(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last batch's mean cross-entropy or squared error, and the estimated bits."""
        latent, biases, values, importance = self._last
        outputs = self._backward.outputs
        if self.config.loss == "cross-entropy":
            loss = binary_cross_entropy_with_logits(outputs, values, importance)
        else:
            loss = mse_loss(outputs, values)
        bits = laplace_bits(latent.levels) + laplace_bits(biases.levels)
        bits = bits + bits_of_fineness(self._fineness)
        return loss, bits if self.config.quantization_aware else torch.zeros_like(bits)

    def _choose_step(self, payload_bits: float) -> None:
        """Move the latent's step to the finest one near it that keeps within the bits.

        Before the first number is rounded: what is rounded later makes up for what was before.
        """
        index = step_index_for_bits(
            _to_numpy(self.latent),
            _to_numpy(self.biases),
            self.config,
            payload_bits,
        )
        self._use_step(index)
        self._steering.excess = math.nan

    def _is_finite(self) -> bool:
        """Whether latent and biases are finite: other numbers have no size."""
        return bool(torch.isfinite(self.latent).all() and torch.isfinite(self.biases).all())

    def _steer(self, step: int, payload_bits: float) -> None:
        """Turn the rate weight to where the file takes the bits that it may."""
        excess = excess_of_bits(
            _to_numpy(self.latent),
            _to_numpy(self.biases),
            self.config,
            payload_bits,
            step_index=self.latent_step_index,
        )
        pace = pace_of_bits(self.config, step)
        self._steering.turn(excess, steps=steps_of_a_turn(self.config), pace=pace)
        self._use_rate_weight()

    def _use_rate_weight(self) -> None:
        own = self.config.rate_weight if self.config.quantization_aware else 0.0
        self._rate_weight = own * self._steering.factor

    def _use_step(self, index: int) -> None:
        self.latent_step_index = index
        self._latent_step = coarsest_step(self.config, index)

    def result(self) -> FitResult:
        """Copy the latent and biases as they stand."""
        return FitResult(
            latent=_to_numpy(self.latent),
            biases=_to_numpy(self.biases),
            latent_step_index=self.latent_step_index,
            learning_rate=self.learning_rate,
        )

    def _rounded(self, fixed: int) -> tuple[Rounded, Rounded]:
        """Latent and biases, the latent's first `fixed` numbers as the quantiser leaves them."""
        config = self.config
        if not config.quantization_aware:
            return Rounded.exact(self.latent), Rounded.exact(self.biases)
        return (
            Rounded.of(self.latent, self._latent_step, config.bits, fixed, self._fineness),
            Rounded.of(self.biases, self._bias_step, MAX_BITS, len(self.biases) * (fixed > 0)),
        )

    def _weights(self, latent: Rounded, biases: Rounded) -> TargetWeights:
        architecture = self.config.architecture
        weights = self.projection.project(latent.values).mul_(self._gains)
        of_cells = biases.values.view(architecture.cells, -1)
        return split_many(architecture.of_a_cell, weights, of_cells)

    @torch.no_grad()
    def _is_sound(self) -> bool:
        """Whether the quantised network is finite on the samples, and tells something of them.

        Occupancy is neither empty nor full, values err no more than their mean would.
        """
        weights = self._weights(*self._rounded(self.config.latent))
        some = slice(CHECK_POINTS // self.config.architecture.cells)
        features, values = self._features[:, some], self._values[:, some]
        outputs = target_forward(self.config.architecture, weights, features)
        finite = bool(torch.isfinite(outputs).all())
        if self.config.loss == "log-squared-error":
            values = values.flatten(0, 1)
            return finite and bool(
                mse_loss(outputs.flatten(0, 1), values)
                <= mse_loss(values.mean(dim=0).expand_as(values), values) + _TINY_ERROR
            )
        inside = outputs > 0
        return finite and bool(inside.any()) and not bool(inside.all())


def batches_of(
    config: FitConfig,
    features: torch.Tensor,
    values: torch.Tensor,
    size: int,
    crew: Crew | None = None,
) -> Batches:
    """Batches of so many samples from each of K pools, as the configuration says."""
    if not config.draws_by_error:
        return SlicesInTurn(features, values, size)
    return DrawsByError(
        features,
        values,
        size,
        steps=config.steps,
        interval=REPORT_INTERVAL,
        seed=config.seed,
        crew=crew,
    )


def fineness(config: FitConfig, device: torch.device) -> torch.Tensor | None:
    """(n,) how many times finer than the coarsest step each latent number is rounded."""
    if not config.graded_training:
        return None
    factors = grade_factors(config.latent)
    return torch.from_numpy((factors[0] / factors).astype(np.float32)).to(device)


def coarsest_step(config: FitConfig, step_index: int) -> float:
    """Step of the first latent numbers, where that of the last has this index."""
    octaves = GRADES - 1 if config.graded_training else 0
    return float(STEPS[step_index]) * 2.0**octaves


def bits_of_fineness(fineness: torch.Tensor | None) -> torch.Tensor | float:
    """Bits that finer steps add to those of levels in units of the coarsest."""
    return 0.0 if fineness is None else fineness.log2().sum()


def _to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    return tensor.detach().cpu().numpy().copy()
