"""What the fit of an image of a given latent length, or file size, should look like.

As `doh3d.fitting.presets` for shapes. Read off trial fits of Kodak images at several rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from doh3d.errors import ConfigError
from doh3d.fitting.presets import PresetName

# Bytes of an image's file that are neither latent nor biases.
IMAGE_OVERHEAD_BYTES = 24


@dataclass(frozen=True)
class ImagePreset:
    """The effort of a fit.

    Attributes
    ----------
    steps : int
        Optimiser steps, of networks of 26,000 weights or more; smaller ones take more.
    batch_size : int
        Pixels a step.
    pool_size : int
        Most pixels of an image that a fit looks at.
    """

    steps: int
    batch_size: int
    pool_size: int = 2**20

    def steps_for(self, weights: int) -> int:
        """Scale the steps to a network of so many weights: small ones pay less for each.

        Large ones pay more, but would need more of them, too.
        """
        return round(self.steps * min(max(math.sqrt(_WEIGHTS / weights), 1.0), _MOST_STEPS))


# Weights of the network of a Kodak image at 0.15 bits a pixel, and how many times as many steps
# a small one may take.
_WEIGHTS = 26_000
_MOST_STEPS = 2.0

_PRESETS: dict[PresetName, ImagePreset] = {
    "fast": ImagePreset(steps=570, batch_size=8192),
    "default": ImagePreset(steps=2600, batch_size=8192),
    "best": ImagePreset(steps=10_000, batch_size=16_384),
}


@dataclass(frozen=True)
class ImagePlan:
    """The sizes that go with a latent.

    Attributes
    ----------
    width, depth, octaves : int
        Of the network.
    levels : int
        The plane is cut into 2^levels cells, with such a network each.
    bits : int
        Of a latent's range.
    rate_weight : float
        lambda of the rate term.
    learning_rate : float
        At its peak.
    """

    width: int
    depth: int
    octaves: int
    levels: int
    bits: int
    rate_weight: float
    learning_rate: float


# Latent length, width, octaves, and bits that a latent number takes in the file.
_PLAN = (
    (300, 20, 5, 4.95),
    (1200, 28, 6, 4.95),
    (2500, 40, 7, 4.95),
    (5800, 56, 8, 4.95),
    (12_000, 76, 8, 4.95),
    (24_000, 104, 8, 4.95),
    (48_000, 140, 9, 4.95),
    (100_000, 196, 9, 4.95),
)
_LOG_LATENTS = [math.log(row[0]) for row in _PLAN]

_DEPTH = 5
_BITS = 7

# At a latent of so many numbers, and how it falls above: long latents' gradients scatter more.
_LEARNING_RATE_LATENT = 5800
_LEARNING_RATE = 0.3
_LEARNING_RATE_EXPONENT = -0.3

# lambda times the latent's length: at the best of all lengths the error's logarithm falls by as
# much a bit as the rate term costs, and the error falls with about the rate's power -0.45.
_RATE_WEIGHT = 0.08


def plan_for_image(latent: int) -> ImagePlan:
    """Sizes for a latent of n numbers, between the measured ones."""
    position = math.log(latent)
    width = float(np.interp(position, _LOG_LATENTS, [math.log(row[1]) for row in _PLAN]))
    octaves = float(np.interp(position, _LOG_LATENTS, [row[2] for row in _PLAN]))
    return ImagePlan(
        # Multiples of four fill the processor's vector units.
        width=4 * round(math.exp(width) / 4),
        depth=_DEPTH,
        octaves=round(octaves),
        levels=0,
        bits=_BITS,
        rate_weight=_RATE_WEIGHT / latent,
        learning_rate=_LEARNING_RATE
        * max(latent / _LEARNING_RATE_LATENT, 1.0) ** _LEARNING_RATE_EXPONENT,
    )


def image_latent_for_bytes(size: int) -> int:
    """Latent length whose file is expected to take `size` bytes."""
    available = 8 * (size - IMAGE_OVERHEAD_BYTES)
    latent = available / _PLAN[0][3]
    for _ in range(8):
        bits = np.interp(math.log(latent), _LOG_LATENTS, [row[3] for row in _PLAN])
        latent = max(available / float(bits), 1.0)
    return round(latent)


def find_image_preset(name: str) -> ImagePreset:
    """Preset of that name; ConfigError for another."""
    for known, preset in _PRESETS.items():
        if known == name:
            return preset
    raise ConfigError(f"preset is {name!r}; it must be one of {', '.join(_PRESETS)}")
