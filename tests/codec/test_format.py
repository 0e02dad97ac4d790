"""The package against a decoder that was written from docs/format.md alone."""

import math
import zlib
from dataclasses import replace
from functools import partial
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

import reference_decoder as reference
from doh3d.codec.container import parse, parse_signal, serialize
from doh3d.codec.entropy import Family, SymbolModel, choose_model
from doh3d.codec.extras import NO_EXTRAS, Extras
from doh3d.codec.image_code import ImageCode, image_box
from doh3d.codec.quantization import MAX_QUANTIZED, STEPS, grade_factors, nearest_step_index
from doh3d.codec.shape_code import ShapeCode, shape_box
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.errors import FormatError
from doh3d.field import OccupancyField
from doh3d.geometry.rotation import LARGEST_COMPONENT, NO_FRAME
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork import projection
from doh3d.hypernetwork.architecture import Activation, Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.images.field import ImageField
from doh3d.limits import Limits

# Above this the slow decoder takes seconds.
SLOW_COUNT = 5000


def with_checksum(body):
    return body + zlib.crc32(body).to_bytes(4, "little")


@st.composite
def architectures(draw, max_octaves=15, max_omega=255):
    activation = draw(st.sampled_from(get_args(Activation)))
    return Architecture(
        width=draw(st.integers(1, 5)),
        depth=draw(st.integers(1, 3)),
        octaves=draw(st.integers(0, 2) | st.integers(0, max_octaves)),
        activation=activation,
        omega=draw(st.integers(1, max_omega)) if activation == "sine" else 0,
        mirrored=tuple(sorted(draw(st.sets(st.integers(0, 2))))),
    )


def fixed_length(values):
    """The least bits that hold the values in two's complement."""
    return max(
        2, *(int(v).bit_length() + 1 if v >= 0 else int(~v).bit_length() + 1 for v in values)
    )


@st.composite
def quantized_groups(draw, min_count, max_count, steps=None):
    limit = min(2 ** draw(st.integers(0, 15)), MAX_QUANTIZED)
    levels = st.integers(-limit, limit)
    if draw(st.booleans()):  # some values far out, hence escapes
        levels = levels | st.integers(-MAX_QUANTIZED, MAX_QUANTIZED)
    values = np.array(
        draw(st.lists(levels, min_size=min_count, max_size=max_count)), dtype=np.int64
    )
    family = draw(st.sampled_from([f for f in Family if f != Family.RAW_FLOAT32]))
    graded = family > Family.GAUSSIAN
    if graded:
        values = values // grade_factors(len(values)).astype(int)
        values = values * grade_factors(len(values)).astype(int)
        values[values < -MAX_QUANTIZED] = 0
    if family == Family.FIXED_LENGTH:
        model = SymbolModel(family, draw(st.integers(fixed_length(values), 16)))
    elif draw(st.booleans()):
        model = choose_model(values, graded=graded)
    else:
        model = SymbolModel(family, draw(st.integers(0, 143 if graded else 159)))
    step_index = draw(st.integers(0, 255)) if steps is None else steps(values)
    return ParameterGroup(values, step_index, model)


@st.composite
def raw_groups(draw, min_count, max_count, limit=None):
    numbers = st.floats(
        width=32,
        allow_nan=False,
        allow_infinity=False,
        min_value=None if limit is None else -limit,
        max_value=limit,
    )
    values = draw(st.lists(numbers, min_size=min_count, max_size=max_count))
    model = SymbolModel(Family.RAW_FLOAT32, 0)
    return ParameterGroup(np.array(values, dtype=np.float32), 0, model)


