"""What the fit of an image of a given latent length, or file size, should look like.

Its figures are read off trial fits of Kodak images at several rates.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from doh3d.fitting.descent import ITERATIONS_EXPONENT
from doh3d.fitting.plan import Plan, Preset
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.limits import MAX_LEVELS

# Bytes of an image's file that are neither latent nor biases.
IMAGE_OVERHEAD_BYTES = 20


# Weights of the networks of a Kodak image at 0.15 bits a pixel, and how many times as many steps
# small ones may take.
_WEIGHTS = 31_000
_MOST_STEPS = 2.0

# Steps are those of networks of 31,000 weights or more; smaller ones take more. Pools hold most
# pixels of an image that a fit looks at.
PRESETS: dict[str, Preset] = {
    "fast": Preset(steps=560, batch_size=32_768, pool_size=2**20),
    "default": Preset(steps=2000, batch_size=32_768, pool_size=2**20),
    "best": Preset(steps=10_000, batch_size=32_768, pool_size=2**20),
}

# The plane is cut into about (n / 3200)^1.25 cells, to the nearest power of two.
_LATENT_OF_A_CELL, _CELLS_EXPONENT = 3200, 1.25

# Numbers of the latent for each cell, and width of its network.
_WIDTHS = ((300, 20), (1500, 28), (3000, 40), (6000, 56))

# Latent length, and octaves that the whole image has; a cell half as large needs one less.
_OCTAVES = ((300, 5), (1200, 6), (2500, 7), (5800, 8))

# Bits that a latent number takes in the file.
_BITS_EACH = 4.8
_DEPTH = 5
_BITS = 6

# At a latent of so many numbers, and how it falls above: long latents' gradients scatter more.
_LEARNING_RATE_LATENT = 5800
_LEARNING_RATE = 0.3
_LEARNING_RATE_EXPONENT = -0.3

# Latent above which the solver's iterations grow no more: half of them cost 0.05 dB at 0.3 and 0.6
# bits a pixel, where they are most of a step's time, and more steps bring more.
_SOLVER_LATENT = 12_500

# lambda times the latent's length: at the best of all lengths the error's logarithm falls by as
# much a bit as the rate term costs, and the error falls with about the rate's power -0.45.
_RATE_WEIGHT = 0.08


def plan_for_image(
    latent: int, preset: str = "default", levels: int | None = None, *, channels: int = 3
) -> Plan:
    """Plan the fit of an image to a latent of n numbers, between the measured lengths.

    The arguments are those of `doh3d.signals.shape_plan.plan_for_shape`.
    """
    if levels is None:
        levels = round(_CELLS_EXPONENT * math.log2(latent / _LATENT_OF_A_CELL))
        levels = min(max(levels, 0), MAX_LEVELS)
    octaves = _interpolated(latent, _OCTAVES) - levels / 2
    width = _interpolated(latent / 2**levels, _WIDTHS)
    architecture = Architecture(
        # Multiples of four fill the processor's vector units.
        width=4 * round(width / 4),
        depth=_DEPTH,
        octaves=round(octaves),
        partition=Partition.whole(2),
        out_dim=channels,
    )
    effort = PRESETS[preset]
    # Small networks pay less for a step. Large ones pay more, but their cells are more, and they
    # lack steps the most.
    longer = math.sqrt(max(1.0, _WEIGHTS / (2**levels * architecture.weight_count)))
    return Plan(
        architecture=architecture,
        levels=levels,
        bits=_BITS,
        rate_weight=_RATE_WEIGHT / latent,
        learning_rate=_LEARNING_RATE
        * max(latent / _LEARNING_RATE_LATENT, 1.0) ** _LEARNING_RATE_EXPONENT,
        effort=replace(effort, steps=round(effort.steps * min(longer, _MOST_STEPS))),
        solver_effort=min(1.0, _SOLVER_LATENT / latent) ** ITERATIONS_EXPONENT,
        loss="log-squared-error",
    )


def image_latent_for_bytes(size: int) -> int:
    """Latent length whose file is expected to take `size` bytes."""
    return max(1, round(8 * (size - IMAGE_OVERHEAD_BYTES) / _BITS_EACH))


def _interpolated(latent: float, rows: tuple[tuple[int, int], ...]) -> float:
    """Between rows of a latent's length and what goes with it, by the length's logarithm."""
    lengths, values = zip(*rows, strict=True)
    return float(np.interp(math.log(latent), np.log(lengths), values))
