"""Whatever a file can hold is read back as it was written, and written again as the same bytes."""

from dataclasses import replace
from typing import get_args

import numpy as np
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from doh3d.codec.container import parse, section_sizes, serialize
from doh3d.codec.entropy import Family, SymbolModel, choose_model
from doh3d.codec.quantization import grade_factors
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup
from doh3d.geometry.rotation import LARGEST_COMPONENT, NO_FRAME
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Activation, Architecture
from doh3d.limits import MAX_DENSE_FILE_ENTRIES, MAX_LATENTS, Limits

# Where the length of the latent's number of bytes, or of a Hadamard block, changes.
LENGTHS = st.integers(1, 300) | st.sampled_from([127, 128, 1024, 1025, 16383, 16384, 40_000])


@st.composite
def architectures(draw):
    activation = draw(st.sampled_from(get_args(Activation)))
    return Architecture(
        width=draw(st.integers(1, 256)),
        depth=draw(st.integers(1, 15)),
        octaves=draw(st.integers(0, 15)),
        activation=activation,
        omega=draw(st.integers(1, 255)) if activation == "sine" else 0,
        mirrored=tuple(sorted(draw(st.sets(st.integers(0, 2))))),
    )


@st.composite
def groups(draw, count):
    """Values of any family: too many to draw one by one, so from a generator."""
    family = draw(st.sampled_from(Family))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if family == Family.RAW_FLOAT32:
        # Any bits but those of infinities and NaN.
        bits = rng.integers(0, 2**32, count, dtype=np.uint32)
        values = bits.view(np.float32)
        values = np.where(np.isfinite(values), values, np.float32(-0.0))
        return ParameterGroup(values, 0, SymbolModel(family, 0))
    bits = draw(st.integers(2, 16))
    limit = 2 ** (bits - 1) - 1
    values = rng.integers(-limit, limit + 1, count)
    if draw(st.booleans()):
        values = np.clip(np.rint(rng.laplace(0, limit / 20 + 0.1, count)), -limit, limit)
    values = values.astype(np.int64)
    graded = family > Family.GAUSSIAN
    if graded:
        factors = grade_factors(count).astype(np.int64)
        # Towards zero: -32767 // 4 * 4 would be a level that no file carries.
        values = np.trunc(values / 4).astype(np.int64) * factors
    if family == Family.FIXED_LENGTH:
        model = SymbolModel(family, draw(st.integers(bits, 16)))
    elif draw(st.booleans()):
        model = choose_model(values, graded=graded)
    else:
        model = SymbolModel(family, draw(st.integers(0, 143 if graded else 159)))
    return ParameterGroup(values, draw(st.integers(0, 255)), model)


@st.composite
def transforms(draw):
    """As they are, or rounded as those of files are."""
    numbers = st.floats(-(2.0**1021), 2.0**1021)
    scale = draw(st.floats(0, 2.0**1021, exclude_min=True))
    if draw(st.booleans()):
        scale = draw(st.floats(1e-30, 1e30))
        numbers = st.floats(-1000, 1000).map(lambda number: number * scale)
    component = st.integers(-LARGEST_COMPONENT, LARGEST_COMPONENT)
    frame = draw(st.just(NO_FRAME) | st.tuples(component, component, component))
    transform = NormalizingTransform(draw(st.tuples(numbers, numbers, numbers)), scale, frame)
    event(f"form {transform.form}")
    return transform.rounded(finely=draw(st.booleans())) if draw(st.booleans()) else transform


@st.composite
def codes(draw):
    architecture = draw(architectures())
    n = draw(LENGTHS)
    small_enough = n * architecture.weight_count <= MAX_DENSE_FILE_ENTRIES
    return ShapeCode(
        architecture=architecture,
        dense_projection=small_enough and draw(st.booleans()),
        seed=draw(st.integers(0, 2**16 - 1)),
        transform=draw(transforms()),
        extents=draw(st.tuples(*[st.integers(0, 31)] * 3)),
        latent=draw(groups(n)),
        biases=draw(groups(architecture.bias_count)),
    )


def longest(family, parameter):
    """A code of as many latents as the format allows."""
    latent = ParameterGroup(
        np.arange(MAX_LATENTS, dtype=np.int64) % 3 - 1, 7, SymbolModel(family, parameter)
    )
    return ShapeCode(
        architecture=Architecture(width=1, depth=1, octaves=0),
        dense_projection=False,
        seed=0,
        transform=NormalizingTransform((0.0, 0.0, -0.0), 1.0),
        extents=(0, 31, 0),
        latent=latent,
        biases=replace(latent, values=latent.values[:2]),
    )


@given(code=codes())
@example(code=longest(Family.FIXED_LENGTH, 2))
@example(code=longest(Family.GENERALIZED_GAUSSIAN_0_75, 159))
@settings(deadline=None, max_examples=100)
def test_what_is_written_is_read(code):
    data = serialize(code)
    event(f"latent {code.latent.model.family.name}")
    event(f"biases {code.biases.model.family.name}")
    read = parse(data, Limits.of_format())
    assert replace(read, latent=None, biases=None) == replace(code, latent=None, biases=None)
    for found, expected in ((read.latent, code.latent), (read.biases, code.biases)):
        assert (found.step_index, found.model) == (expected.step_index, expected.model)
        assert found.values.dtype == expected.values.dtype
        assert found.values.tobytes() == expected.values.tobytes()
    assert serialize(read) == data
    assert sum(section_sizes(code).values()) == len(data)