@st.composite
def transforms(draw):
    """Of every form: on a lattice, or any float64."""
    frame = draw(frames())
    if draw(st.booleans()):
        exponent = draw(st.integers(-128, 127))
        scale = math.ldexp(draw(st.integers(256, 511)), exponent - 8)
        bits, halvings = draw(st.sampled_from([(15, 7), (23, 15), (31, 15)]))
        steps = [draw(st.integers(-(2**bits), 2**bits - 1)) for _ in range(3)]
        return NormalizingTransform(
            tuple(math.ldexp(number, exponent - halvings) for number in steps), scale, frame
        )
    numbers = st.floats(-(2.0**1021), 2.0**1021)
    scale = draw(st.floats(0, 2.0**1021, exclude_min=True))
    return NormalizingTransform(draw(st.tuples(numbers, numbers, numbers)), scale, frame)


def frames():
    numbers = st.integers(-LARGEST_COMPONENT, LARGEST_COMPONENT)
    return st.just(NO_FRAME) | st.tuples(numbers, numbers, numbers)


@st.composite
def partitions(draw, box, levels, positions=(1, 63)):
    """Cuts anywhere: few enough that no cell is too thin."""
    cuts = st.tuples(st.integers(0, len(box[0]) - 1), st.integers(*positions))
    count = 2 ** draw(levels) - 1
    return Partition(*box, tuple(draw(st.lists(cuts, min_size=count, max_size=count))))


def extras():
    side = st.integers(1, 65536)
    number = st.floats(allow_nan=False, allow_infinity=False)
    letter = st.characters(exclude_categories=["Cc", "Cs"])
    return st.builds(
        Extras,
        lattice=st.none() | st.tuples(side, side, side),
        affine=st.none() | st.tuples(*[st.tuples(*[number] * 4)] * 3),
        label=st.none() | st.integers(1 - 2**53, 2**53 - 1),
        name=st.none() | st.text(letter, min_size=1, max_size=60),
        unknown=st.dictionaries(st.integers(5, 2**21 - 1), st.binary(max_size=200), max_size=3).map(
            lambda fields: tuple(sorted(fields.items()))
        ),
    )


@st.composite
def codes(draw, raw=True, max_latents=40):
    architecture = draw(architectures())
    extents = draw(st.tuples(*[st.integers(0, 31)] * 3))
    if draw(st.integers(0, 2)) == 0:
        box = shape_box(extents, architecture.mirrored)
        partition = draw(partitions(box, st.integers(1, 2)))
        architecture = replace(architecture, partition=partition)
    count = architecture.bias_count
    latents, biases = quantized_groups(1, max_latents), quantized_groups(count, count)
    if raw and draw(st.integers(0, 3)) == 0:
        latents = raw_groups(1, max_latents)
    if raw and draw(st.integers(0, 3)) == 0:
        biases = raw_groups(count, count)
    return ShapeCode(
        architecture=architecture,
        dense_projection=draw(st.booleans()),
        seed=draw(st.integers(0, 65535)),
        transform=draw(transforms()),
        extents=extents,
        latent=draw(latents),
        biases=draw(biases),
        extras=draw(st.just(NO_EXTRAS) | extras()),
    )


def assert_same_content(code, parsed):
    """Every field of a file, as the package and as the reference read it."""
    architecture = code.architecture
    assert parsed["projection"] == ("dense" if code.dense_projection else "hadamard")
    assert parsed["activation"] == architecture.activation
    assert parsed["hidden_layers"] == architecture.depth
    assert parsed["octaves"] == architecture.octaves
    assert parsed["width"] == architecture.width
    assert (parsed["omega"] or 0) == architecture.omega
    assert parsed["shapes"] == architecture.layer_shapes
    assert parsed["cuts"] == list(architecture.partition.cuts)
    assert parsed["seed"] == code.seed
    if isinstance(code, ImageCode):
        assert (parsed["kind"], parsed["channels"]) == ("image", code.channels)
        assert (parsed["pixels_wide"], parsed["pixels_high"]) == (code.width, code.height)
    else:
        assert parsed["kind"] == "occupancy"
        assert parsed["extents"] == code.extents
        assert parsed["centre"] == code.transform.centre
        assert parsed["scale"] == code.transform.scale
        assert (parsed["frame"] or NO_FRAME) == code.transform.frame
        assert parsed["form"] == code.transform.form
    assert parsed["fields"] == {
        number: content
        for number, content in (
            *enumerate((*vars(code.extras).values(),)[:4], start=1),
            *code.extras.unknown,
        )
        if content is not None
    }
    for name, group, values in (("latent", code.latent, "latent"), ("bias", code.biases, "biases")):
        assert parsed[f"{name}_family"] == group.model.family
        assert parsed[f"{name}_parameter"] == group.model.parameter
        assert parsed[f"{name}_step"] == group.step_index
        assert parsed[values] == group.values.tolist()


