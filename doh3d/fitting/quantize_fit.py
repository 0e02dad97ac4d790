"""From an optimised latent to the bytes of a file."""

from __future__ import annotations

import bisect
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.container import serialize
from doh3d.codec.entropy import Family, SymbolModel, choose_model
from doh3d.codec.quantization import (
    STEP_COUNT,
    best_step_index,
    grade_factors,
    nearest_step_index,
    quantize,
)
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.fitting.config import FLOAT_BITS, MAX_BITS, FitConfig
from doh3d.fitting.results import FitResult
from doh3d.fitting.signal import Signal

CodeT = TypeVar("CodeT", bound=SignalCode)

# How much coarser than the trained step a file's may be, in eighths of an octave, where the
# trained one just misses a size. It costs quality.
_COARSER_NOTCHES = 4

# A scale index that a file need not spend more than its usual bytes on.
_USUAL_SCALE = 48


def quantize_fit(
    result: FitResult, config: FitConfig, signal: Signal[CodeT], *, notches: int = 0
) -> CodeT:
    """Round a fit's latent and biases as its configuration says, and choose their models.

    `notches` moves the latent's step by as many eighths of an octave, coarser where positive.
    """
    if config.bits == FLOAT_BITS:
        latent, biases = _raw(result.latent), _raw(result.biases)
    else:
        if config.quantization_aware:
            latent_step = result.latent_step_index
        else:
            latent_step = best_step_index(result.latent, config.bits)
        latent_step = min(max(latent_step + notches, 0), STEP_COUNT - 1)
        graded = config.graded_training
        latent = _quantized(result.latent, latent_step, config.range_bits, graded=graded)
        biases = _quantized(result.biases, nearest_step_index(config.bias_step), MAX_BITS)
    return signal.code(config, latent, biases)


def empty_code(config: FitConfig, signal: Signal[CodeT]) -> CodeT:
    """Make the code of a fit that has not begun: all zeros, under models as they will be."""
    family = Family.GRADED_LAPLACE if config.graded_training else Family.LAPLACE
    step = nearest_step_index(config.bias_step)
    latent, biases = (
        ParameterGroup(np.zeros(count, np.int64), step, SymbolModel(of_group, _USUAL_SCALE))
        for count, of_group in (
            (config.latent, family),
            (config.architecture.bias_count, Family.LAPLACE),
        )
    )
    return signal.code(config, latent, biases)


def encode_within(
    result: FitResult, config: FitConfig, signal: Signal[SignalCode], max_bytes: int
) -> tuple[bytes | None, float]:
    """Serialise with the trained step, trimmed, or with the next coarser ones that stay within.

    Returns
    -------
    bytes or None
        None where even the coarsest allowed step takes more than `max_bytes`.
    float
        Share by which the fit's file, as it was trained, is above `max_bytes`.
    """
    excess = 0.0
    for notches in range(_COARSER_NOTCHES + 1):
        code = quantize_fit(result, config, signal, notches=notches)
        data = serialize(code)
        if notches == 0:
            excess = len(data) / max_bytes - 1
        if len(data) > max_bytes and config.graded_training:
            data = trimmed(code, max_bytes)
        if len(data) <= max_bytes:
            return data, excess
    return None, excess


def trimmed(code: SignalCode, max_bytes: int) -> bytes:
    """Serialise a code of graded levels with as few of them a step nearer to 0 as will do.

    Only finer levels, the finest first: what a quarter of the coarsest step does to the weights is
    a sixteenth of what that does, and a coarser step for all would undo all that training has
    made up for. Where that is not enough the bytes are too many still.
    """
    values = code.latent.values
    factors = grade_factors(len(values)).astype(np.int64)
    # The largest first, whose probability grows the most; of each grade by itself.
    order = np.lexsort((-np.abs(values) // factors, factors))
    order = order[(factors[order] < factors[0]) & (values[order] != 0)]

    def with_fewer_bits(count: int) -> bytes:
        levels = values.copy()
        some = order[:count]
        levels[some] -= np.sign(levels[some]) * factors[some]
        model = choose_model(levels, graded=True)
        latent = ParameterGroup(levels, code.latent.step_index, model)
        return serialize(replace(code, latent=latent))

    enough = bisect.bisect_left(
        range(len(order)), True, key=lambda count: len(with_fewer_bits(count)) <= max_bytes
    )
    return with_fewer_bits(enough)


def _raw(values: npt.NDArray[np.float32]) -> ParameterGroup:
    return ParameterGroup(values, 0, SymbolModel(Family.RAW_FLOAT32, 0))


def _quantized(
    values: npt.NDArray[np.float32], step_index: int, bits: int, *, graded: bool = False
) -> ParameterGroup:
    levels = quantize(values, step_index, bits, graded=graded)
    return ParameterGroup(levels, step_index, choose_model(levels, graded=graded))
