"""What a `.doh` file says about itself, for people to read. No torch here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from doh3d.codec.container import read_signal, section_sizes
from doh3d.codec.entropy import Family, code_length_bits
from doh3d.codec.extras import NO_EXTRAS, Extras
from doh3d.codec.frame import VERSION
from doh3d.codec.image_code import ImageCode
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.limits import DEFAULT_LIMITS, Limits


def describe_file(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Describe a `.doh` file; raises as `doh3d.codec.container.read_signal`."""
    # mypy: an abstract class stands for all of its kinds.
    code = read_signal(path, limits, SignalCode)  # type: ignore[type-abstract]
    return {"file": str(path), **describe(code)}


def describe(code: SignalCode) -> dict[str, Any]:
    """Everything that a file's header says, and the bytes of each part, ready for JSON."""
    architecture = code.architecture
    sizes = section_sizes(code)
    mirrored = ["xyz"[axis] for axis in architecture.mirrored]
    description: dict[str, Any] = {
        "bytes": sum(sizes.values()),
        "version": VERSION,
        "signal": "image" if isinstance(code, ImageCode) else "occupancy",
        "sizes": sizes,
        "network": {
            "width": architecture.width,
            "depth": architecture.depth,
            "octaves": architecture.octaves,
            "activation": architecture.activation,
            **({"omega": architecture.omega} if architecture.activation == "sine" else {}),
            **({"mirrored": mirrored} if isinstance(code, ShapeCode) else {}),
            "cells": architecture.cells,
            "weights": architecture.weight_count,
            "biases": architecture.bias_count,
        },
        "projection": {
            "kind": "dense" if code.dense_projection else "hadamard",
            "seed": code.seed,
        },
        "latent": _describe_group(code.latent),
        "bias": _describe_group(code.biases),
    }
    if code.extras != NO_EXTRAS:
        description["extras"] = _describe_extras(code.extras)
    if isinstance(code, ImageCode):
        size = {"width": code.width, "height": code.height, "channels": code.channels}
        return description | {
            "image": size | {"bpp": 8 * description["bytes"] / (code.width * code.height)}
        }
    assert isinstance(code, ShapeCode)
    description["transform"] = {
        "centre": list(code.transform.centre),
        "scale": code.transform.scale,
        "bytes": sizes["transform"],
        "rotation": code.transform.rotation.tolist(),
        "domain_low": code.bounds[0].tolist(),
        "domain_high": code.bounds[1].tolist(),
    }
    return description


def _describe_extras(extras: Extras) -> dict[str, Any]:
    """Those that there are; of unknown fields their bytes by their types."""
    columns = zip(*extras.affine, strict=True) if extras.affine else ()
    named = {
        "name": extras.name,
        "label": extras.label,
        "lattice": extras.lattice and list(extras.lattice),
        # Distances of neighbouring voxels along the grid's axes.
        "spacing": [math.hypot(*column) for column in columns][:3] or None,
        "affine": extras.affine and [list(row) for row in extras.affine],
        "unknown": {str(number): len(content) for number, content in extras.unknown} or None,
    }
    return {key: value for key, value in named.items() if value is not None}


def _describe_group(group: ParameterGroup) -> dict[str, Any]:
    count = len(group.values)
    described: dict[str, Any] = {"count": count, "model": group.model.family.name.lower()}
    if group.is_raw:
        return described
    if group.model.family == Family.FIXED_LENGTH:
        described["bits"] = group.model.parameter
    else:
        described["deviation"] = 2.0 ** (group.model.parameter / 8 - 4)
    described["step"] = group.step
    described["bits_each"] = code_length_bits(group.values, group.model) / count
    return described
