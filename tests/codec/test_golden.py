"""Golden files: each goes on decoding, to the same weights, in every release from version 1 on."""

import json

import numpy as np
import pytest

import reference_decoder as reference
from doh3d.codec.container import parse_signal, serialize
from doh3d.codec.entropy import Family
from doh3d.codec.extras import NO_EXTRAS
from doh3d.codec.frame import Feature
from doh3d.codec.header import header_fields
from doh3d.codec.image_code import ImageCode
from doh3d.codec.inspection import describe
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import SignalCode
from doh3d.field import OccupancyField
from doh3d.images.field import ImageField
from doh3d.limits import DEFAULT_LIMITS
from golden_files import DIGESTS, FOLDER, golden_codes, path_of, weight_digest

CODES = golden_codes()
PINNED = json.loads(DIGESTS.read_text())


def golden(name):
    return bytes.fromhex(path_of(name, CODES[name]).read_text())


def test_every_code_has_a_file_and_a_digest():
    files = {path.stem for path in FOLDER.rglob("*.hex")}
    assert files == set(CODES) == set(PINNED)


@pytest.mark.parametrize("name", CODES)
def test_the_encoder_writes_the_golden_files(name):
    assert serialize(CODES[name]).hex() == golden(name).hex()


@pytest.mark.parametrize("name", CODES)
def test_golden_files_are_read_and_written_again(name):
    data, code = golden(name), CODES[name]
    read = parse_signal(data, DEFAULT_LIMITS, SignalCode)
    assert type(read) is type(code)
    assert read.extras == code.extras
    assert read.architecture == code.architecture
    assert read.latent.values.tolist() == code.latent.values.tolist()
    assert read.biases.values.tolist() == code.biases.values.tolist()
    assert serialize(read) == data


@pytest.mark.parametrize("name", CODES)
def test_golden_weights_are_pinned(name):
    code = parse_signal(golden(name), DEFAULT_LIMITS, SignalCode)
    assert weight_digest(code) == PINNED[name]
    weights = (ImageField if isinstance(code, ImageCode) else OccupancyField)(code, "cpu").weights
    matrices, biases = reference.weights(reference.parse(golden(name)))
    for found, expected in zip(
        (*weights.matrices, *weights.biases), (*matrices, *biases), strict=True
    ):
        assert found.numpy().tobytes() == np.asarray(expected, "<f4").tobytes()


def features_of(code):
    packed = dict(header_fields(code)).get("features", b"\0")
    return sum((byte & 127) << 7 * place for place, byte in enumerate(packed))


def test_every_feature_has_a_golden_file():
    shapes = [code for code in CODES.values() if isinstance(code, ShapeCode)]
    images = [code for code in CODES.values() if isinstance(code, ImageCode)]
    for codes, own in ((shapes, 0b1111), (images, 0b1)):
        features = [features_of(code) for code in codes]
        assert 0 in features
        union = np.bitwise_or.reduce(features)
        assert union & own == own
        # Without layers of images, which are always told.
        expected = sum(Feature) if codes is shapes else sum(Feature) & ~Feature.LAYERS
        if codes is images:
            expected &= ~Feature.EXTRAS
        assert union & expected == expected
    assert {code.transform.form for code in shapes} == {0, 1, 2, 3}
    groups = [group for code in CODES.values() for group in (code.latent, code.biases)]
    assert {group.model.family for group in groups} == set(Family)
    assert {code.architecture.activation for code in shapes} == {"relu", "smooth", "sine"}
    fields = [code.extras for code in shapes if code.extras != NO_EXTRAS]
    assert all(vars(fields[0]).values())


def test_the_optional_fields_are_read_by_the_reference_too():
    extras = CODES["extras"].extras
    assert reference.parse_header(golden("extras"))["fields"] == {
        1: extras.lattice,
        2: extras.affine,
        3: extras.label,
        4: extras.name,
        200: b"\x01\x02\x03",
    }


def test_the_optional_fields_are_described():
    assert describe(CODES["extras"])["extras"] == {
        "name": "Leber, größter Lappen 肝",
        "label": -12,
        "lattice": [512, 128, 77],
        "spacing": [0.7, 0.7, 2.5],
        "affine": [list(row) for row in CODES["extras"].extras.affine],
        "unknown": {"200": 3},
    }
    assert "extras" not in describe(CODES["standard"])
    assert describe(CODES["mirrored"])["transform"]["bytes"] == 11
