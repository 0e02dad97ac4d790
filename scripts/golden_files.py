"""The golden files: small files of every feature of the format, which decode for ever.

    python scripts/golden_files.py

writes the file of each code below that has none yet, as hex to tests/golden (images to its folder
`images`), and the digest of its weights to tests/golden/digests.json. Files that are there stay as
they are: a later release adds codes with new names. tests/codec/test_golden.py holds both to them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from doh3d.codec.container import serialize
from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.extras import Extras
from doh3d.codec.image_code import ImageCode, image_box
from doh3d.codec.quantization import grade_factors
from doh3d.codec.shape_code import ShapeCode, shape_box
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.field import decode_weights
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition, balanced_partition

FOLDER = Path(__file__).parents[1] / "tests" / "golden"
DIGESTS = FOLDER / "digests.json"

AT_ORIGIN = NormalizingTransform((0.0, 0.0, 0.0), 1.0)


def quantized(
    values: Iterable[int], step_index: int, family: Family, parameter: int
) -> ParameterGroup:
    levels = np.array(list(values), dtype=np.int64)
    return ParameterGroup(levels, step_index, SymbolModel(family, parameter))


def graded(values: Iterable[int], family: Family, parameter: int) -> ParameterGroup:
    """Levels of graded steps, from what they are multiples of."""
    levels = np.array(list(values))
    return quantized(levels * grade_factors(len(levels)).astype(int), 157, family, parameter)


def raw(values: Iterable[float]) -> ParameterGroup:
    numbers = np.array(list(values), dtype=np.float32)
    return ParameterGroup(numbers, 0, SymbolModel(Family.RAW_FLOAT32, 0))


def zeros(count: int) -> ParameterGroup:
    """Biases as most files have them."""
    return quantized([0] * count, 144, Family.GENERALIZED_GAUSSIAN_1_5, 0)


def scattered(count: int, most: int) -> list[int]:
    """Numbers without an order, -most to most."""
    return [(37 * i * i + 11 * i + 5) % 101 % (2 * most + 1) - most for i in range(count)]


def golden_codes() -> dict[str, SignalCode]:
    """Make what the golden files hold, by name."""
    return {**_with_choices_of_their_own(), **_standard_shapes(), **_images()}


def _with_choices_of_their_own() -> dict[str, SignalCode]:
    """Shapes with networks, seeds and models that are not standard."""
    return {
        "hadamard": ShapeCode(
            architecture=Architecture(width=3, depth=2, octaves=1),
            dense_projection=False,
            seed=7,
            # Far off for its size: whole numbers of four bytes.
            transform=NormalizingTransform((1.5, -2.25, 1000.0), 0.375),
            extents=(28, 20, 31),
            latent=quantized([3, -1, 0, 7, -12, 2, 1, 0, -4, 5, -2], 165, Family.LAPLACE, 50),
            biases=quantized([1, -1, 0, 2, 0, -3, 4], 150, Family.GAUSSIAN, 42),
        ),
        "dense": ShapeCode(
            architecture=Architecture(width=2, depth=1, octaves=0),
            dense_projection=True,
            seed=0xFF01,
            # On no lattice: four float64.
            transform=NormalizingTransform((5e5 + 0.1, -3e6 - 0.7, 12.3), 1.7),
            extents=(31, 0, 15),
            latent=quantized([100, -32767, 5], 120, Family.FIXED_LENGTH, 16),
            biases=quantized([-2, 1, 0], 160, Family.FIXED_LENGTH, 2),
        ),
        "sine": ShapeCode(
            architecture=Architecture(width=2, depth=2, octaves=0, activation="sine", omega=30),
            dense_projection=False,
            seed=65535,
            transform=AT_ORIGIN,
            extents=(31, 31, 31),
            # Low bits split off, and escapes on both sides.
            latent=quantized(
                [500, -3, 32767, -32767, 90], 80, Family.GENERALIZED_GAUSSIAN_0_75, 77
            ),
            biases=quantized([0, 130, -128, 127, 1], 140, Family.GENERALIZED_GAUSSIAN_1_5, 40),
        ),
        # Few bits each, so that float32 sums are exact in any order.
        "raw": ShapeCode(
            architecture=Architecture(width=2, depth=1, octaves=0),
            dense_projection=False,
            seed=1,
            transform=AT_ORIGIN,
            extents=(31, 31, 31),
            latent=raw([0.5, -0.25, 0.375, 0.0078125]),
            biases=raw([0.125, -1.0, 0.75]),
        ),
        "graded": ShapeCode(
            architecture=Architecture(width=3, depth=1, octaves=1),
            dense_projection=False,
            seed=31,
            transform=NormalizingTransform((-1.0, 0.5, 8.0), 0.75),
            extents=(9, 31, 18),
            latent=quantized(
                [8, -4, 0, 12, -20, 4, -16, 0, 8, 36, 2, -6, 10, 0, -14, 2, 9, -5],
                157,
                Family.GRADED_LAPLACE,
                44,
            ),
            biases=quantized([1, 0, -3, 2], 150, Family.GAUSSIAN, 42),
        ),
        # Columns of three octaves, of a frequency 0.
        "smooth": ShapeCode(
            architecture=Architecture(width=2, depth=2, octaves=3, activation="smooth"),
            dense_projection=False,
            seed=77,
            transform=NormalizingTransform((0.25, 3.0, -7.5), 1.25),
            extents=(31, 6, 22),
            latent=quantized([2, 0, -9, 4, 6, -1, 0, 3, -2, 8, -5, 1], 163, Family.LAPLACE, 50),
            biases=quantized([0, 2, -1, 1, -4], 150, Family.GAUSSIAN, 42),
        ),
        "framed": ShapeCode(
            architecture=Architecture(width=2, depth=1, octaves=1, mirrored=(2,)),
            dense_projection=False,
            seed=4,
            transform=NormalizingTransform((2.5, -1.25, 40.0), 1.2421875, (-27146, 300, 9)),
            extents=(31, 17, 8),
            latent=quantized([4, -1, 0, 7, -3, 2, 0, 5, -8], 163, Family.LAPLACE, 50),
            biases=quantized([1, 0, -2], 150, Family.GAUSSIAN, 42),
        ),
        # Along y, whose mirror plane leaves half of it, in the middle; then near either end.
        "cells": ShapeCode(
            architecture=Architecture(
                width=2,
                depth=2,
                octaves=0,
                mirrored=(1,),
                partition=Partition(*shape_box((31, 24, 7), (1,)), cuts=((1, 32), (0, 63), (2, 1))),
            ),
            dense_projection=False,
            seed=12,
            transform=NormalizingTransform((0.5, -4.0, 2.25), 3.0),
            extents=(31, 24, 7),
            latent=quantized([9, -4, 0, 1, 6, -11, 3, 2, -1, 5, -7, 8], 170, Family.LAPLACE, 52),
            biases=quantized(range(-10, 10), 150, Family.GAUSSIAN, 52),
        ),
        # A latent without an escape in a graded group of low bits, biases with a model of theirs.
        "graded_shifted": ShapeCode(
            architecture=Architecture(width=2, activation="smooth"),
            dense_projection=False,
            seed=0,
            transform=AT_ORIGIN,
            extents=(31, 31, 31),
            latent=graded(scattered(21, 50), Family.GRADED_GENERALIZED_GAUSSIAN_0_75, 90),
            biases=quantized([1, 0, -3, 2, 5, 0, -1], 144, Family.LAPLACE, 44),
        ),
    }


def _standard_shapes() -> dict[str, SignalCode]:
    """Shapes that leave to the format what it has a standard for, but for one feature each."""
    network = Architecture(width=4, activation="smooth")
    standard = ShapeCode(
        architecture=network,
        dense_projection=False,
        seed=0,
        transform=NormalizingTransform((0.5, -0.015625, 3.0), 1.5),
        extents=(28, 21, 24),
        latent=graded(scattered(130, 3), Family.GRADED_GENERALIZED_GAUSSIAN_1_5, 40),
        biases=zeros(network.bias_count),
    )
    narrow = Architecture(width=2, activation="smooth")
    small = {
        "dense_projection": False,
        "seed": 0,
        "transform": standard.transform,
        "extents": standard.extents,
        "biases": zeros(narrow.bias_count),
    }
    box = shape_box(standard.extents, ())
    eight = Architecture(
        width=2, activation="smooth", partition=balanced_partition(*box, None, levels=3)
    )
    return {
        "standard": standard,
        # About planes that are on the finer lattice only.
        "mirrored": ShapeCode(
            **small
            | {
                "architecture": Architecture(width=2, activation="smooth", mirrored=(0, 1)),
                "transform": NormalizingTransform((3277 / 2**15, -1 / 2**15, 0.25), 1.01171875),
            },
            latent=graded(scattered(19, 3), Family.GRADED_GAUSSIAN, 40),
        ),
        "eight_cells": ShapeCode(
            **small | {"architecture": eight, "biases": zeros(eight.bias_count)},
            latent=graded(scattered(40, 4), Family.GRADED_LAPLACE, 40),
        ),
        # A grid's, and a field of a type that has no meaning yet.
        "extras": ShapeCode(
            **small,
            architecture=narrow,
            latent=graded(scattered(11, 3), Family.GRADED_LAPLACE, 40),
            extras=Extras(
                lattice=(512, 128, 77),
                affine=((0.7, 0.0, -0.0, -120.5), (0.0, 0.7, 1e-300, 3.25), (0.0, 0.0, 2.5, 1 / 3)),
                label=-12,
                name="Leber, größter Lappen 肝",
                unknown=((200, b"\x01\x02\x03"),),
            ),
        ),
    }


def _images() -> dict[str, SignalCode]:
    colour = ImageCode(
        architecture=Architecture(
            width=3, depth=2, octaves=1, partition=Partition.whole(2), out_dim=3
        ),
        dense_projection=False,
        seed=7,
        latent=quantized([3, -1, 0, 7], 165, Family.LAPLACE, 50),
        biases=quantized([1, -1, 0, 2, 0, -3, 4, 0, 1], 150, Family.GAUSSIAN, 42),
        width=5,
        height=3,
    )
    cells = Architecture(
        width=3, depth=2, octaves=1, partition=Partition(*image_box(5, 3), ((0, 40),)), out_dim=3
    )
    grey = Architecture(
        width=2, depth=3, octaves=0, activation="sine", omega=5, partition=Partition.whole(2)
    )
    return {
        "image": colour,
        "image_cells": ImageCode(
            architecture=cells,
            dense_projection=False,
            seed=7,
            latent=colour.latent,
            biases=quantized(
                [1, -1, 0, 2, 0, -3, 4, 0, 1, 5, -2, 3, -6, 1, 0, 2, 7, -1],
                150,
                Family.GAUSSIAN,
                42,
            ),
            width=5,
            height=3,
        ),
        "standard_image": ImageCode(
            architecture=colour.architecture,
            dense_projection=False,
            seed=0,
            latent=graded(scattered(9, 3), Family.GRADED_GAUSSIAN, 40),
            biases=quantized([0, 5, -3, 1, 0, 0, 2, -9, 4], 144, Family.LAPLACE, 46),
            width=300,
            height=2,
        ),
        "grey_image": ImageCode(
            architecture=grey,
            dense_projection=True,
            seed=0,
            latent=quantized([9, -4, 2, 0, 7], 155, Family.GENERALIZED_GAUSSIAN_1_5, 45),
            biases=quantized([1, 2, 3, 4, 5, 6, -7], 150, Family.GENERALIZED_GAUSSIAN_0_75, 47),
            width=4,
            height=6,
        ),
    }


def path_of(name: str, code: SignalCode) -> Path:
    """Where the golden file of a code is."""
    return (FOLDER / "images" if isinstance(code, ImageCode) else FOLDER) / f"{name}.hex"


def weight_digest(code: SignalCode) -> str:
    """SHA-256 of the weights as float32: all layers' matrices, then all biases."""
    weights = decode_weights(code, torch.device("cpu"))
    arrays = (*weights.matrices, *weights.biases)
    packed = b"".join(array.numpy().astype("<f4").tobytes() for array in arrays)
    return hashlib.sha256(packed).hexdigest()


def main() -> None:
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for name, code in golden_codes().items():
        path = path_of(name, code)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        data = serialize(code)
        path.write_text(data.hex() + "\n")
        digests[name] = weight_digest(code)
        print(f"{name}: {len(data)} bytes, weights {digests[name]}")
    DIGESTS.write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    main()
