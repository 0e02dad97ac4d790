"""Named trade-offs between time and quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from doh3d.errors import ConfigError

PresetName = Literal["fast", "default", "best"]


@dataclass(frozen=True)
class Preset:
    """The settings of a fit that a preset decides.

    Attributes
    ----------
    latent : int
        Numbers in the latent, for a file of about a kilobyte.
    steps : int
        Optimiser steps.
    batch_size : int
        Points a step.
    pool_size : int
        Points sampled.
    """

    latent: int
    steps: int
    batch_size: int
    pool_size: int


PRESETS: dict[PresetName, Preset] = {
    "fast": Preset(latent=1100, steps=1000, batch_size=8192, pool_size=400_000),
    "default": Preset(latent=1100, steps=3000, batch_size=8192, pool_size=600_000),
    "best": Preset(latent=1100, steps=10_000, batch_size=16_384, pool_size=1_500_000),
}


def find_preset(name: str) -> Preset:
    """Preset of that name; ConfigError for another."""
    for known, preset in PRESETS.items():
        if known == name:
            return preset
    raise ConfigError(f"preset is {name!r}; it must be one of {', '.join(PRESETS)}")
