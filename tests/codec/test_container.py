import hashlib
import math
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.codec.container import parse, read_code, section_sizes, serialize
from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.shape_code import ShapeCode, extents_for, shape_box
from doh3d.codec.signal_code import ParameterGroup
from doh3d.errors import ConfigError, FormatError
from doh3d.field import OccupancyField
from doh3d.files import is_doh_file
from doh3d.geometry.rotation import NO_FRAME
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition, balanced_partition

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("hadamard", "dense", "sine", "raw", "cells", "graded", "smooth", "framed")
MEMORY_LIMIT = 100 * 2**20

# Where the fields of the golden hadamard file are: ReLU, a latent of fewer than 128 numbers.
VERSION, FLAGS, LAYERS, N, SEED, FAMILIES = 3, 4, 5, 7, 8, 10
LATENT_PARAMETER, LATENT_STEP, BIAS_PARAMETER, BIAS_STEP = 11, 12, 13, 14
EXTENTS, TRANSFORM, VALUES = 15, 17, 33
# Of the one with a frame, which starts in the place of the scale's first bytes.
FRAME = TRANSFORM + 12, TRANSFORM + 16, TRANSFORM + 18
# Of the one with cells, after which come three cuts.
LEVELS, CUTS = 33, 34


def golden(name):
    """The bytes of a golden file, kept as hex."""
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def with_checksum(body):
    return bytes(body) + zlib.crc32(bytes(body)).to_bytes(4, "little")


def edited(name, position, new, length=None):
    """A golden file with `length` bytes (as many as are new) replaced, and a right checksum."""
    body = golden(name)[:-4]
    length = len(new) if length is None else length
    return with_checksum(body[:position] + new + body[position + length :])


def quantized(values, step_index, family, parameter):
    values = np.array(values, dtype=np.int64)
    return ParameterGroup(values, step_index, SymbolModel(family, parameter))


def raw(values):
    return ParameterGroup(np.array(values, dtype=np.float32), 0, SymbolModel(Family.RAW_FLOAT32, 0))


def codes():
    """What the golden files hold."""
    return {
        "hadamard": ShapeCode(
            architecture=Architecture(width=3, depth=2, octaves=1),
            dense_projection=False,
            seed=7,
            transform=NormalizingTransform((1.5, -2.25, 1000.0), 0.375),
            extents=(28, 20, 31),
            latent=quantized([3, -1, 0, 7, -12, 2, 1, 0, -4, 5, -2], 165, Family.LAPLACE, 50),
            biases=quantized([1, -1, 0, 2, 0, -3, 4], 150, Family.GAUSSIAN, 42),
        ),
        "dense": ShapeCode(
            architecture=Architecture(width=2, depth=1, octaves=0),
            dense_projection=True,
            seed=0xFF01,
            transform=NormalizingTransform((5e5 + 0.1, -3e6 - 0.7, 12.3), 1.7),
            extents=(31, 0, 15),
            latent=quantized([100, -32767, 5], 120, Family.FIXED_LENGTH, 16),
            biases=quantized([-2, 1, 0], 160, Family.FIXED_LENGTH, 2),
        ),
        "sine": ShapeCode(
            architecture=Architecture(width=2, depth=2, octaves=0, activation="sine", omega=30),
            dense_projection=False,
            seed=65535,
            transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
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
            transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
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
        # Turned: the lowest bits of the scale are the frame's.
        "framed": ShapeCode(
            architecture=Architecture(width=2, depth=1, octaves=1, mirrored=(2,)),
            dense_projection=False,
            seed=4,
            transform=NormalizingTransform((2.5, -1.25, 40.0), 1.2421875, frame=(-27146, 300, 9)),
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
    }


def assert_same(first, second):
    assert replace(first, latent=None, biases=None) == replace(second, latent=None, biases=None)
    for a, b in ((first.latent, second.latent), (first.biases, second.biases)):
        assert (a.step_index, a.model) == (b.step_index, b.model)
        assert a.values.dtype == b.values.dtype
        np.testing.assert_array_equal(a.values, b.values)


def weight_bytes(matrices, biases):
    return b"".join(np.asarray(a, dtype="<f4").tobytes() for a in (*matrices, *biases))


# Golden files: each goes on decoding, to the same bits, in every release from version 1 on.


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_hold_what_they_should(name):
    assert_same(parse(golden(name)), codes()[name])


@pytest.mark.parametrize("name", NAMES)
def test_encoder_still_writes_the_golden_files(name):
    assert serialize(codes()[name]).hex() == golden(name).hex()


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("hadamard", "d7fe31685c0933071e2656f09b7ec1d4ca10b1972db5d0c03bce2562eff4f436"),
        ("dense", "1999010a3fc7e0d857f81f7b18ee0fd9e47f82d225bea792c6adcc3474081c6b"),
        ("sine", "63f5e9d4a57f987706c22b29fae27c966c67f72aceacc279b1838ff99686533e"),
        ("cells", "d13905e7ae096146d3a8c0126c34830af258c34e96b42735ba5f5d740544cb08"),
        ("graded", "97a59284cac67bf5733a2ae68c076f1ff917aeffbb8caba8ceaf4606a9ab3298"),
        ("smooth", "95facc65f709d2af9a3803544d5ccd2e862515c051c32c477aae22e167cdd5e9"),
        ("framed", "a56100a267567aef95b2c9986831f6c6175b043bdd8c7056ce6d94eadcf9aecc"),
        ("raw", "a5cfbb99749569e56ea1d05d9d1a7eff02d986130e23a6ad1c7319e37e2b3050"),
    ],
)
def test_golden_weights_are_pinned(reference, name, digest):
    weights = OccupancyField(parse(golden(name)), "cpu").weights
    found = weight_bytes(weights.matrices, weights.biases)
    assert hashlib.sha256(found).hexdigest() == digest
    assert found == weight_bytes(*reference.weights(reference.parse(golden(name))))


