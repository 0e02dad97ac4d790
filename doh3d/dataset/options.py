"""How a dataset's rows tell the options that its shapes were compressed with."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from doh3d.errors import ConfigError
from doh3d.options import CompressOptions, options_of

# A worker holds the meshes of so many shapes at once. On a CPU more than a dozen bring little.
MOST_TOGETHER = 256

# How many are fitted together on a GPU unless told otherwise.
_TOGETHER_ON_GPU = 64

# The first datasets' rows told these options, given or not, and two of them by their values. Others
# have been added since, and are told where they are given: so the same options have the same id in
# every dataset.
_ALWAYS_TOLD = frozenset(
    [
        "max_bytes",
        "min_iou",
        "preset",
        "latent",
        "bits",
        "quantizer",
        "width",
        "depth",
        "octaves",
        "activation",
        "projection",
        "mirror",
        "seed",
    ]
)
_TOLD_BY_VALUE = {"depth": 3, "activation": "smooth"}


def config_of(options: CompressOptions) -> dict[str, Any]:
    """Return the options of shapes by name, ready for JSON."""
    config = {}
    for option in options_of("shape"):
        value = getattr(options, option.name)
        if option.name in _ALWAYS_TOLD or value != option.default:
            config[option.name] = _TOLD_BY_VALUE.get(option.name) if value is None else value
    return config


def config_json(options: CompressOptions) -> str:
    """Return the options as text that is the same for the same options."""
    return json.dumps(config_of(options), sort_keys=True)


def config_id(options: CompressOptions) -> str:
    """Return what tells configurations apart: 16 hexadecimal digits."""
    return hashlib.sha256(config_json(options).encode()).hexdigest()[:16]


def check_options(options: CompressOptions, batch_fit: int = 1) -> None:
    """Raise ConfigError where no shape can be fitted with these options.

    `batch_fit` is how many shapes are to be fitted together.
    """
    from doh3d.signals.shape import check_shape_options

    check_shape_options(options)
    if not 1 <= batch_fit <= MOST_TOGETHER:
        raise ConfigError(f"batch_fit is {batch_fit}; it must be 1 to {MOST_TOGETHER}")
    if batch_fit > 1 and options.min_iou is not None:
        raise ConfigError(
            f"batch_fit {batch_fit} and min_iou contradict each other: the search for a "
            "quality takes other sizes for each shape; leave out one of them"
        )


def shapes_together(options: CompressOptions, on_gpu: bool) -> int:
    """How many shapes a task takes unless told otherwise."""
    # A search for a quality takes other sizes for each shape.
    return _TOGETHER_ON_GPU if on_gpu and options.min_iou is None else 1
