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

import reference_decoder as reference
from doh3d.codec.container import overhead_bytes, parse, read_code, section_sizes, serialize
from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.extras import Extras
from doh3d.codec.shape_code import ShapeCode, extents_for, shape_box
from doh3d.errors import ConfigError, FormatError
from doh3d.files import is_doh_file
from doh3d.geometry.transform import FLOAT64_FORM, NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition, balanced_partition
from doh3d.limits import Limits
from golden_files import golden_codes, quantized, raw, zeros

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = [name for name, code in golden_codes().items() if isinstance(code, ShapeCode)]
MEMORY_LIMIT = 100 * 2**20

# Where the fields of the golden hadamard file are: two bytes of features, no standard network, seed
# or models, and a latent of fewer than 128 numbers.
VERSION, KIND, FEATURES, N, WIDTH, LAYERS, ACTIVATION = 3, 4, 5, 7, 8, 9, 10
FAMILIES, LATENT_PARAMETER, LATENT_STEP, BIAS_PARAMETER, BIAS_STEP = 13, 14, 15, 16, 17
EXTENTS, TRANSFORM, VALUES = 18, 20, 34
# Of those with a transform of eight bytes: the raw one, and the one with a frame after it.
SHORT_VALUES = FRAME = 28
# Of the one with cells, after which come three cuts.
LEVELS, CUTS = 28, 29
# Of the one with optional fields: their length, then the first field's type, length and content.
BLOCK = 22


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


def codes():
    return {name: code for name, code in golden_codes().items() if isinstance(code, ShapeCode)}


def assert_same(first, second):
    assert replace(first, latent=None, biases=None) == replace(second, latent=None, biases=None)
    for a, b in ((first.latent, second.latent), (first.biases, second.biases)):
        assert (a.step_index, a.model) == (b.step_index, b.model)
        assert a.values.dtype == b.values.dtype
        np.testing.assert_array_equal(a.values, b.values)


# Sizes.


def header_bytes(code):
    sizes = section_sizes(code)
    assert sum(sizes.values()) == len(serialize(code))
    fixed = overhead_bytes(code)
    assert fixed == sizes["header"] + sizes["transform"] + sizes["extras"] + sizes["checksum"]
    assert fixed == reference.parse_header(serialize(code))["end"] + 4
    return fixed


def standard(n=128, **changes):
    """A shape of which nothing is said but what all say, with a latent of zeros."""
    latent = quantized([0] * n, 0, Family.GRADED_LAPLACE, 24)
    return replace(codes()["standard"], latent=latent, **changes)


def network(**changes):
    return replace(codes()["standard"].architecture, **changes)


@pytest.mark.parametrize(("n", "size"), [(128, 25), (16383, 25), (127, 24), (16384, 26)])
def test_a_standard_shape_takes_25_bytes(n, size):
    assert header_bytes(standard(n)) == size


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"architecture": network(mirrored=(0, 1, 2))}, 1),
        ({"transform": NormalizingTransform((2.0**-15, 0, 0), 1.0)}, 1 + 3),
        ({"transform": NormalizingTransform((300.0, 0, 0), 1.0)}, 1 + 6),
        ({"transform": NormalizingTransform((0.1, 0, 0), 1.0)}, 1 + 24),
        ({"transform": NormalizingTransform((0, 0, 0), 1.0, (1, 0, 0))}, 1 + 6),
        ({"architecture": network(depth=2), "biases": zeros(9)}, 2 + 1),
        ({"architecture": network(octaves=2)}, 2 + 1),
        ({"architecture": network(activation="relu")}, 2 + 1),
        ({"architecture": network(activation="sine", omega=30)}, 2 + 2),
        ({"seed": 1}, 2 + 2),
        ({"dense_projection": True}, 2),
        ({"biases": quantized([0] * 13, 145, Family.GAUSSIAN, 0)}, 2 + 2),
        ({"extras": Extras(label=-64)}, 2 + 1 + 3),
        ({"extras": Extras(lattice=(127, 128, 65536))}, 2 + 1 + 2 + 6),
        ({"extras": Extras(name="x" * 128)}, 2 + 2 + 3 + 128),
        ({"seed": 1, "architecture": network(octaves=2, mirrored=(1,))}, 2 + 2 + 1),
    ],
    ids=str,
)
def test_each_feature_costs_what_is_documented(changes, more):
    code = standard(**changes)
    assert header_bytes(code) == 25 + more
    assert_same(parse(serialize(code)), code)


