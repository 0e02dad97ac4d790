"""How a fit meets a size: by the choice of its quantisation step, then by its rate weight.

The quantisation step, delta, is chosen twice: some time before the first latent number is rounded,
and again immediately before. From the first choice on a feedback controller moves the rate weight,
so that the bits are about at rest when rounding begins. The second choice corrects what the rate
weight could not, because it has bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import choose_model, code_length_bits
from doh3d.codec.quantization import STEP_COUNT, nearest_step_index, quantize
from doh3d.fitting.checkpoint import State
from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.rounding import coarsest_delta
from doh3d.fitting.schedule import one_cycle, rounded_count

# A latent and its biases.
Numbers: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

# Delta is first chosen this share of the steps before rounding begins.
_CHOICE_LEAD = 0.15

# The rate weight is updated so often that a whole fit would have this many updates, and at least
# after so many steps.
_UPDATES, _LONGEST_INTERVAL = 128, 10

# In fits of fewer steps the rate weight is updated more boldly: they cannot wait for bits to come
# to rest.
_UNHURRIED_STEPS = 1000

# How far delta may move towards a size, in eighths of an octave. Each is an eighth of a bit for
# every latent number, or about 2% of the file. Shapes that are all detail need a delta that is
# 10 notches coarser.
_FINER_NOTCHES = 12
_COARSER_NOTCHES = 16

# How the logarithm of the rate weight answers to the bits' excess: to its change, and in each step
# to the excess itself, where all numbers are free and the learning rate is half its peak. Bits are
# about an integral of the weight, and a weight that follows them faster than they answer swings
# between its bounds: every swing tears at the shape, and while numbers are rounded it stays torn.
_ANSWER_TO_CHANGE, _ANSWER_TO_EXCESS = 20.0, 0.05

# Bits answer less where fewer numbers are free and the learning rate is lower. The controller's
# gain rises to make up for that, up to this bound.
_LARGEST_GAIN = 10.0

# Bounds of the logarithm of the rate weight's factor: with a fiftieth of the weight there is next
# to no rate term, and 4.5 times the weight is as much as a shape bears.
_LEAST_LOGARITHM, _LARGEST_LOGARITHM = -4.0, 1.5


class RateController:
    """Moves a fit's rate weight until its bits are those asked for.

    The latent of a shape that is easy for its size shrinks during the fit, and the file would fall
    short of its size. With a smaller rate weight the loss gets what is left.

    Attributes
    ----------
    logarithm : float
        Natural logarithm of `factor`.
    excess : float
        The last excess of the bits, as a share of those asked for; NaN before the first.
    """

    def __init__(self) -> None:
        self.logarithm = 0.0
        self.excess = math.nan

    @property
    def factor(self) -> float:
        """The configuration's rate weight is to be multiplied by this."""
        return math.exp(self.logarithm)

    def update(self, excess: float, *, steps: int, pace: float) -> None:
        """Answer to the bits' excess.

        Parameters
        ----------
        excess : float
            Bits over those asked for, less 1.
        steps : int
            Optimiser steps since the last update.
        pace : float
            How fast bits answer to the weight: 1 with all numbers free and half the peak learning
            rate.
        """
        # After a choice of delta there is no last excess; what the choice has left is a change too.
        change = excess if math.isnan(self.excess) else excess - self.excess
        gain = min(1 / max(pace, 1e-9), _LARGEST_GAIN)
        moved = self.logarithm + gain * (
            _ANSWER_TO_CHANGE * change + _ANSWER_TO_EXCESS * steps * excess
        )
        self.logarithm = min(max(moved, _LEAST_LOGARITHM), _LARGEST_LOGARITHM)
        self.excess = excess


