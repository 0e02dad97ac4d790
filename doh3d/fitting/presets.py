"""What a fit of a given latent length, or file size, should look like.

Presets trade time for quality; the plan says which network and schedule go with a latent. Its
figures are read off trial fits of a scan, a modelled animal and a CAD part, rounded; they are a
start, not an optimum. `scripts/calibrate_plan.py` measures them again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Architecture
from doh3d.limits import MAX_LEVELS

PresetName = Literal["fast", "default", "best"]

# Numbers in the latent where neither it nor a size is asked for: a file of about a kilobyte.
DEFAULT_LATENT = 1370

# Bytes of a file that are neither latent nor, as trained with a rate term, biases.
OVERHEAD_BYTES = 39


@dataclass(frozen=True)
class Preset:
    """The effort of a fit.

    Attributes
    ----------
    steps : int
        Optimiser steps for latents of up to 1,500 numbers; longer ones take fewer.
    batch_size : int
        Points a step for latents of up to 1,500 numbers; longer ones take more.
    pool_size : int
        Points sampled for latents of up to 3,000 numbers; longer ones take more.
    """

    steps: int
    batch_size: int
    pool_size: int


PRESETS: dict[PresetName, Preset] = {
    "fast": Preset(steps=1050, batch_size=3072, pool_size=300_000),
    "default": Preset(steps=5600, batch_size=4096, pool_size=400_000),
    "best": Preset(steps=24_000, batch_size=8192, pool_size=2_000_000),
}


@dataclass(frozen=True)
class Plan:
    """The sizes that go with a latent.

    Attributes
    ----------
    latent : int
        Numbers in the latent, n.
    width, octaves : int
        Of a network of three hidden layers.
    levels : int
        Space is cut into 2^levels cells, with such a network each.
    bits : int
        Of a latent number's range.
    rate_weight : float
        lambda of the rate term.
    learning_rate : float
        At its peak.
    near_surface_fraction, near_surface_std : float
        Share of the samples that is near the surface, and its deviation in normalised units.
    pool_factor : float
        Share of the preset's samples that this latent needs.
    """

    latent: int
    width: int
    octaves: int
    levels: int
    bits: int
    rate_weight: float
    learning_rate: float
    near_surface_fraction: float
    near_surface_std: float
    pool_factor: float


# Latent length, weights of all cells' networks, and bits that a latent number takes in the file.
_PLAN = (
    (200, 1_680, 5.1),
    (350, 2_750, 5.1),
    (600, 3_380, 5.1),
    (1100, 4_840, 5.1),
    (2000, 7_500, 5.15),
    (4000, 11_300, 5.3),
    (9500, 20_000, 5.4),
    (21_500, 50_000, 5.5),
    (80_000, 130_000, 5.7),
)
_LOG_LATENTS = [math.log(row[0]) for row in _PLAN]

# lambda at a latent of so many numbers, and how it falls below and above: the error that a bit
# removes falls as the latent grows.
_RATE_WEIGHT_LATENT = 1100
_RATE_WEIGHT = 1.4e-5
_RATE_WEIGHT_EXPONENTS = (-0.75, -1.4)

# Space is cut into about (n / 2200)^1.2 cells, to the nearest power of two: more are faster, and
# networks of longer latents come to their end later.
_LATENT_OF_A_CELL, _CELLS_EXPONENT = 2200, 1.2
_OCTAVES = 3

# Of a latent's range; with cells the best step is about half as large.
_BITS = 6

# About the share by which a step changes the weights, at the schedule's peak; each cell's samples
# are fewer, and their gradient scatters more.
_LEARNING_RATE, _LEARNING_RATE_OF_CELLS = 0.6, 0.36

# A better shape errs in a thinner layer around the surface.
_STD_LATENTS, _STDS = [math.log(600), math.log(1500), math.log(8000)], [0.02, 0.011, 0.005]

# Samples near the surface crowd out those that keep short latents free of floating specks.
_NEAR_LATENTS, _NEAR_FRACTIONS = [math.log(600), math.log(1500)], [0.5, 0.7]

# Latent above which a preset's samples are too few to tell shape from chance.
_POOL_LATENT = 3000
_MAX_POOL_FACTOR = 2.0

# Samples are drawn so often in the mean: a new one costs as much as several draws, and adds less.
_LEAST_DRAWS = 8

# Latent above which the steps become fewer, and each sees more points, as powers of its length: the
# solver's share of a step grows, and points cost little beside it.
_EFFORT_LATENT = 1500
_STEPS_EXPONENT, _BATCH_EXPONENT = -0.54, 0.5


def plan_for_latent(latent: int, levels: int | None = None) -> Plan:
    """Sizes for a latent of n numbers, between the measured ones.

    With `levels` the cells are 2^levels, and have as many weights together as the plan's own.
    """
    position = math.log(latent)
    log_weights = np.interp(position, _LOG_LATENTS, [math.log(row[1]) for row in _PLAN])
    weights = math.exp(float(log_weights))
    if levels is None:
        levels = round(_CELLS_EXPONENT * math.log2(latent / _LATENT_OF_A_CELL))
        levels = min(max(levels, 0), MAX_LEVELS)
    features = Architecture(octaves=_OCTAVES).encoded_dim
    # Of w neurons in each layer, 2 w^2 + (features + 1) w weights.
    width = (math.hypot(features + 1, math.sqrt(8 * weights / 2**levels)) - features - 1) / 4
    growth = latent / _RATE_WEIGHT_LATENT
    return Plan(
        latent=latent,
        # Multiples of four fill the processor's vector units.
        width=4 * max(1, round(width / 4)),
        octaves=_OCTAVES,
        levels=levels,
        bits=_BITS + (levels > 0),
        rate_weight=_RATE_WEIGHT * growth ** _RATE_WEIGHT_EXPONENTS[growth > 1],
        learning_rate=_LEARNING_RATE_OF_CELLS if levels else _LEARNING_RATE,
        near_surface_fraction=float(np.interp(position, _NEAR_LATENTS, _NEAR_FRACTIONS)),
        near_surface_std=float(np.interp(position, _STD_LATENTS, _STDS)),
        pool_factor=min(max(latent / _POOL_LATENT, 1.0), _MAX_POOL_FACTOR),
    )


def latent_for_bytes(size: int) -> int:
    """Latent length whose file is expected to take `size` bytes."""
    available = 8 * (size - OVERHEAD_BYTES)
    latent = float(DEFAULT_LATENT)
    # Bits for each number hardly depend on how many there are: this settles at once.
    for _ in range(8):
        latent = max(available / _bits_each(latent), 1.0)
    return round(latent)


def steps_for_latent(steps: int, latent: int) -> int:
    """Scale a preset's steps to a latent: long ones pay more for each."""
    return max(1, round(steps * math.pow(max(1.0, latent / _EFFORT_LATENT), _STEPS_EXPONENT)))


def batch_for_latent(batch_size: int, latent: int) -> int:
    """Scale a preset's points a step to a latent."""
    return round(batch_size * math.pow(max(1.0, latent / _EFFORT_LATENT), _BATCH_EXPONENT))


def pool_for_latent(preset: Preset, plan: Plan) -> int:
    """Scale a preset's points sampled to a latent, but to no more than its steps make use of."""
    steps = steps_for_latent(preset.steps, plan.latent)
    draws = steps * batch_for_latent(preset.batch_size, plan.latent)
    return min(round(preset.pool_size * plan.pool_factor), draws // _LEAST_DRAWS)


def find_preset(name: str) -> Preset:
    """Preset of that name; ConfigError for another."""
    for known, preset in PRESETS.items():
        if known == name:
            return preset
    raise ConfigError(f"preset is {name!r}; it must be one of {', '.join(PRESETS)}")


def _bits_each(latent: float) -> float:
    return float(np.interp(math.log(latent), _LOG_LATENTS, [row[2] for row in _PLAN]))