@pytest.mark.parametrize("levels", range(1, 7))
def test_cells_cost_a_byte_each_and_one(levels):
    box = shape_box(codes()["standard"].extents, ())
    cells = Architecture(
        width=1, activation="smooth", partition=balanced_partition(*box, None, levels)
    )
    code = standard(architecture=cells, biases=zeros(cells.bias_count))
    assert header_bytes(code) == 25 + 1 + 2**levels
    assert_same(parse(serialize(code), Limits.of_format()), code)


@pytest.mark.parametrize(
    ("latent", "biases", "more"),
    [
        ((6, 24), (2, 0), 0),
        ((9, 87), (5, 63), 0),
        ((7, 23), (2, 0), 4),
        ((7, 88), (2, 0), 4),
        ((6, 24), (2, 64), 4),
        ((5, 50), (5, 0), 4),
        ((6, 24), (1, 2), 4),
    ],
)
def test_models_of_a_byte_are_the_standard_ones(latent, biases, more):
    code = standard()
    groups = [
        replace(group, model=SymbolModel(Family(family), parameter))
        for group, (family, parameter) in ((code.latent, latent), (code.biases, biases))
    ]
    code = replace(code, latent=groups[0], biases=groups[1])
    assert overhead_bytes(code) == 25 + more
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

# Every bit of those takes its time.
SHORT_NAMES = [name for name in NAMES if len(golden(name)) < 60]


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
def test_every_truncation_is_found(traced_peak, name):
    data = golden(name)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            parse(data[:length])
        with pytest.raises(ValueError, match=r"short|checksum|magic"):
            reference.parse(data[:length])
    assert traced_peak() < MEMORY_LIMIT


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_every_flipped_byte_is_found(traced_peak, name):
    for data in flips(golden(name), range(1, 256)):
        with pytest.raises(FormatError):
            parse(data)
    assert traced_peak() < MEMORY_LIMIT


@pytest.mark.parametrize("name", SHORT_NAMES)
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


INFINITE = struct.pack("<f", math.inf)

