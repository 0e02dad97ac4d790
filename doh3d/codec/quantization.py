"""Step sizes that a file can name, and rounding to them. No torch here.

A step is one of 256 numbers, eight to the octave, so that a byte names it:
``step(i) = M[i mod 8] * 2^(i // 8 - 47)`` with the 24-bit integers M below. Each is exact in
float32, hence the same everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# M[j] = round(2^(23 + j / 8)), part of the file format.
_MANTISSAS = (8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775)
STEP_COUNT = 256

# Quantised values fit 16 bits; int64 sums of 2^24 of them cannot overflow.
MAX_QUANTIZED = 2**15 - 1

STEPS: npt.NDArray[np.float64] = np.array(
    [_MANTISSAS[i % 8] * 2.0 ** (i // 8 - 47) for i in range(STEP_COUNT)]
)


def nearest_step_index(step: float) -> int:
    """Index of the step whose logarithm is nearest to that of `step` > 0."""
    return int(np.abs(np.log(STEPS) - np.log(step)).argmin())


# Parts of a graded group, each with half the step of the one before.
GRADES = 3


def grade_parts(count: int) -> list[tuple[slice, int]]:
    """Where the parts of `count` graded numbers lie, and how many times each doubles the step.

    Half of the numbers, and one more where they are odd, are rounded to steps four times as large
    as the last eighth's, and those between to steps twice as large. Rounding goes from the first
    to the last, later numbers making up for the errors of earlier ones: for the last no others
    are left.
    """
    half, eighth = count - count // 2, count - count // 8
    return [(slice(0, half), 2), (slice(half, eighth), 1), (slice(eighth, count), 0)]


def grade_factors(count: int) -> npt.NDArray[np.float64]:
    """(count,) steps of graded numbers, in units of the last ones'."""
    factors = np.empty(count)
    for part, doublings in grade_parts(count):
        factors[part] = 2.0**doublings
    return factors


def max_level(bits: int) -> int:
    """Largest magnitude of a symmetric quantiser with at most 2^bits values: 2^(bits-1) - 1."""
    return int(2 ** (bits - 1) - 1)


def quantize(
    values: npt.ArrayLike, step_index: int, bits: int, *, graded: bool = False
) -> npt.NDArray[np.int64]:
    """Round (N,) values to multiples of a step, clipped to the range of `bits` bits.

    With `graded`, for at most 14 bits, it is the first part that has such a range, and the last
    part that has the index's step. Halves round to even, as in torch, so that training and
    encoding agree.
    """
    values = np.asarray(values, dtype=np.float64)
    factors = grade_factors(len(values)) if graded else np.ones(len(values))
    level = max_level(bits) * (2 ** (GRADES - 1) if graded else 1)
    limits = level // factors
    rounded = np.clip(np.rint(values / (STEPS[step_index] * factors)), -limits, limits)
    levels: npt.NDArray[np.int64] = (rounded * factors).astype(np.int64)
    return levels


def best_step_index(values: npt.ArrayLike, bits: int) -> int:
    """Index of the step that quantises `values` to `bits` bits with the least squared error.

    What post-training quantisation uses: too large a step rounds coarsely, too small a step
    clips the largest values.
    """
    values = np.asarray(values, dtype=np.float64)
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return nearest_step_index(1.0)
    # At the step that just avoids clipping, every smaller step trades clipping for rounding;
    # beyond a factor of 16 clipping has long won for any sensible distribution.
    top = nearest_step_index(largest / max_level(bits)) + 1
    candidates = range(max(0, top - 32), min(STEP_COUNT, top + 2))

    def squared_error(index: int) -> float:
        restored = quantize(values, index, bits) * STEPS[index]
        return float(((restored - values) ** 2).sum())

    return min(candidates, key=squared_error)
