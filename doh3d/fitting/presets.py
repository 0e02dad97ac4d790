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

PresetName = Literal["fast", "default", "best"]

# Numbers in the latent where neither it nor a size is asked for: a file of about a kilobyte.
DEFAULT_LATENT = 1370

# Bytes of a file that are neither latent nor, as trained with a rate term, biases.
OVERHEAD_BYTES = 38


@dataclass(frozen=True)
class Preset:
    """The effort of a fit.

    Attributes
    ----------
    steps : int
        Optimiser steps, of networks up to 64 wide; wider ones take fewer.
    batch_size : int
        Points a step.
    pool_size : int
        Points sampled.
    """

    steps: int
    batch_size: int
    pool_size: int


PRESETS: dict[PresetName, Preset] = {
    "fast": Preset(steps=1200, batch_size=4096, pool_size=400_000),
    "default": Preset(steps=3500, batch_size=8192, pool_size=800_000),
    "best": Preset(steps=12_000, batch_size=16_384, pool_size=2_000_000),
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
    rate_weight: float
    learning_rate: float
    near_surface_fraction: float
    near_surface_std: float
    pool_factor: float


# Latent length, width, octaves, and bits that a latent number takes in the file. Bits beyond
# n = 16,000 are extrapolated.
_PLAN = (
    (200, 24, 3, 5.35),
    (350, 32, 3, 5.35),
    (600, 36, 3, 5.40),
    (1100, 44, 3, 5.30),
    (2000, 56, 3, 5.35),
    (4000, 72, 4, 5.30),
    (8000, 92, 4, 5.35),
    (16000, 120, 4, 5.40),
    (80000, 200, 4, 6.05),
)
_LOG_LATENTS = [math.log(row[0]) for row in _PLAN]

# lambda at a latent of so many numbers, and how it falls below and above: the error that a bit
# removes falls as the latent grows.
_RATE_WEIGHT_LATENT = 1100
_RATE_WEIGHT = 1.4e-5
_RATE_WEIGHT_EXPONENTS = (-0.75, -1.4)

# About the share by which a step changes the weights, at the schedule's peak.
_LEARNING_RATE = 0.4

# A better shape errs in a thinner layer around the surface.
_STD_LATENTS, _STDS = [math.log(600), math.log(1500), math.log(8000)], [0.02, 0.011, 0.005]

# Samples near the surface crowd out those that keep short latents free of floating specks.
_NEAR_LATENTS, _NEAR_FRACTIONS = [math.log(600), math.log(1500)], [0.5, 0.7]

# Latent above which a preset's samples are too few to tell shape from chance.
_POOL_LATENT = 3000
_MAX_POOL_FACTOR = 4.0

_WIDEST_AT_FULL_STEPS = 64


def plan_for_latent(latent: int) -> Plan:
    """Sizes for a latent of n numbers, between the measured ones."""
    position = math.log(latent)
    width = float(np.interp(position, _LOG_LATENTS, [math.log(row[1]) for row in _PLAN]))
    octaves = float(np.interp(position, _LOG_LATENTS, [row[2] for row in _PLAN]))
    growth = latent / _RATE_WEIGHT_LATENT
    return Plan(
        latent=latent,
        # Multiples of four fill the processor's vector units.
        width=4 * round(math.exp(width) / 4),
        octaves=round(octaves),
        levels=0,
        rate_weight=_RATE_WEIGHT * growth ** _RATE_WEIGHT_EXPONENTS[growth > 1],
        learning_rate=_LEARNING_RATE,
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


def steps_for_width(steps: int, width: int) -> int:
    """Scale a preset's steps to a network of that width: wide networks pay more for each."""
    return round(steps * min(1.0, _WIDEST_AT_FULL_STEPS / width))


def find_preset(name: str) -> Preset:
    """Preset of that name; ConfigError for another."""
    for known, preset in PRESETS.items():
        if known == name:
            return preset
    raise ConfigError(f"preset is {name!r}; it must be one of {', '.join(PRESETS)}")


def _bits_each(latent: float) -> float:
    return float(np.interp(math.log(latent), _LOG_LATENTS, [row[3] for row in _PLAN]))
