"""How a fit meets a size: by the choice of its quantisation step, then by its rate weight.

The quantisation step, delta, is chosen twice: some time before the first latent number is rounded,
and again immediately before. From the first choice on a feedback controller moves the rate weight,
so that the bits are about at rest when rounding begins. The second choice corrects what the rate
weight could not, because it has bounds.

All of it happens on the fit's device, for all signals at once: nothing is read back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from doh3d.codec.quantization import GRADES, STEP_COUNT, STEPS, nearest_step_index
from doh3d.fitting.code_length import CodeLength
from doh3d.fitting.config import MAX_BITS, FitConfig
from doh3d.fitting.schedule import one_cycle, rounded_count

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
    """Moves the rate weights of S fits until their bits are those asked for.

    The latent of a shape that is easy for its size shrinks during the fit, and the file would fall
    short of its size. With a smaller rate weight the loss gets what is left.

    Attributes
    ----------
    logarithm : (S, 1) float64
        Natural logarithm of what the configuration's rate weight is to be multiplied by.
    excess : (S, 1) float64
        The last excess of the bits, as a share of those asked for; NaN before the first.
    """

    def __init__(self, signals: int, device: torch.device) -> None:
        self.logarithm = torch.zeros((signals, 1), dtype=torch.float64, device=device)
        self.excess = torch.full_like(self.logarithm, math.nan)
        self._gain = torch.ones((), dtype=torch.float64, device=device)

    def prepare(self, pace: float) -> None:
        """Set how fast bits answer: 1 with all numbers free and half the peak learning rate."""
        self._gain.fill_(min(1 / max(pace, 1e-9), _LARGEST_GAIN))

    def update(self, excess: torch.Tensor, steps: int) -> None:
        """Answer to the bits' excess, `steps` optimiser steps after the last update.

        `excess`, (S, 1) float64, is bits over those asked for, less 1; where it is not finite
        nothing is moved.
        """
        # After a choice of delta there is no last excess; what the choice has left is a change too.
        change = excess - self.excess.nan_to_num(nan=0.0)
        answer = _ANSWER_TO_CHANGE * change + _ANSWER_TO_EXCESS * steps * excess
        moved = self.logarithm + self._gain * answer
        moved = moved.clamp_(_LEAST_LOGARITHM, _LARGEST_LOGARITHM)
        finite = excess.isfinite()
        self.logarithm.copy_(torch.where(finite, moved, self.logarithm))
        self.excess.copy_(torch.where(finite, excess, self.excess))


class SizeControl:
    """Brings S fits of one configuration to the bits asked for each.

    Attributes
    ----------
    deltas : () or (S, 1) float32
        Each latent's quantisation step; of graded steps the coarsest. One signal's tensors have
        no axis for it.
    rate_weights : as deltas
        Lambda of each signal's rate term; 0 where nothing is quantised in training.
    bias_delta : float
    """

    def __init__(self, config: FitConfig, signals: int, device: torch.device) -> None:
        self._config, self._device = config, device
        start = config.rounding_start
        lead = max(start - _CHOICE_LEAD, 0.0)
        self._choices = math.ceil(lead * config.steps), math.ceil(start * config.steps)
        self._interval = min(max(1, config.steps // _UPDATES), _LONGEST_INTERVAL)
        graded = config.graded_training
        self._latent_bits = CodeLength(config.latent, config.range_bits, graded, device)
        self._bias_bits = CodeLength(config.architecture.bias_count, MAX_BITS, False, device)
        self._controller = RateController(signals, device)
        self._steps = torch.from_numpy(STEPS).to(device)
        # Of graded steps the finest.
        self._indices = torch.full(
            (signals, 1), config.training_step_index, dtype=torch.int64, device=device
        )
        self._coarsest = 2.0 ** (GRADES - 1) if graded else 1.0
        bias_index = nearest_step_index(config.bias_step)
        self.bias_delta = float(STEPS[bias_index])
        self._bias_deltas = torch.full_like(self._controller.logarithm, self.bias_delta)
        self._payload = torch.full_like(self._controller.logarithm, math.nan)
        shape = () if signals == 1 else (signals, 1)
        self.deltas, self.rate_weights = (torch.zeros(shape, device=device) for _ in range(2))
        self._tell()

    def ask(self, payload_bits: Sequence[float]) -> None:
        """Ask for so many bits of each signal's latent and biases together."""
        self._payload.copy_(torch.tensor(payload_bits, dtype=torch.float64)[:, None])

    def is_choice_due(self, step: int) -> bool:
        """Whether delta is chosen before this step."""
        return step in self._choices

    def is_update_due(self, step: int) -> bool:
        """Whether the rate weight is updated after this step."""
        return step >= self._choices[0] and (step + 1) % self._interval == 0

    def choose_deltas(self, latents: torch.Tensor, biases: torch.Tensor) -> None:
        """Move each delta to the finest one near it that keeps within the bits.

        A signal that is not finite has no size, and its delta stays.

        Parameters
        ----------
        latents : (S, n) float32
            Before the first number is rounded.
        biases : (S, bias_count) float32
        """
        available = self._payload - self._bias_bits(biases, self._bias_deltas)
        near = self._config.training_step_index
        finest = max(near - _FINER_NOTCHES, 0)
        coarsest = min(near + _COARSER_NOTCHES, STEP_COUNT - 1)
        chosen = torch.full_like(self._indices, coarsest)
        for index in range(coarsest - 1, finest - 1, -1):
            bits = self._latent_bits(latents, self._steps[index])
            chosen = torch.where(bits <= available, index, chosen)
        finite = _are_finite(latents, biases)
        self._indices.copy_(torch.where(finite, chosen, self._indices))
        self._controller.excess.masked_fill_(finite, math.nan)
        self._tell()

    def prepare(self, step: int) -> None:
        """Get ready for `update` after this optimiser step."""
        config = self._config
        # Bits answer in proportion to the free numbers and to the learning rate.
        free = 1 - rounded_count(config, step) / config.latent
        hurry = max(1.0, _UNHURRIED_STEPS / config.steps)
        self._controller.prepare(2 * free * one_cycle(step / config.steps) / hurry)

    def update(self, latents: torch.Tensor, biases: torch.Tensor) -> None:
        """Move each rate weight towards the bits asked for.

        The parameters are those of `choose_deltas`.
        """
        self._controller.update(self.excess(latents, biases), self._interval)
        self._tell()

    def excess(self, latents: torch.Tensor, biases: torch.Tensor) -> torch.Tensor:
        """(S, 1) float64 bits over those asked for, less 1; NaN for a signal that is not finite."""
        deltas = self._steps[self._indices]
        bits = self._latent_bits(latents, deltas) + self._bias_bits(biases, self._bias_deltas)
        return torch.where(_are_finite(latents, biases), bits / self._payload - 1, math.nan)

    def delta_indices(self) -> list[int]:
        """Read the index of each latent's quantisation step; of graded steps the finest."""
        return [int(index) for index in self._indices.flatten().tolist()]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name what is carried on; `restored` is to be called when it has been copied to."""
        return {
            "rate logarithms": self._controller.logarithm,
            "rate excesses": self._controller.excess,
            "latent step indices": self._indices,
        }

    def restored(self) -> None:
        """Take up what was copied into `tensors`."""
        self._tell()

    def _tell(self) -> None:
        """Work out what others see."""
        deltas = self._steps[self._indices] * self._coarsest
        self.deltas.copy_(deltas.view(self.deltas.shape))
        own = self._config.rate_weight if self._config.quantization_aware else 0.0
        weights = self._controller.logarithm.exp() * own
        self.rate_weights.copy_(weights.view(self.rate_weights.shape))


def _are_finite(latents: torch.Tensor, biases: torch.Tensor) -> torch.Tensor:
    """(S, 1) whether all numbers of each signal are."""
    each = [numbers.isfinite().all(dim=1, keepdim=True) for numbers in (latents, biases)]
    return each[0] & each[1]
