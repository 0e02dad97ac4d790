"""The quantisation step with which a latent takes so many bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import choose_model, code_length_bits
from doh3d.codec.quantization import STEP_COUNT, nearest_step_index, quantize
from doh3d.fitting.config import MAX_BITS, FitConfig

# How far the step may move towards a size, in eighths of an octave: an eighth of a bit for
# each latent number, about 2% of the file.
_FINER_NOTCHES = 12
_COARSER_NOTCHES = 8

# Bits by which a latent number still grows after rounding sets in.
_LATE_GROWTH_BITS = 0.035


def step_index_for_bits(
    latent: npt.NDArray[np.float32],
    biases: npt.NDArray[np.float32],
    config: FitConfig,
    payload_bits: float,
    *,
    near: int,
) -> int:
    """Index of the finest step near another at which latent and biases keep within the bits.

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
    available -= _LATE_GROWTH_BITS * len(latent)
    finest = max(near - _FINER_NOTCHES, 0)
    coarsest = min(near + _COARSER_NOTCHES, STEP_COUNT - 1)
    for index in range(finest, coarsest):
        levels = quantize(latent, index, config.bits)
        if code_length_bits(levels, choose_model(levels)) <= available:
            return index
    return coarsest