# Sizes.


def header_bytes(reference, code):
    sizes = section_sizes(code)
    assert sum(sizes.values()) == len(serialize(code))
    fixed = sizes["header"] + sizes["transform"] + sizes["checksum"]
    assert fixed == reference.parse_header(serialize(code))["end"] + 4
    return fixed


@pytest.mark.parametrize(
    ("n", "sine", "double", "size"),
    [
        (128, False, False, 38),
        (16383, False, False, 38),
        (127, False, False, 37),
        (16384, False, False, 39),
        (16384, True, False, 40),
        (2**20, True, True, 56),
    ],
)
def test_header_takes_as_many_bytes_as_documented(reference, n, sine, double, size):
    code = codes()["sine" if sine else "hadamard"]
    latent = quantized(np.zeros(n), 0, Family.GAUSSIAN, 0)
    transform = replace(code.transform, double=double)
    assert header_bytes(reference, replace(code, latent=latent, transform=transform)) == size


@pytest.mark.parametrize("double", [False, True])
def test_a_frame_adds_four_bytes(reference, double):
    code = codes()["framed"]
    turned = replace(code.transform, double=double)
    straight = replace(turned, frame=NO_FRAME)
    without = header_bytes(reference, replace(code, transform=straight))
    assert header_bytes(reference, replace(code, transform=turned)) == without + 4


@pytest.mark.parametrize("levels", range(1, 7))
def test_cells_add_a_byte_each_to_the_header(reference, levels):
    code = codes()["hadamard"]
    box = shape_box(code.extents, ())
    network = Architecture(
        width=1, depth=1, octaves=0, partition=balanced_partition(*box, None, levels)
    )
    code = replace(
        code,
        architecture=network,
        latent=quantized(np.zeros(128), 0, Family.GAUSSIAN, 0),
        biases=quantized(np.zeros(network.bias_count), 0, Family.GAUSSIAN, 0),
    )
    assert header_bytes(reference, code) == 38 + 2**levels
    assert_same(parse(serialize(code)), code)


def test_raw_latents_count_as_latents():
    sizes = section_sizes(codes()["raw"])
    assert (sizes["latent"], sizes["biases"]) == (16, 12)


# Round trips. tests/codec/test_format.py draws from all that a file can hold.


@given(
    levels=st.lists(st.integers(-32767, 32767), min_size=1, max_size=300),
    parameter=st.integers(0, 159),
    seed=st.integers(0, 65535),
)
@settings(deadline=None)
def test_round_trip(levels, parameter, seed):
    latent = quantized(levels, 255, Family.GAUSSIAN, parameter)
    code = replace(codes()["hadamard"], latent=latent, seed=seed)
    assert_same(parse(serialize(code)), code)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_read_from_disk(tmp_path, name):
    path = tmp_path / "shape.doh"
    path.write_bytes(golden(name))
    assert_same(read_code(path), codes()[name])
    assert is_doh_file(path)


