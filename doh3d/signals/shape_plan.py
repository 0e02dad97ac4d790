"""What the fit of a shape of a given latent length, or file size, should look like.

Its figures are read off trial fits of scans, modelled animals and CAD parts, rounded; they are a
start, not an optimum. `scripts/calibrate_plan.py` measures them again.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from doh3d.codec.shape_code import BAND
from doh3d.fitting.config import SurfaceSampling
from doh3d.fitting.plan import Plan, Preset
from doh3d.hypernetwork.architecture import Architecture
from doh3d.limits import MAX_LEVELS
from doh3d.options import DEFAULT_LATENT

# Bytes of a file that are neither latent nor, as trained with a rate term, biases.
OVERHEAD_BYTES = 25


# Steps and batches are those of latents of up to 1,500 numbers: longer ones take fewer steps, of
# more points each. Pools are those of latents of up to 3,000 numbers; longer ones take more.
PRESETS: dict[str, Preset] = {
    "fast": Preset(steps=1050, batch_size=3072, pool_size=300_000),
    "default": Preset(steps=5600, batch_size=4096, pool_size=400_000),
    "best": Preset(steps=24_000, batch_size=8192, pool_size=2_000_000),
}


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
_OCTAVES, _DEPTH = 3, 3

# A surface is flat in part from one share of `doh3d.geometry.flatness.flat_share` on, and flat from
# the other on. A flat face is many waves that add up to nothing: networks of fewer weights come
# nearer to it, and their steps cost less, so that there can be more. There are somewhat fewer
# cells; what is flat has one network up to a longer latent.
_PARTLY_FLAT, _FLAT = 0.3, 0.5
_FLAT_CELLS_EXPONENT, _LATENT_OF_A_FLAT_NETWORK = 1.05, 5000
_FLAT_LATENTS = [math.log(latent) for latent in (700, 2000, 4500, 10_000, 23_000)]
_PARTLY_FLAT_WEIGHTS = [0.45, 0.45, 0.5, 0.75, 0.85]
_FLAT_WEIGHTS = [0.45, 0.38, 0.48, 0.75, 0.85]
_FLAT_STEPS, _FLAT_BATCHES = [1.6, 1.6, 1.5, 1.7, 1.6], [1.0, 1.0, 1.0, 0.6, 0.6]

# Of a latent's range; with cells the best step is about half as large.
_BITS = 6

# About the share by which a step changes the weights, at the schedule's peak; each cell's samples
# are fewer, and their gradient scatters more.
_LEARNING_RATE, _LEARNING_RATE_OF_CELLS = 0.6, 0.36

# In fits of so many steps a latent at that rate grows for as long as they are free.
_LONG, _LEARNING_RATE_IN_LONG = 10_000, 0.4

# What is flat has one rate: networks of so few weights err more at a higher one, and its cells come
# further than at a lower. Fits of few steps gain by longer ones.
_LEARNING_RATE_OF_FLAT, _LEARNING_RATE_OF_FLAT_IN_SHORT, _SHORT = 0.45, 0.6, 2000

# A better shape errs in a thinner layer around the surface.
_STD_LATENTS, _STDS = [math.log(600), math.log(1500), math.log(8000)], [0.02, 0.011, 0.005]

# Samples near the surface crowd out those that keep short latents free of floating specks.
_NEAR_LATENTS, _NEAR_FRACTIONS = [math.log(600), math.log(1500)], [0.5, 0.7]

# In half sides of a cell. Beyond it the neighbour has three quarters of the weight and more.
_OVERLAP = BAND / 2

# Latent above which a preset's samples are too few to tell shape from chance.
_POOL_LATENT = 3000
_MAX_POOL_FACTOR = 2.0

# Samples are drawn so often in the mean: a new one costs as much as several draws, and adds less.
_LEAST_DRAWS = 8

# Latent above which the steps become fewer, and each sees more points, as powers of its length: the
# solver's share of a step grows, and points cost little beside it.
_EFFORT_LATENT = 1500
_STEPS_EXPONENT, _BATCH_EXPONENT = -0.54, 0.5


def plan_for_shape(
    latent: int, preset: str = "default", levels: int | None = None, *, flat_share: float = 0.0
) -> Plan:
    """Plan the fit of a shape to a latent of n numbers, between the measured lengths.

    With `levels` the cells are 2^levels, and have as many weights together as the plan's own.
    What is flat, see `doh3d.geometry.flatness.flat_share`, has fewer weights, more steps, and a
    learning rate of its own, which is higher where the preset has few steps.
    """
    position = math.log(latent)
    log_weights = np.interp(position, _LOG_LATENTS, [math.log(row[1]) for row in _PLAN])
    weights = math.exp(float(log_weights))
    effort = effort_for_latent(PRESETS[preset], latent)
    cells_exponent = _CELLS_EXPONENT
    if flat_share >= _PARTLY_FLAT:
        flat = flat_share >= _FLAT
        one = flat and latent <= _LATENT_OF_A_FLAT_NETWORK
        cells_exponent = 0.0 if one else _FLAT_CELLS_EXPONENT
        shares = _FLAT_WEIGHTS if flat else _PARTLY_FLAT_WEIGHTS
        weights *= float(np.interp(position, _FLAT_LATENTS, shares))
        effort = replace(
            effort,
            steps=round(effort.steps * np.interp(position, _FLAT_LATENTS, _FLAT_STEPS)),
            batch_size=round(effort.batch_size * np.interp(position, _FLAT_LATENTS, _FLAT_BATCHES)),
        )
    if levels is None:
        levels = round(cells_exponent * math.log2(latent / _LATENT_OF_A_CELL))
        levels = min(max(levels, 0), MAX_LEVELS)
    features = Architecture(octaves=_OCTAVES).encoded_dim
    # Of w neurons in each layer, 2 w^2 + (features + 1) w weights.
    width = (math.hypot(features + 1, math.sqrt(8 * weights / 2**levels)) - features - 1) / 4
    steps = PRESETS[preset].steps
    if flat_share >= _PARTLY_FLAT:
        is_short = steps < _SHORT
        learning_rate = _LEARNING_RATE_OF_FLAT_IN_SHORT if is_short else _LEARNING_RATE_OF_FLAT
    elif levels:
        learning_rate = _LEARNING_RATE_OF_CELLS
    else:
        learning_rate = _LEARNING_RATE_IN_LONG if steps >= _LONG else _LEARNING_RATE
    growth = latent / _RATE_WEIGHT_LATENT
    return Plan(
        architecture=Architecture(
            # Multiples of four fill the processor's vector units.
            width=4 * max(1, round(width / 4)),
            depth=_DEPTH,
            octaves=_OCTAVES,
            activation="smooth",
        ),
        levels=levels,
        bits=_BITS + (levels > 0),
        rate_weight=_RATE_WEIGHT * growth ** _RATE_WEIGHT_EXPONENTS[growth > 1],
        learning_rate=learning_rate,
        effort=effort,
        surface_sampling=SurfaceSampling(
            near_fraction=float(np.interp(position, _NEAR_LATENTS, _NEAR_FRACTIONS)),
            near_std=float(np.interp(position, _STD_LATENTS, _STDS)),
        ),
        overlap=_OVERLAP,
    )


def effort_for_latent(preset: Preset, latent: int) -> Preset:
    """Scale a preset to a latent: long ones pay more for a step, and make use of more samples."""
    long = max(1.0, latent / _EFFORT_LATENT)
    steps = max(1, round(preset.steps * math.pow(long, _STEPS_EXPONENT)))
    batch_size = round(preset.batch_size * math.pow(long, _BATCH_EXPONENT))
    pool_factor = min(max(latent / _POOL_LATENT, 1.0), _MAX_POOL_FACTOR)
    # The pool is no larger than the steps make use of.
    pool_size = min(round(preset.pool_size * pool_factor), steps * batch_size // _LEAST_DRAWS)
    return Preset(steps, batch_size, pool_size)


def latent_for_bytes(size: int) -> int:
    """Latent length whose file is expected to take `size` bytes."""
    available = 8 * (size - OVERHEAD_BYTES)
    latent = float(DEFAULT_LATENT)
    # Bits for each number hardly depend on how many there are: this settles at once.
    for _ in range(8):
        latent = max(available / _bits_each(latent), 1.0)
    return round(latent)


def _bits_each(latent: float) -> float:
    return float(np.interp(math.log(latent), _LOG_LATENTS, [row[2] for row in _PLAN]))