class SizeControl:
    """Brings S fits of one configuration to the bits asked for each.

    Attributes
    ----------
    delta_indices : list of S integers
        Index of each latent's quantisation step; of graded steps the finest.
    """

    def __init__(self, config: FitConfig, signals: int) -> None:
        self._config = config
        start = config.rounding_start
        lead = max(start - _CHOICE_LEAD, 0.0)
        self._choices = math.ceil(lead * config.steps), math.ceil(start * config.steps)
        self._interval = min(max(1, config.steps // _UPDATES), _LONGEST_INTERVAL)
        self.delta_indices = [config.training_step_index] * signals
        self._controllers = [RateController() for _ in range(signals)]

    @property
    def latent_deltas(self) -> list[float]:
        """Each latent's quantisation step; of graded steps the coarsest."""
        return [coarsest_delta(self._config, index) for index in self.delta_indices]

    @property
    def rate_weights(self) -> list[float]:
        """Lambda of each signal's rate term; 0 where nothing is quantised in training."""
        own = self._config.rate_weight if self._config.quantization_aware else 0.0
        return [own * controller.factor for controller in self._controllers]

    def is_choice_due(self, step: int) -> bool:
        """Whether delta is chosen before this step."""
        return step in self._choices

    def is_update_due(self, step: int) -> bool:
        """Whether the rate weight is updated after this step."""
        return step >= self._choices[0] and (step + 1) % self._interval == 0

    def choose_deltas(self, numbers: Sequence[Numbers], payload_bits: Sequence[float]) -> bool:
        """Move each delta to the finest one near it that keeps within the bits.

        Parameters
        ----------
        numbers : S pairs of (n,) latent and (bias_count,) biases, float32
            As they stand before the first number is rounded.
        payload_bits : S numbers
            Bits asked for, of latent and biases together.

        Returns
        -------
        bool
            Whether any signal is finite. A signal that is not has no size, and its delta stays.
        """
        finite = _finite(numbers)
        for k in finite:
            self.delta_indices[k] = delta_index_for_bits(*numbers[k], self._config, payload_bits[k])
            self._controllers[k].excess = math.nan
        return bool(finite)

    def update(self, step: int, numbers: Sequence[Numbers], payload_bits: Sequence[float]) -> bool:
        """Move each rate weight towards the bits asked for, after an optimiser step.

        The other parameters and the result are those of `choose_deltas`.
        """
        config = self._config
        # Bits answer in proportion to the free numbers and to the learning rate.
        free = 1 - rounded_count(config, step) / config.latent
        hurry = max(1.0, _UNHURRIED_STEPS / config.steps)
        pace = 2 * free * one_cycle(step / config.steps) / hurry
        finite = _finite(numbers)
        for k in finite:
            excess = excess_of_bits(*numbers[k], config, payload_bits[k], self.delta_indices[k])
            self._controllers[k].update(excess, steps=self._interval, pace=pace)
        return bool(finite)

    def state(self) -> State:
        """Return what is carried on, as arrays for a checkpoint."""
        carried = [(controller.logarithm, controller.excess) for controller in self._controllers]
        return {
            "rate controllers": np.array(carried),
            "latent step indices": np.array(self.delta_indices),
        }

    def restore(self, state: State) -> None:
        """Go back to where `state` was taken."""
        for controller, carried in zip(
            self._controllers, state["rate controllers"].tolist(), strict=True
        ):
            controller.logarithm, controller.excess = carried
        self.delta_indices = state["latent step indices"].tolist()


def delta_index_for_bits(
    latent: npt.NDArray[np.float32],
    biases: npt.NDArray[np.float32],
    config: FitConfig,
    payload_bits: float,
) -> int:
    """Index of the finest delta near training's own with which latent and biases keep to the bits.

    No number of the (n,) latent is rounded yet.
    """
    available = payload_bits - _bias_bits(biases, config)
    near = config.training_step_index
    finest = max(near - _FINER_NOTCHES, 0)
    coarsest = min(near + _COARSER_NOTCHES, STEP_COUNT - 1)
    for index in range(finest, coarsest):
        if latent_bits(latent, config, index) <= available:
            return index
    return coarsest


def excess_of_bits(
    latent: npt.NDArray[np.float32],
    biases: npt.NDArray[np.float32],
    config: FitConfig,
    payload_bits: float,
    delta_index: int,
) -> float:
    """Bits of a (n,) latent, rounded or not, and its biases over those asked for, less 1."""
    bits = latent_bits(latent, config, delta_index) + _bias_bits(biases, config)
    return bits / payload_bits - 1


def latent_bits(latent: npt.NDArray[np.float32], config: FitConfig, delta_index: int) -> float:
    """Bits of a (n,) latent rounded as the configuration says, with the delta of that index."""
    graded = config.graded_training
    levels = quantize(latent, delta_index, config.bits, graded=graded)
    return code_length_bits(levels, choose_model(levels, graded=graded))


def _bias_bits(biases: npt.NDArray[np.float32], config: FitConfig) -> float:
    levels = quantize(biases, nearest_step_index(config.bias_step), MAX_BITS)
    return code_length_bits(levels, choose_model(levels))


def _finite(numbers: Sequence[Numbers]) -> list[int]:
    """Which signals are finite."""
    return [k for k, pair in enumerate(numbers) if all(np.isfinite(each).all() for each in pair)]