def bits(array):
    return np.asarray(array, dtype=np.float32).view(np.uint32).tolist()


def assert_same_weights(field, matrices, biases):
    assert len(field.weights.matrices) == len(matrices)
    for found, expected in zip(field.weights.matrices, matrices, strict=True):
        assert found.shape == expected.shape
        assert bits(found.numpy()) == bits(expected)
    for found, expected in zip(field.weights.biases, biases, strict=True):
        assert found.shape == expected.shape
        assert bits(found.numpy()) == bits(expected)


@given(code=codes())
@settings(deadline=None, max_examples=200)
def test_files_say_the_same_to_both(code):
    parsed = reference.parse(serialize(code))
    assert_same_content(code, parsed)
    assert_same_content(parse(serialize(code)), parsed)


@given(code=codes(raw=False))
@settings(deadline=None, max_examples=100)
def test_weights_are_the_same_to_the_bit(code):
    parsed = reference.parse(serialize(code))
    assert_same_weights(OccupancyField(code, "cpu"), *reference.weights(parsed))


@pytest.mark.parametrize("dense", [False, True])
def test_sums_beyond_float32_round_alike(dense):
    # Levels with the signs of the first weight's row, so that its sum exceeds 2^24, where
    # float32 no longer holds every integer.
    seed, count = 65535, 900
    if dense:
        signs = [reference.Words(seed, 0, 3).sign(j) for j in range(count)]
    else:
        words = reference.Words(seed, 0, 1)
        row = min(range(1024), key=lambda j: (words.word(j), j))
        flips = reference.Words(seed, 0, 0)
        signs = [flips.sign(j) * (-1) ** (row & j).bit_count() for j in range(count)]
    levels = np.random.default_rng(5).integers(30000, MAX_QUANTIZED, count, endpoint=True)
    levels[0] += levels.sum() % 2 - 1  # an odd sum
    levels *= signs
    code = ShapeCode(
        architecture=Architecture(width=7, depth=2, octaves=1),
        dense_projection=dense,
        seed=seed,
        transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
        extents=(31, 31, 31),
        latent=ParameterGroup(levels, 101, choose_model(levels)),
        biases=ParameterGroup(np.arange(15), 77, choose_model(np.arange(15))),
    )
    parsed = reference.parse(serialize(code))
    project = partial(reference.dense, layer=0) if dense else reference.hadamard
    sums = project(parsed["seed"], latent=parsed["latent"], count=63)
    assert abs(sums[0]) == abs(levels).sum() > 2**24
    assert int(np.float32(sums[0])) != sums[0]
    assert_same_weights(OccupancyField(code, "cpu"), *reference.weights(parsed))


@pytest.mark.parametrize("dense", [False, True])
def test_weights_made_piece_by_piece_are_the_same(monkeypatch, dense):
    # As for a large latent, whose weights take more than one piece.
    monkeypatch.setattr(projection, "_DENSE_CHUNK_ENTRIES", 64)
    monkeypatch.setattr(projection, "_EXACT_CHUNK_ENTRIES", 64)
    levels = np.arange(-9, 12)
    code = ShapeCode(
        architecture=Architecture(width=9, depth=2, octaves=1),
        dense_projection=dense,
        seed=300,
        transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
        extents=(31, 31, 31),
        latent=ParameterGroup(levels, 160, choose_model(levels)),
        biases=ParameterGroup(np.arange(19), 160, choose_model(np.arange(19))),
    )
    expected = reference.weights(reference.parse(serialize(code)))
    assert_same_weights(OccupancyField(code, "cpu"), *expected)


