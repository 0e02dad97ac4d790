"""Files of images: their header, both ways, and what is no such header."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_decoder as reference
from doh3d.codec.container import (
    overhead_bytes,
    parse,
    parse_signal,
    read_code,
    section_sizes,
    serialize,
)
from doh3d.codec.entropy import Family, SymbolModel, choose_model
from doh3d.codec.image_code import ImageCode, image_box
from doh3d.codec.inspection import describe
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.errors import ConfigError, FormatError
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.images.field import ImageField, load_image
from doh3d.limits import DEFAULT_LIMITS, Limits

# The header in its order: magic, version, kind and features (a seed, models), n, width - 1, layers,
# seed, families, latent's parameter and step, biases' parameter and step, width - 1, height - 1.
HEADER = "d04f48 01 03 8014 04 02 12 0700 53 32 a5 2a 96 0400 0200"
FEATURES, WIDTH, SIZES = 5, 8, 17


def grouped(values, step, family, parameter):
    return ParameterGroup(np.array(values, np.int64), step, SymbolModel(family, parameter))


def image_code(**changes):
    """Five pixels by three, in colour."""
    code = ImageCode(
        architecture=Architecture(
            width=3, depth=2, octaves=1, partition=Partition.whole(2), out_dim=3
        ),
        dense_projection=False,
        seed=7,
        latent=grouped([3, -1, 0, 7], 165, Family.LAPLACE, 50),
        biases=grouped([1, -1, 0, 2, 0, -3, 4, 0, 1], 150, Family.GAUSSIAN, 42),
        width=5,
        height=3,
    )
    return replace(code, **changes)


def with_checksum(body):
    return body + struct.pack("<I", zlib.crc32(body))


def changed(position, new):
    body = serialize(image_code())[:-4]
    return with_checksum(body[:position] + new + body[position + len(new) :])


def parse_image(data, limits=DEFAULT_LIMITS):
    return parse_signal(data, limits, ImageCode)


def test_the_header_is_these_bytes():
    data = serialize(image_code())
    assert data[:21].hex() == HEADER.replace(" ", "")
    assert section_sizes(image_code())["header"] == 21
    assert section_sizes(image_code())["transform"] == 0


def test_header_and_checksum_of_a_standard_image_are_20_bytes():
    code = image_code(
        seed=0,
        latent=grouped([0] * 6000, 100, Family.GRADED_LAPLACE, 24),
        biases=grouped([0] * 9, 144, Family.GAUSSIAN, 50),
    )
    assert overhead_bytes(code) == 20
    assert overhead_bytes(replace(code, architecture=replace(code.architecture, octaves=9))) == 20
    grey = replace(code.architecture, out_dim=1)
    biases = replace(code.biases, values=code.biases.values[:7])
    assert overhead_bytes(replace(code, architecture=grey, biases=biases)) == 21


@st.composite
def codes(draw):
    architecture = Architecture(
        width=draw(st.integers(1, 5)),
        depth=draw(st.integers(1, 3)),
        octaves=draw(st.integers(0, 9)),
        partition=Partition.whole(2),
        out_dim=draw(st.sampled_from([1, 3])),
    )
    sides = st.integers(1, 12) | st.integers(1, 65536)
    width, height = draw(sides), draw(sides)
    if draw(st.booleans()):
        cut = st.tuples(st.integers(0, 1), st.integers(1, 63))
        cuts = draw(st.sampled_from([1, 3]).flatmap(lambda n: st.tuples(*[cut] * n)))
        architecture = replace(architecture, partition=Partition(*image_box(width, height), cuts))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def group(count):
        values = rng.integers(-40, 41, count)
        return ParameterGroup(values, draw(st.integers(0, 255)), choose_model(values))

    return ImageCode(
        architecture=architecture,
        dense_projection=draw(st.booleans()),
        seed=draw(st.integers(0, 65535)),
        latent=group(draw(st.integers(1, 40))),
        biases=group(architecture.bias_count),
        width=width,
        height=height,
    )


@given(code=codes())
@settings(deadline=None, max_examples=60)
def test_what_is_written_is_read(code):
    data = serialize(code)
    read = parse_image(data, Limits.of_format())
    assert replace(read, latent=None, biases=None) == replace(code, latent=None, biases=None)
    assert read.latent.values.tolist() == code.latent.values.tolist()
    assert read.biases.values.tolist() == code.biases.values.tolist()
    assert serialize(read) == data
    parsed = reference.parse(data)
    assert (parsed["kind"], parsed["channels"]) == ("image", code.channels)
    assert (parsed["pixels_wide"], parsed["pixels_high"]) == (code.width, code.height)
    assert parsed["shapes"] == code.architecture.layer_shapes
    assert parsed["latent"] == code.latent.values.tolist()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_independent_decoder_gives_the_same_weights_and_pixels(channels):
    architecture = Architecture(
        width=6, depth=2, octaves=3, partition=Partition.whole(2), out_dim=channels
    )
    rng = np.random.default_rng(channels)
    latent = rng.integers(-20, 21, 30)
    biases = rng.integers(-9, 10, architecture.bias_count)
    code = image_code(
        architecture=architecture,
        latent=ParameterGroup(latent, 160, choose_model(latent)),
        biases=ParameterGroup(biases, 150, choose_model(biases)),
        width=21,
        height=13,
    )
    parsed = reference.parse(serialize(code))
    field = ImageField(code, "cpu")
    for found, wanted in zip(field.weights.matrices, reference.weights(parsed)[0], strict=True):
        assert np.array_equal(found.numpy(), wanted)
    pixels = field.pixels()
    assert pixels.shape == (13, 21, channels)
    assert pixels.std() > 5
    difference = pixels.astype(int) - reference.pixels(parsed).astype(int)
    assert np.abs(difference).max() <= 1


def test_the_wrong_kind_is_named(tmp_path, meshes_folder):
    path = tmp_path / "image.doh"
    path.write_bytes(serialize(image_code()))
    with pytest.raises(FormatError, match="holds an image; use doh3d image decompress"):
        parse(path.read_bytes())
    with pytest.raises(FormatError, match=r"image\.doh: holds an image; use"):
        read_code(path)
    golden = meshes_folder.parent / "tests" / "golden" / "hadamard.hex"
    path.write_bytes(bytes.fromhex(golden.read_text()))
    with pytest.raises(FormatError, match="holds a shape; use doh3d decompress"):
        load_image(path, "cpu")
    assert parse_signal(path.read_bytes(), DEFAULT_LIMITS, SignalCode).held == "a shape"


@pytest.mark.parametrize("bit", [1, 2, 3, 4, 5, 7])
def test_an_image_has_no_features_of_a_shape(bit):
    features = 0x14 << 7 | 1 << bit
    data = changed(FEATURES, bytes([features & 127 | 128, features >> 7]))
    with pytest.raises(FormatError, match=f"feature {bit} is unknown of an image; it must be 0"):
        parse_image(data)
    with pytest.raises(ValueError, match="feature"):
        reference.parse(data)


# Of the image with cells, whose cuts come last in the header.
LEVELS = SIZES + 4


def image_code_with_cells(**changes):
    """The same in two cells, left and right, of two networks."""
    box = image_box(5, 3)
    code = image_code()
    architecture = replace(code.architecture, partition=Partition(*box, ((0, 40),)))
    biases = grouped(
        [1, -1, 0, 2, 0, -3, 4, 0, 1, 5, -2, 3, -6, 1, 0, 2, 7, -1], 150, Family.GAUSSIAN, 42
    )
    return replace(code, architecture=architecture, biases=biases, **changes)


def changed_cells(position, new, length=None):
    body = serialize(image_code_with_cells())[:-4]
    length = len(new) if length is None else length
    return with_checksum(body[:position] + new + body[position + length :])


def test_the_header_of_an_image_with_cells():
    code = image_code_with_cells()
    data = serialize(code)
    header = HEADER.replace(" ", "").replace("8014", "c014")
    assert data[: LEVELS + 2].hex() == header + "0128"
    assert section_sizes(code)["header"] == 23
    read = parse_image(data)
    assert read.architecture == code.architecture
    assert read.biases.values.tolist() == code.biases.values.tolist()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed_cells(LEVELS, b"\0"), "cells have 0 levels"),
        (changed_cells(LEVELS, b"\7"), "cells have 7 levels"),
        (changed_cells(LEVELS + 1, b"\x40"), "cut's position is 0; it must be 1 to 63"),
        (changed_cells(LEVELS + 1, b"\xa0"), "cut's axis is 2; it must be 0 to 1"),
        (changed_cells(LEVELS, b"\5" + b"\x3f" * 31, 2), "cell 31 is too thin"),
        (with_checksum(serialize(image_code_with_cells())[: LEVELS + 1]), "truncated"),
        (changed_cells(WIDTH, b"\xff\x0f"), "cells' networks have 1837568 weights; at most 941568"),
    ],
    ids=["levels 0", "levels 7", "position", "axis", "thin", "cut short", "weights"],
)
def test_bad_cells_are_named(data, message):
    with pytest.raises(FormatError, match=message):
        parse_image(data)
    with pytest.raises(ValueError, match=r"\w"):
        reference.parse(data)


def test_cells_of_another_image_are_not_written():
    with pytest.raises(ConfigError, match="cells are not those of the image"):
        serialize(image_code_with_cells(width=6))


@pytest.mark.parametrize("code", [image_code(), image_code_with_cells()], ids=["one", "cells"])
def test_damage_is_an_error_or_another_file(code):
    body = serialize(code)[:-4]
    for position in range(4, len(body)):
        for mask in (1, 4, 128, 255):
            flipped = body[:position] + bytes([body[position] ^ mask]) + body[position + 1 :]
            try:
                other = parse_signal(with_checksum(flipped), DEFAULT_LIMITS, SignalCode)
            except FormatError:
                continue
            assert serialize(other)
    for length in range(len(body)):
        with pytest.raises(FormatError):
            parse_image(body[:length])


def test_more_pixels_only_when_asked_to():
    data = changed(SIZES, struct.pack("<HH", 65535, 65535))
    message = r"the image has 65536 x 65536 pixels; at most 16777216 .*--allow-large"
    with pytest.raises(FormatError, match=message):
        parse_image(data)
    assert parse_image(data, Limits.of_format()).width == 65536
    assert parse_image(changed(SIZES, struct.pack("<HH", 4095, 4095))).height == 4096


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width is 0; it must be 1 to 65536"),
        ({"height": 65537}, "height is 65537"),
        ({"architecture": Architecture(width=3, depth=2, octaves=1)}, "2 numbers and give 1 or 3"),
    ],
)
def test_what_no_file_can_carry(changes, message):
    code = image_code(**changes)
    code = replace(code, biases=grouped([0] * code.architecture.bias_count, 1, Family.GAUSSIAN, 0))
    with pytest.raises(ConfigError, match=message):
        serialize(code)


def test_description():
    found = describe(image_code())
    assert found["signal"] == "image"
    assert found["network"]["cells"] == 1
    assert describe(image_code_with_cells())["network"]["cells"] == 2
    assert found["image"]["width"] == 5
    assert found["image"]["channels"] == 3
    assert found["image"]["bpp"] == pytest.approx(8 * found["bytes"] / 15)
    assert "transform" not in found