# The block of the golden file is 98 bytes after one of its length.
OPTIONAL_FIELDS = [
    ("none", b"\0", 99, "block of optional fields has 0 bytes; 1 to 65535"),
    ("too many", b"\x80\x80\x04", 1, "block of optional fields has 65536 bytes; 1 to 65535"),
    ("beyond the file", b"\xff\x7f", 1, "truncated: the file ends"),
    ("type 0", b"\3\0\1\0", 99, "optional field 0 follows 0; types must ascend"),
    ("twice", b"\6\7\1\0\7\1\0", 99, "optional field 7 follows 7"),
    ("descending", b"\6\7\1\0\6\1\0", 99, "optional field 6 follows 7"),
    ("beyond the block", b"\3\7\2\0", 99, "truncated: the block of optional fields ends 1"),
    ("length of four", b"\6\7\x80\x80\x80\1\0", 99, "length takes more than 3 bytes"),
    ("lattice of two", b"\4\1\2\7\7", 99, "truncated: optional field 1 ends 1 bytes too early"),
    ("lattice of four", b"\6\1\4\7\7\7\7", 99, "optional field 1 is 1 bytes too long"),
    ("lattice of 0", b"\5\1\3\7\0\7", 99, r"lattice is \(7, 0, 7\)"),
    ("lattice of 65537", b"\7\1\5\7\7\x81\x80\4", 99, "lattice is .*three of 1 to 65536"),
    ("affine", b"\x09\2\7\1\0\0" + INFINITE, 99, "affine is .* 3 x 4 finite"),
    ("short affine", b"\4\2\2\0\0", 99, "optional field 2 ends 1"),
    ("cut affine", b"\x08\2\6\1\0\0" + INFINITE[:3], 99, "optional field 2 ends 1"),
    ("long affine", b"\6\2\4\0\0\0\0", 99, "optional field 2 is 1 bytes too long"),
    ("affine of 3", b"\5\2\3\3\0\0", 99, "a number of the affine is kept in no known way"),
    ("wide affine", b"\x0d\2\x0b\2\0\0" + struct.pack("<d", 0.5), 99, "0.5 in the affine takes"),
    ("0 in the affine", b"\x09\2\7\1\0\0" + bytes(4), 99, "0 in the affine takes more bytes"),
    ("no label", b"\2\3\0", 99, "optional field 3 ends 1"),
    ("label", b"\x0a\3\x08" + b"\xff" * 7 + b"\x1f", 99, "label is -9007199254740992; its magn"),
    ("label of nine", b"\x0b\3\x09" + b"\x80" * 8 + b"\1", 99, "label takes more than 8 bytes"),
    ("no name", b"\2\4\0", 99, "name takes 0 bytes"),
    ("name", b"\x83\2\4\x80\2" + b"x" * 256, 99, "name takes 256 bytes of UTF-8; .* 1 to 255"),
    ("no UTF-8", b"\3\4\1\xff", 99, "not UTF-8"),
    ("control", b"\4\4\2x\x1b", 99, r"name 'x\\x1b' has a control character"),
    ("later control", b"\4\4\2\xc2\x9b", 99, "control character"),
]
TRANSFORM_MESSAGE = "transform must be finite, with a scale above 0"
BAD_FILES = {
    "empty": (b"", "not a .doh file"),
    "magic": (b"ply" + golden("hadamard")[3:], "not a .doh file"),
    "magic alone": (golden("hadamard")[:3], "truncated: 3 bytes"),
    "kind 1": (edited("hadamard", KIND, b"\x03"), "^holds an image; use doh3d image decompress"),
    "kind 2": (
        edited("hadamard", KIND, b"\x05"),
        "kind 2 is unknown to this release; 0 is a shape",
    ),
    "kind 8200": (edited("hadamard", KIND, b"\x91\x80\x01", 1), "kind 8200 is unknown"),
    "kind of four": (edited("hadamard", KIND, b"\x81\x80\x80\x01", 1), "more than 3 bytes"),
    "no features": (edited("hadamard", FEATURES, b"\0", 2), "the features are 0"),
    "feature 13": (edited("hadamard", FEATURES + 1, b"\x57"), "feature 13 is unknown to this rel"),
    "feature 20": (edited("hadamard", FEATURES, b"\xa0\x97\x40", 2), "feature 20 is unknown"),
    "activation": (edited("hadamard", ACTIVATION, b"\x03"), "activation 3 is unknown"),
    "omega": (edited("sine", ACTIVATION, b"\x02\x00"), "omega is 0; with sine it must be 1"),
    "extents": (edited("hadamard", EXTENTS + 1, b"\xfe"), "bit 15 of the extents is set"),
    "no layers": (edited("hadamard", LAYERS, b"\x10"), "depth is 0"),
    "n = 0": (edited("hadamard", N, b"\x00"), "latent has 0 numbers; 1 to 1048576"),
    "n too large": (edited("hadamard", N, b"\x81\x80\x40", 1), "latent has 1048577 numbers"),
    "varint of two": (edited("hadamard", N, b"\x8b\x00", 1), "shortest form"),
    "varint of three": (edited("hadamard", N, b"\x8b\x80\x00", 1), "shortest form"),
    "varint of four": (edited("hadamard", N, b"\x8b\x80\x80\x01", 1), "more than 3 bytes"),
    "dense": (
        # 3 layers, 256 wide, 1 octave: 133,632 weights; n = 1005.
        edited("hadamard", FEATURES + 1, b"\x1f\xed\x07\xff\x13", 4),
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
    "levels 0": (edited("cells", LEVELS, b"\x00"), "cells have 0 levels; 1 to 6 are allowed"),
    "levels 7": (edited("cells", LEVELS, b"\x07"), "cells have 7 levels; 1 to 6 are allowed"),
    "cut 0": (edited("cells", CUTS + 1, b"\x00"), "cut's position is 0; it must be 1 to 63"),
    "cut axis": (edited("cells", CUTS + 2, b"\xe0"), "cut's axis is 3; it must be 0 to 2"),
    "weights": (
        # 15 hidden layers of 256 each.
        edited("cells", WIDTH, b"\xff\x0f"),
        "cells' networks have 3674112 weights; at most 941568",
    ),
    # Five cuts at the same end: 2^-30 of the whole, beside a coordinate of about 1.
    "thin cell": (
        edited("cells", LEVELS, b"\x05" + b"\x3f" * 31, 4),
        "cell 31 is too thin: its corners meet in float32",
    ),
    "cuts cut short": (with_checksum(golden("cells")[: CUTS + 2]), "truncated"),
    **{
        f"transform {index} {value}": (
            edited("dense", TRANSFORM + 8 * index, struct.pack("<d", value)),
            TRANSFORM_MESSAGE,
        )
        for index in range(4)
        for value in (math.inf, -math.inf, math.nan)
    },
    **{
        f"scale {value}": (
            edited("dense", TRANSFORM + 24, struct.pack("<d", value)),
            TRANSFORM_MESSAGE,
        )
        for value in (0.0, -0.0, -1.0)
    },
    "frame of nothing": (edited("framed", FRAME, bytes(6)), "frame is 0, 0, 0"),
    **{
        f"frame {index} {value}": (
            edited("framed", FRAME + 2 * index, struct.pack("<h", value)),
            r"frame is \(.*must be -27146 to 27146",
        )
        for index in range(3)
        for value in (27147, -27147, -32768)
    },
    "frame cut short": (with_checksum(golden("framed")[: FRAME + 5]), "truncated"),
    "overflow": (
        edited("dense", TRANSFORM, struct.pack("<4d", 0, -1.7e308, 0, 1.7e308)),
        "transform overflows",
    ),
    **{
        f"optional fields: {name}": (edited("extras", BLOCK, new, length), message)
        for name, new, length, message in OPTIONAL_FIELDS
    },
    "raw latent": (edited("raw", SHORT_VALUES, struct.pack("<f", math.nan)), "not finite"),
    "raw bias": (edited("raw", SHORT_VALUES + 24, struct.pack("<f", -math.inf)), "not finite"),
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
def test_bad_fields_are_named(traced_peak, name):
    data, message = BAD_FILES[name]
    with pytest.raises(FormatError, match=message):
        parse(data)
    assert traced_peak() < MEMORY_LIMIT
    with pytest.raises(ValueError, match=r"\w"):
        reference.parse(data)


DRAFT = (
    "version byte {}\\), written by a 0.1.0 development version of doh3d; read it with the one that"
)
LATER = "version {} of the .doh format, written by a later release of doh3d; read it with that one"


@pytest.mark.parametrize(
    ("version", "message"),
    [(0, DRAFT), (128, DRAFT), (129, DRAFT), (255, DRAFT), (2, LATER), (127, LATER)],
)
def test_other_versions_are_named_with_what_reads_them(version, message):
    # Whatever follows: their checksum may be elsewhere.
    data = golden("hadamard")
    data = data[:VERSION] + bytes([version]) + data[VERSION + 1 :]
    with pytest.raises(FormatError, match=message.format(version)):
        parse(data)
    with pytest.raises(ValueError, match="unknown version"):
        reference.parse(data)


DRAFT_FILE = (
    "d04f48800012020b07005332a52a969c7e0000c03f000010c000007a440000c03ec91bc2d2d3236aaf944f5536f2"
)


def test_a_file_of_the_draft_is_refused_by_name(tmp_path):
    # As a development version wrote the golden hadamard file.
    path = tmp_path / "old.doh"
    path.write_bytes(bytes.fromhex(DRAFT_FILE))
    with pytest.raises(FormatError, match=r"old\.doh: a draft of the \.doh format .*128"):
        read_code(path)


@pytest.mark.parametrize("excess", [1, 4, 8, 9])
def test_nothing_follows_raw_values(excess):
    data = with_checksum(golden("raw")[:-4] + bytes([1]) * excess)
    with pytest.raises(ValueError, match="after the raw values"):
        reference.parse(data)
    with pytest.raises(FormatError, match="goes on after its last value"):
        parse(data)


def test_largest_dense_projection_is_read():
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
        {"transform": replace(IDENTITY, scale=0.0)},
        {"transform": replace(IDENTITY, frame=(27147, 0, 0))},
        {"transform": NormalizingTransform((0, 0, 0), 2.0**1023, frame=(1, 0, 0))},
        {"transform": NormalizingTransform((1.7e308, 0.0, 0.0), 1.7e308)},
        {"architecture": Architecture(width=3, depth=2, octaves=1, partition=Partition.whole(2))},
        {"architecture": Architecture(width=3, depth=2, octaves=1, out_dim=2)},
    ],
    ids=repr,
)
def test_contradictory_codes_are_not_written(changes):
    with pytest.raises(ConfigError):
        serialize(replace(codes()["hadamard"], **changes))


@pytest.mark.parametrize(
    "transform",
    [
        replace(IDENTITY, centre=(1e300, 0.0, 0.0)),
        replace(IDENTITY, centre=(0.1, 0.0, 0.0)),
        replace(IDENTITY, frame=(1, 0, 0), scale=1 + 2**-30),
        replace(IDENTITY, scale=1e-300),
    ],
    ids=repr,
)
def test_a_transform_on_no_lattice_comes_back_to_the_bit(transform):
    code = replace(codes()["hadamard"], transform=transform)
    assert transform.form == FLOAT64_FORM
    assert parse(serialize(code)).transform == transform