def unit_step(values):
    """A step with which the values have a norm of about 1."""
    return nearest_step_index(1 / max(1.0, float(np.linalg.norm(values))))


@given(
    data=st.data(),
    architecture=architectures(max_octaves=4, max_omega=40),
    dense=st.booleans(),
    seed=st.integers(0, 65535),
    extents=st.tuples(*[st.integers(0, 31)] * 3),
    centre=st.tuples(*[st.floats(-100, 100, width=32)] * 3),
    scale=st.integers(128, 255),
    frame=frames(),
    raw=st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_logits_agree(data, architecture, dense, seed, extents, centre, scale, frame, raw):
    count = architecture.bias_count
    if raw:
        latent = data.draw(raw_groups(1, 30, limit=0.5))
        biases = data.draw(raw_groups(count, count, limit=0.5))
    else:
        latent = data.draw(quantized_groups(1, 30, unit_step))
        biases = data.draw(quantized_groups(count, count, unit_step))
    transform = NormalizingTransform(centre, scale, frame=frame)
    code = ShapeCode(
        architecture=architecture,
        dense_projection=dense,
        seed=seed,
        transform=transform,
        extents=extents,
        latent=latent,
        biases=biases,
    )
    parsed = reference.parse(serialize(code))

    half = (np.array(parsed["extents"]) + 1) / 32
    normalized = half * np.random.default_rng(seed).uniform(-1.1, 1.1, (50, 3))
    assert reference.rotation(parsed) == code.transform.rotation.tolist()
    world = reference.to_world(parsed, normalized)
    found = OccupancyField(code, "cpu").logits(world)
    expected = reference.logits(parsed, normalized)
    inside = (np.abs(normalized) <= half).all(axis=1)
    assert (found[~inside] == -np.inf).all()
    tolerance = 1e-4 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found[inside], expected[inside], rtol=0, atol=tolerance)


def near_cuts(partition, points):
    """The points, some moved to the plane of a cut, and some to just below it."""
    points = points.astype(np.float32)
    for row, ((axis, _), at) in enumerate(zip(partition.cuts, partition.thresholds, strict=True)):
        points[2 * row : 2 * row + 2, axis] = at, np.nextafter(at, np.float32(-1))
    return points


def assert_close(found, expected):
    # A place in a cell is off by as much more than a point as the cell is smaller than the box.
    tolerance = 1e-3 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@given(
    data=st.data(),
    architecture=architectures(max_octaves=3, max_omega=20),
    dense=st.booleans(),
    seed=st.integers(0, 65535),
    extents=st.tuples(*[st.integers(0, 31)] * 3),
)
@settings(deadline=None, max_examples=100)
def test_logits_of_cells_agree(data, architecture, dense, seed, extents):
    box = shape_box(extents, architecture.mirrored)
    partition = data.draw(partitions(box, st.integers(1, 3), (12, 52)))
    architecture = replace(architecture, partition=partition)
    count = architecture.bias_count
    rng = np.random.default_rng(seed)
    latent = data.draw(quantized_groups(1, 30, unit_step))
    levels = rng.integers(-20, 21, count)
    code = ShapeCode(
        architecture=architecture,
        dense_projection=dense,
        seed=seed,
        transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
        extents=extents,
        latent=latent,
        biases=ParameterGroup(levels, unit_step(levels), choose_model(levels)),
    )
    parsed = reference.parse(serialize(code))
    half = (np.array(extents) + 1) / 32
    points = near_cuts(partition, half * rng.uniform(-1, 1, (60, 3)))
    field = OccupancyField(code, "cpu")
    assert_same_weights(field, *reference.weights(parsed))
    assert_close(field.normalized_logits(points), reference.logits(parsed, points))