def test_reading_names_the_file(tmp_path):
    missing, damaged = tmp_path / "missing.doh", tmp_path / "damaged"
    with pytest.raises(ConfigError, match=r"missing\.doh: cannot be read"):
        read_code(missing)
    damaged.write_bytes(golden("raw")[:-1])
    with pytest.raises(FormatError, match=r"damaged: .*checksum"):
        read_code(damaged)
    assert is_doh_file(damaged)
    damaged.write_bytes(b"solid")
    assert not is_doh_file(damaged)


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_extents_are_the_smallest_that_hold_a_box(half_sides):
    for half_side, extent in zip(half_sides, extents_for(half_sides), strict=True):
        assert 0 <= extent <= 31
        assert half_side <= (extent + 1) / 32
        assert extent == 0 or half_side > extent / 32


# Damage.


@pytest.fixture
def traced_peak():
    """A function that tells the most bytes allocated since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def flips(data, masks):
    """Each byte with these of its bits flipped, in turn."""
    for position, byte in enumerate(data):
        for mask in masks:
            yield data[:position] + bytes([byte ^ mask]) + data[position + 1 :]


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_found(reference, traced_peak, name):
    data = golden(name)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            parse(data[:length])
        with pytest.raises(ValueError, match=r"short|checksum|magic"):
            reference.parse(data[:length])
    assert traced_peak() < MEMORY_LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_byte_is_found(traced_peak, name):
    for data in flips(golden(name), range(1, 256)):
        with pytest.raises(FormatError):
            parse(data)
    assert traced_peak() < MEMORY_LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_damage_under_a_right_checksum_is_an_error_or_another_file(traced_peak, name):
    body = golden(name)[:-4]
    shortened = [body[:length] for length in range(len(body))]
    for damaged in [*flips(body, (1, 4, 128, 255)), *shortened]:
        try:
            code = parse(with_checksum(damaged))
        except FormatError:
            continue
        assert_same(parse(serialize(code)), code)
    assert traced_peak() < MEMORY_LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_header_cut_short_is_named(name):
    with pytest.raises(FormatError, match="truncated"):
        parse(with_checksum(golden(name)[:20]))


TRANSFORM_MESSAGE = "transform must be finite, with a scale above 0"
BAD_FILES = {
    "empty": (b"", "not a .doh file"),
    "magic": (b"ply" + golden("hadamard")[3:], "not a .doh file"),
    "magic alone": (golden("hadamard")[:3], "truncated: 3 bytes"),
    "kind 1": (edited("hadamard", FLAGS, b"\x01"), "^holds an image; use doh3d image decompress"),
    "kind 2": (edited("hadamard", FLAGS, b"\x02"), "kind 2 is unknown"),
    "kind 3": (edited("hadamard", FLAGS, b"\x03"), "kind 3 is unknown"),
    "no layers": (edited("hadamard", LAYERS, b"\x10"), "depth is 0"),
    "n = 0": (edited("hadamard", N, b"\x00"), "latent has 0 numbers; 1 to 1048576"),
    "n too large": (edited("hadamard", N, b"\x81\x80\x40", 1), "latent has 1048577 numbers"),
    "varint of two": (edited("hadamard", N, b"\x8b\x00", 1), "shortest form"),
    "varint of three": (edited("hadamard", N, b"\x8b\x80\x00", 1), "shortest form"),
    "varint of four": (edited("hadamard", N, b"\x8b\x80\x80\x01", 1), "more than three bytes"),
    "dense": (
        # 3 layers, 256 wide, 1 octave: 133,632 weights; n = 1005.
        edited("hadamard", FLAGS, b"\x04\x13\xff\xed\x07", 4),
        "n \\* P = 134300160 .* limit of 134217728",
    ),
    "latent family": (edited("hadamard", FAMILIES, b"\x5a"), "family 10 is unknown"),
    "graded scale": (
        edited("graded", LATENT_PARAMETER, b"\x90"),
        "GRADED_LAPLACE has parameter 144",
    ),
    "bias family": (edited("hadamard", FAMILIES, b"\xf3"), "family 15 is unknown"),
    "latent scale": (edited("hadamard", LATENT_PARAMETER, b"\xa0"), "LAPLACE has parameter 160"),
    "bias scale": (edited("hadamard", BIAS_PARAMETER, b"\xff"), "GAUSSIAN has parameter 255"),
    "1 bit": (edited("hadamard", FAMILIES, b"\x51\x01"), "FIXED_LENGTH has parameter 1,"),
    "17 bits": (edited("hadamard", FAMILIES, b"\x51\x11"), "FIXED_LENGTH has parameter 17"),
    "raw parameter": (edited("raw", LATENT_PARAMETER, b"\x01"), "RAW_FLOAT32 has parameter 1"),
    "raw latent step": (edited("raw", LATENT_STEP, b"\x07"), "step index 7 .* must be 0"),
    "raw bias step": (edited("raw", BIAS_STEP, b"\x08"), "step index 8 .* must be 0"),
    "no cells after all": (edited("hadamard", EXTENTS + 1, b"\xfe"), "cells have 201 levels"),
    "levels 0": (edited("cells", LEVELS, b"\x00"), "cells have 0 levels; 1 to 6 are allowed"),
    "levels 7": (edited("cells", LEVELS, b"\x07"), "cells have 7 levels; 1 to 6 are allowed"),
    "cut 0": (edited("cells", CUTS + 1, b"\x00"), "cut's position is 0; it must be 1 to 63"),
    "cut axis": (edited("cells", CUTS + 2, b"\xe0"), "cut's axis is 3; it must be 0 to 2"),
    "weights": (
        # 15 hidden layers of 256 each.
        edited("cells", LAYERS, b"\x0f\xff"),
        "cells' networks have 3674112 weights; at most 941568",
    ),
    # Five cuts at the same end: 2^-30 of the whole, beside a coordinate of about 1.
    "thin cell": (
        edited("cells", LEVELS, b"\x05" + b"\x3f" * 31, 4),
        "cell 31 is too thin: its corners meet in float32",
    ),
    "cuts cut short": (with_checksum(golden("cells")[:36]), "truncated"),
    **{
        f"transform {index} {value}": (
            edited("hadamard", TRANSFORM + 4 * index, struct.pack("<f", value)),
            TRANSFORM_MESSAGE,
        )
        for index in range(4)
        for value in (math.inf, -math.inf, math.nan)
    },
    **{
        f"scale {value}": (
            edited("hadamard", TRANSFORM + 12, struct.pack("<f", value)),
            TRANSFORM_MESSAGE,
        )
        for value in (0.0, -0.0)
    },
    "frame of nothing": (
        edited("framed", TRANSFORM + 12, struct.pack("<f", -1.0) + bytes(4)),
        "frame is 0, 0, 0",
    ),
    **{
        f"frame {index} {value}": (
            edited("framed", FRAME[index], struct.pack("<h", value)),
            r"frame is \(.*must be -27146 to 27146",
        )
        for index in range(3)
        for value in (27147, -27147, -32768)
    },
    "frame cut short": (with_checksum(golden("framed")[: FRAME[1] + 3]), "truncated"),
    "scale 0 and a frame": (
        edited("framed", TRANSFORM + 14, b"\x00\x80"),
        TRANSFORM_MESSAGE,
    ),
    "scale without end and a frame": (
        edited("framed", TRANSFORM + 14, b"\x80\xff"),
        TRANSFORM_MESSAGE,
    ),
    "overflow": (
        edited("dense", TRANSFORM, struct.pack("<4d", 0, -1.7e308, 0, 1.7e308)),
        "transform overflows",
    ),
    "raw latent": (edited("raw", VALUES, struct.pack("<f", math.nan)), "not finite"),
    "raw bias": (edited("raw", VALUES + 24, struct.pack("<f", -math.inf)), "not finite"),
    "raw cut": (with_checksum(golden("raw")[:-5]), "truncated"),
    "garbage": (with_checksum(golden("hadamard")[:-4] + b"\x01" * 9), "goes on after its last"),
    "zeros": (with_checksum(golden("hadamard")[:-4] + bytes(9)), "goes on after its last"),
    "code point": (edited("hadamard", VALUES, b"\xff" * 8, 100), "not valid for its models"),
    # Sixteen bits each, and a stream of zeros.
    "-32768": (
        with_checksum(
            golden("hadamard")[:FAMILIES]
            + b"\x11\x10\x00\x10\x00"
            + golden("hadamard")[EXTENTS:VALUES]
        ),
        "beyond 32767",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_fields_are_named(reference, traced_peak, name):
    data, message = BAD_FILES[name]
    with pytest.raises(FormatError, match=message):
        parse(data)
    assert traced_peak() < MEMORY_LIMIT
    with pytest.raises(ValueError, match=r"\w"):
        reference.parse(data)


@pytest.mark.parametrize("version", [0, 1, 127, 129, 255])
def test_unknown_versions_are_named_whatever_follows(version):
    # Their checksum may be elsewhere.
    data = golden("hadamard")
    data = data[:VERSION] + bytes([version]) + data[VERSION + 1 :]
    with pytest.raises(FormatError, match=f"version {version} .* unknown .* reads version 128"):
        parse(data)


@pytest.mark.parametrize("excess", [1, 4, 8, 9])
def test_nothing_follows_raw_values(reference, excess):
    data = with_checksum(golden("raw")[:-4] + bytes([1]) * excess)
    with pytest.raises(ValueError, match="after the raw values"):
        reference.parse(data)
    with pytest.raises(FormatError, match="goes on after its last value"):
        parse(data)


def test_largest_dense_projection_is_read(reference):
    # n * P is 2^17 * 2^10.
    code = replace(
        codes()["dense"],
        architecture=Architecture(width=256, depth=1, octaves=0),
        latent=quantized(np.zeros(2**17), 0, Family.GAUSSIAN, 0),
        biases=quantized(np.zeros(257), 0, Family.GAUSSIAN, 0),
    )
    assert code.architecture.weight_count == 2**10
    data = serialize(code)
    assert parse(data).dense_projection
    assert reference.parse_header(data)["projection"] == "dense"


# What no file can carry.


def too_large_dense():
    return {
        "dense_projection": True,
        "architecture": Architecture(width=256, depth=1, octaves=0),
        "latent": quantized(np.zeros(2**17 + 1), 0, Family.GAUSSIAN, 0),
        "biases": quantized(np.zeros(257), 0, Family.GAUSSIAN, 0),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 65536}, "seed is 65536"),
        ({"seed": -1}, "seed is -1"),
        ({"latent": quantized([], 0, Family.LAPLACE, 0)}, "0 numbers; a file holds 1 to 1048576"),
        ({"latent": quantized(np.zeros(2**20 + 1), 0, Family.LAPLACE, 0)}, "1048577 numbers"),
        ({"latent": quantized([32768], 0, Family.LAPLACE, 0)}, "beyond 32767"),
        ({"biases": quantized([-32768] * 7, 0, Family.LAPLACE, 0)}, "beyond 32767"),
        (too_large_dense(), "n \\* P = 134218752"),
        # Cells of another box than the extents'.
        (
            {
                "architecture": replace(codes()["cells"].architecture, width=3),
                "biases": quantized(np.zeros(28), 0, Family.LAPLACE, 0),
            },
            "cells are not those of the shape's domain",
        ),
    ],
)
def test_what_no_file_can_carry_is_not_written(changes, message):
    with pytest.raises(ConfigError, match=message):
        serialize(replace(codes()["hadamard"], **changes))


IDENTITY = NormalizingTransform((0.0, 0.0, 0.0), 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"biases": quantized([1, 2], 0, Family.LAPLACE, 0)},
        {"biases": quantized([1] * 8, 0, Family.LAPLACE, 0)},
        {"latent": quantized([100], 0, Family.FIXED_LENGTH, 4)},
        {"latent": quantized([1], 256, Family.LAPLACE, 0)},
        {"latent": quantized([1], -1, Family.LAPLACE, 0)},
        {"latent": replace(raw([1.0]), step_index=1)},
        {"latent": raw([math.nan])},
        {"biases": raw([math.inf] * 7)},
        {"extents": (32, 0, 0)},
        {"extents": (0, -1, 0)},
        {"extents": (0, 0, 32)},
        {"transform": replace(IDENTITY, centre=(0.0, math.nan, 0.0))},
        {"transform": replace(IDENTITY, centre=(1e300, 0.0, 0.0))},
        {"transform": replace(IDENTITY, centre=(0.1, 0.0, 0.0))},  # inexact in float32
        {"transform": replace(IDENTITY, scale=0.0)},
        {"transform": replace(IDENTITY, frame=(27147, 0, 0))},
        {"transform": replace(IDENTITY, frame=(1, 0, 0), scale=1 + 2**-8)},  # too many bits
        {"transform": NormalizingTransform((0, 0, 0), 2.0**1023, frame=(1, 0, 0))},
        {"transform": replace(IDENTITY, scale=1e-300)},
        {"transform": NormalizingTransform((1.7e308, 0.0, 0.0), 1.7e308)},
        {"architecture": Architecture(width=3, depth=2, octaves=1, partition=Partition.whole(2))},
        {"architecture": Architecture(width=3, depth=2, octaves=1, out_dim=2)},
    ],
    ids=repr,
)
def test_contradictory_codes_are_not_written(changes):
    with pytest.raises(ConfigError):
        serialize(replace(codes()["hadamard"], **changes))
