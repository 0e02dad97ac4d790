"""How a fit comes to so many bits: by its quantisation step, then by its rate weight."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import choose_model, code_length_bits
from doh3d.codec.quantization import STEP_COUNT, nearest_step_index, quantize
from doh3d.fitting.config import MAX_BITS, FitConfig

# How far the step may move towards a size, in eighths of an octave: an eighth of a bit for
# each latent number, about 2% of the file. Shapes that are all detail need 10 coarser ones.
_FINER_NOTCHES = 12
_COARSER_NOTCHES = 16

# Bits by which a latent number may be too long when rounding sets in: steps are an eighth of a bit
# apart, and the rate weight makes up for so little in either direction.
_EXCESS_BITS = 0.03

# By how much the logarithm of the rate weight follows the bits' excess, and how far. A percent is
# then 2.7 times as much or as little, and where the bits are right the weight is what it was: one
# that grew or fell on and on would be far off when only few numbers are left to answer to it. A
# hundred times as much would tear the shape apart; a hundredth is only no rate term.
_STEERING, _STEERED_DOWN, _STEERED_UP = 100.0, -5.0, 1.5

# Excess beyond which it follows more steeply, and how much more: a fit that only three times the
# weight keeps down would otherwise stay 1.1% above what it aims at, and so above its size.
_TOLERATED, _STEEPER = 0.008, 4.0


def step_index_for_bits(
    latent: npt.NDArray[np.float32],
    biases: npt.NDArray[np.float32],
    config: FitConfig,
    payload_bits: float,
    *,
    near: int,
) -> int:
    """Index of the finest step near another at which latent and biases about keep within the bits.

    Parameters
    ----------
    latent : (n,) float32
        As it stands when rounding sets in.
    biases : (bias_count,) float32
    near : int
        Index of the step that training began with.
    """
    bias_levels = quantize(biases, nearest_step_index(config.bias_step), MAX_BITS)
    available = payload_bits - code_length_bits(bias_levels, choose_model(bias_levels))
    available += _EXCESS_BITS * len(latent)
    finest = max(near - _FINER_NOTCHES, 0)
    coarsest = min(near + _COARSER_NOTCHES, STEP_COUNT - 1)
    for index in range(finest, coarsest):
        if latent_bits(latent, config, index) <= available:
            return index
    return coarsest


def rate_weight_factor(
    latent: npt.NDArray[np.float32],
    biases: npt.NDArray[np.float32],
    config: FitConfig,
    payload_bits: float,
    *,
    step_index: int,
) -> float:
    """How many times its own the rate weight is to be for latent and biases to come to such bits.

    The numbers of shapes that are easy for their size shrink while they are rounded, and the file
    would fall short of what it may take: below 1 the loss gets what is left.

    Parameters
    ----------
    latent : (n,) float32
        As it stands, rounded in part.
    biases : (bias_count,) float32
    step_index : int
        Of the latent's step.
    """
    bias_levels = quantize(biases, nearest_step_index(config.bias_step), MAX_BITS)
    bits = latent_bits(latent, config, step_index)
    bits += code_length_bits(bias_levels, choose_model(bias_levels))
    excess = bits / payload_bits - 1
    steered = _STEERING * (excess + (_STEEPER - 1) * max(excess - _TOLERATED, 0.0))
    return math.exp(min(max(steered, _STEERED_DOWN), _STEERED_UP))


def latent_bits(latent: npt.NDArray[np.float32], config: FitConfig, step_index: int) -> float:
    """Bits of a (n,) latent rounded as the configuration says, with the step of that index."""
    graded = config.graded_training
    levels = quantize(latent, step_index, config.bits, graded=graded)
    return code_length_bits(levels, choose_model(levels, graded=graded))
