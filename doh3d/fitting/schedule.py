"""What happens at which of a fit's steps."""

from __future__ import annotations

import math

from doh3d.fitting.config import FitConfig

# Of the steps, until the learning rate is at its peak.
_WARM_UP_SHARE = 0.1

# Share of the steps after which the whole latent is rounded.
_ROUNDING_END = 0.95

# Where a size is asked for, the latent's step is chosen so long before the first number is
# rounded, as a share of the steps, and from then on the rate weight is updated towards the size:
# the two are to be about at rest when rounding sets in. A whole fit would have so many turns,
# and no two are further apart than so many steps.
_SIZING_LEAD = 0.15
_UPDATES, _UPDATE_STEPS = 128, 10

# Steps of a fit below which the rate weight is updated more boldly.
_UNHURRIED_STEPS = 1000


def steps_of_sizing(config: FitConfig) -> tuple[int, int]:
    """Tell the optimiser's steps before which the latent's is chosen for a size.

    The second time no number is rounded yet, and the bits have gone where the rate weight, at the
    end of what it may do, could not keep them.
    """
    start = config.rounding_start
    lead = max(start - _SIZING_LEAD, 0.0)
    return math.ceil(lead * config.steps), math.ceil(start * config.steps)


def update_interval(config: FitConfig) -> int:
    """Count the steps from one update of the rate weight to the next."""
    return min(max(1, config.steps // _UPDATES), _UPDATE_STEPS)


def is_updated(config: FitConfig, step: int) -> bool:
    """Whether the rate weight is updated after this step."""
    return step >= steps_of_sizing(config)[0] and (step + 1) % update_interval(config) == 0


def pace_of_bits(config: FitConfig, step: int) -> float:
    """How fast bits answer to the rate weight, see `RateController.update`."""
    free = 1 - rounded_count(config, step) / config.latent
    # Short fits cannot wait for bits to come to rest.
    hurry = max(1.0, _UNHURRIED_STEPS / config.steps)
    return 2 * free * one_cycle(step / config.steps) / hurry


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
