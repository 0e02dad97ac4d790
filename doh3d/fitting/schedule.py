"""The learning rate and the number of rounded latent numbers at each step of a fit."""

from __future__ import annotations

import math

from doh3d.fitting.config import FitConfig

# The learning rate is at its peak after this share of the steps.
_WARM_UP_SHARE = 0.1

# The whole latent is rounded after this share of the steps.
_ROUNDING_END = 0.95


def rounded_count(config: FitConfig, step: int) -> int:
    """How many of the latent's first numbers are rounded from this step on."""
    start = config.rounding_start
    if not config.quantization_aware or step < start * config.steps:
        return 0
    progress = (step / config.steps - start) / max(_ROUNDING_END - start, 1e-9)
    return min(config.latent, math.ceil(config.latent * progress))


def one_cycle(progress: float) -> float:
    """Share of the peak learning rate at `progress` in [0, 1): linear up, cosine down."""
    if progress < _WARM_UP_SHARE:
        return max(progress / _WARM_UP_SHARE, 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP_SHARE) / (1 - _WARM_UP_SHARE)))
