"""How a fit comes to so many bits: by its quantisation step, then by its rate weight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import choose_model, code_length_bits
from doh3d.codec.quantization import STEP_COUNT, nearest_step_index, quantize
from doh3d.fitting.checkpoint import State
from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.schedule import pace_of_bits, update_interval

# A latent and its biases.
Numbers: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

# How far the step may move towards a size, in eighths of an octave: an eighth of a bit for
# each latent number, about 2% of the file. Shapes that are all detail need 10 coarser ones.
_FINER_NOTCHES = 12
_COARSER_NOTCHES = 16

# How the logarithm of the rate weight answers to the bits' excess: to its change, and to itself in
# each step, where all numbers are free and the learning rate is half its peak. Bits are about an
# integral of the weight, and a weight that follows them faster than they answer swings between its
# bounds: every swing tears at the shape, and while numbers are rounded it stays torn.
_ANSWER_TO_CHANGE, _ANSWER_TO_EXCESS = 20.0, 0.05

# Where fewer numbers are free and the learning rate is lower, bits answer less and the weight
# may do more, but for so much.
_LARGEST_GAIN = 10.0

# How far the weight is moved: a fiftieth is next to no rate term, and 4.5 times is as much as a
# shape bears.
_LEAST_LOGARITHM, _LARGEST_LOGARITHM = -4.0, 1.5


def step_index_for_bits(
    latent: npt.NDArray[np.float32],
    biases: npt.NDArray[np.float32],
    config: FitConfig,
    payload_bits: float,
) -> int:
    """Index of the finest step near training's own at which latent and biases keep within the bits.

    Parameters
    ----------
    latent : (n,) float32
        As it stands before any number is rounded.
    biases : (bias_count,) float32
    """
    bias_levels = quantize(biases, nearest_step_index(config.bias_step), MAX_BITS)
    available = payload_bits - code_length_bits(bias_levels, choose_model(bias_levels))
    near = config.training_step_index
    finest = max(near - _FINER_NOTCHES, 0)
    coarsest = min(near + _COARSER_NOTCHES, STEP_COUNT - 1)
    for index in range(finest, coarsest):
        if latent_bits(latent, config, index) <= available:
            return index
    return coarsest


class RateController:
    """Moves a fit's rate weight until its bits are those that they may be.

    The numbers of shapes that are easy for their size shrink while they are fitted, and the file
    would fall short of what it may take: with less weight the loss gets what is left.

    Attributes
    ----------
    logarithm : float
        Of how many times its own the rate weight is to be.
    excess : float
        Of the bits when they were last told, as a share; NaN before.
    """

    def __init__(self) -> None:
        self.logarithm = 0.0
        self.excess = math.nan

    @property
    def factor(self) -> float:
        """How many times its own the rate weight is to be."""
        return math.exp(self.logarithm)

    def update(self, excess: float, *, steps: int, pace: float) -> None:
        """Answer to the bits' excess.

        Parameters
        ----------
        excess : float
            Bits over those that they may be, less 1.
        steps : int
            Since the last update.
        pace : float
            How fast bits answer to the weight: 1 with all numbers free and half the peak learning
            rate.
        """
        # What the choice of a step has left is a change too.
        change = excess if math.isnan(self.excess) else excess - self.excess
        gain = min(1 / max(pace, 1e-9), _LARGEST_GAIN)
        moved = self.logarithm + gain * (
            _ANSWER_TO_CHANGE * change + _ANSWER_TO_EXCESS * steps * excess
        )
        self.logarithm = min(max(moved, _LEAST_LOGARITHM), _LARGEST_LOGARITHM)
        self.excess = excess


class SizeControl:
    """Brings S fits of one configuration to so many bits each.

    First each latent's quantisation step is chosen, then its rate weight follows the bits.

    Attributes
    ----------
    step_indices : list of S integers
        Of the latents' quantisation steps.
    """

    def __init__(self, config: FitConfig, signals: int) -> None:
        self._config = config
        self.step_indices = [config.training_step_index] * signals
        self._controllers = [RateController() for _ in range(signals)]

    @property
    def rate_weights(self) -> list[float]:
        """Lambda of each signal's rate term; 0 where nothing is quantised in training."""
        own = self._config.rate_weight if self._config.quantization_aware else 0.0
        return [own * controller.factor for controller in self._controllers]

    def choose_steps(self, numbers: Sequence[Numbers], payload_bits: Sequence[float]) -> bool:
        """Move each latent's step to the finest one near it that keeps within the bits.

        Before the first number is rounded: what is rounded later makes up for what was before.

        Parameters
        ----------
        numbers : S pairs of (n,) latent and (bias_count,) biases, float32
        payload_bits : S numbers
            That latent and biases may take.

        Returns
        -------
        bool
            Whether any signal is finite; the others have no size, and stay as they are.
        """
        any_finite = False
        for k, (latent, biases) in _finite(numbers):
            any_finite = True
            self.step_indices[k] = step_index_for_bits(
                latent, biases, self._config, payload_bits[k]
            )
            self._controllers[k].excess = math.nan
        return any_finite

    def update(self, step: int, numbers: Sequence[Numbers], payload_bits: Sequence[float]) -> bool:
        """Move each rate weight to where the file takes the bits that it may, after a step.

        Parameters and result are those of `choose_steps`.
        """
        config = self._config
        pace, interval = pace_of_bits(config, step), update_interval(config)
        any_finite = False
        for k, (latent, biases) in _finite(numbers):
            any_finite = True
            excess = excess_of_bits(
                latent, biases, config, payload_bits[k], step_index=self.step_indices[k]
            )
            self._controllers[k].update(excess, steps=interval, pace=pace)
        return any_finite

    def state(self) -> State:
        """As arrays, for a checkpoint."""
        told = [(controller.logarithm, controller.excess) for controller in self._controllers]
        return {
            "rate controllers": np.array(told),
            "latent step indices": np.array(self.step_indices),
        }

    def restore(self, state: State) -> None:
        """Undo `state`."""
        for controller, told in zip(
            self._controllers, state["rate controllers"].tolist(), strict=True
        ):
            controller.logarithm, controller.excess = told
        self.step_indices = state["latent step indices"].tolist()


def _finite(numbers: Sequence[Numbers]) -> Iterator[tuple[int, Numbers]]:
    for k, pair in enumerate(numbers):
        if all(np.isfinite(each).all() for each in pair):
            yield k, pair


def excess_of_bits(
    latent: npt.NDArray[np.float32],
    biases: npt.NDArray[np.float32],
    config: FitConfig,
    payload_bits: float,
    *,
    step_index: int,
) -> float:
    """Bits of latent and biases over those that they may be, less 1.

    Parameters
    ----------
    latent : (n,) float32
        As it stands, rounded in part or not at all.
    biases : (bias_count,) float32
    step_index : int
        Of the latent's step.
    """
    bias_levels = quantize(biases, nearest_step_index(config.bias_step), MAX_BITS)
    bits = latent_bits(latent, config, step_index)
    bits += code_length_bits(bias_levels, choose_model(bias_levels))
    return bits / payload_bits - 1


def latent_bits(latent: npt.NDArray[np.float32], config: FitConfig, step_index: int) -> float:
    """Bits of a (n,) latent rounded as the configuration says, with the step of that index."""
    graded = config.graded_training
    levels = quantize(latent, step_index, config.bits, graded=graded)
    return code_length_bits(levels, choose_model(levels, graded=graded))