@given(data=st.data(), seed=st.integers(0, 65535), grey=st.booleans())
@settings(deadline=None, max_examples=60)
def test_values_of_images_with_cells_agree(data, seed, grey):
    width, height = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    box = image_box(width, height)
    architecture = Architecture(
        width=data.draw(st.integers(1, 5)),
        depth=data.draw(st.integers(1, 3)),
        octaves=data.draw(st.integers(0, 3)),
        out_dim=1 if grey else 3,
        partition=data.draw(partitions(box, st.integers(1, 3), (12, 52))),
    )
    rng = np.random.default_rng(seed)
    groups = []
    for count in (30, architecture.bias_count):
        levels = rng.integers(-20, 21, count)
        groups.append(ParameterGroup(levels, unit_step(levels), choose_model(levels)))
    code = ImageCode(
        architecture=architecture,
        dense_projection=False,
        seed=seed,
        latent=groups[0],
        biases=groups[1],
        width=width,
        height=height,
    )
    parsed = reference.parse(serialize(code))
    assert_same_content(parse_signal(serialize(code), Limits.of_format(), ImageCode), parsed)
    field = ImageField(code, "cpu")
    assert_same_weights(field, *reference.weights(parsed))
    points = near_cuts(architecture.partition, np.array(box[1]) * rng.uniform(-1, 1, (40, 2)))
    assert_close(field.values(points), reference.network(parsed, points.astype(np.float64)))
    difference = field.pixels().astype(int) - reference.pixels(parsed).astype(int)
    assert np.abs(difference).max() <= 1


@given(levels=st.lists(st.integers(-100, 100), min_size=1, max_size=20), index=st.integers(0, 255))
@settings(deadline=None)
def test_step_is_what_level_one_stands_for(levels, index):
    assert reference.step(index) == STEPS[index]
    group = ParameterGroup(np.array(levels), index, choose_model(np.array(levels)))
    assert group.step == reference.step(index)


@st.composite
def damaged_files(draw):
    """Files with a few bytes of the body changed, inserted or deleted, and a right checksum."""
    body = bytearray(serialize(draw(codes(max_latents=12)))[:-4])
    for _ in range(draw(st.integers(1, 3))):
        # Half of the damage to the header, where most rules are.
        last = draw(st.sampled_from([38, len(body)]))
        position = draw(st.integers(4, min(last, len(body)) - 1))
        kind = draw(st.sampled_from(["replace", "flip", "insert", "delete", "append", "cut"]))
        byte = draw(st.integers(0, 255))
        if kind == "replace":
            body[position] = byte
        elif kind == "flip":
            body[position] ^= 1 << byte % 8
        elif kind == "insert":
            body.insert(position, byte)
        elif kind == "delete":
            del body[position]
        elif kind == "append":
            body += bytes([byte]) * draw(st.integers(1, 12))
        elif kind == "cut" and len(body) > 8:
            del body[-draw(st.integers(1, 4)) :]
    return with_checksum(bytes(body))


@pytest.mark.slow
@given(data=damaged_files())
@settings(deadline=None, max_examples=200)
def test_damaged_files_are_judged_alike(data):
    try:
        header = reference.parse_header(data)
        assume(max(header["n"], header["bias_count"]) <= SLOW_COUNT)
        parsed = reference.parse(data)
    except ValueError as error:
        event(f"rejected: {error}")
        with pytest.raises(FormatError):
            parse_signal(data, Limits.of_format(), SignalCode)
    else:
        event(f"accepted: {parsed['kind']}")
        assert_same_content(parse_signal(data, Limits.of_format(), SignalCode), parsed)
