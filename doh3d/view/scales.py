"""Places and labels on the axes of rate and quality, whatever draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from doh3d.sweep.table import SweepPoint

# Of the leading digit of 1 - IoU, between labels of a narrow axis.
_TICK_STEPS = (1, 0.5, 0.2, 0.1, 0.05, 0.02)

# An IoU of 1 has no place on a logarithmic axis of the error.
_LEAST_ERROR = 1e-6

# Of the largest to the smallest size that an axis has room for.
_LEAST_AXIS_RATIO = 1.06

FLOAT_BITS = 32


def quality(iou: float) -> float:
    """Place of an IoU on the axis: -log10(1 - IoU)."""
    return -math.log10(max(1 - iou, _LEAST_ERROR))


def error_bars(line: Sequence[SweepPoint]) -> list[list[float]] | None:
    """Lengths below and above the means, unequal on this axis; None where no seed repeats."""
    below, above = [], []
    for point in line:
        mean, half_width = point.iou.mean, point.iou.half_width or 0.0
        below.append(quality(mean) - quality(max(mean - half_width, 0.0)))
        above.append(quality(min(mean + half_width, 1.0)) - quality(mean))
    return [below, above] if any(below) or any(above) else None


def bits_name(bits: int) -> str:
    """Name of a number of bits in legends and tables."""
    return "float32" if bits == FLOAT_BITS else f"{bits} bits"


def byte_ticks(sizes: Sequence[float]) -> list[float]:
    """Powers of two around the sizes, and the finer steps between the closer the sizes are."""
    low, high = math.log2(min(sizes)), math.log2(max(sizes))
    # What axes reach at least.
    span = max(high - low, math.log2(_LEAST_AXIS_RATIO))
    parts = 2 ** max(0, math.ceil(math.log2(2.5 / span)))
    powers = range(math.floor(low) - 1, math.ceil(high) + 1)
    return [2.0**power * (1 + part / parts) for power in powers for part in range(parts)]


def quality_ticks(low: float, high: float) -> list[float]:
    """IoUs to label between two places on the axis: the roundest of which four or more fit."""
    ticks: list[float] = []
    for leading in ((1.0,), (1.0, 2.0, 5.0), *(np.arange(1, 10, step) for step in _TICK_STEPS)):
        errors = [float(first) * 10.0**-power for power in range(7) for first in leading]
        ticks = sorted({round(1 - error, 9) for error in errors if error <= 1})
        ticks = [tick for tick in ticks if low <= quality(tick) <= high]
        if len(ticks) >= 4:
            break
    return ticks
