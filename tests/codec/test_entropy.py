import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_decoder as reference
from doh3d.codec import entropy
from doh3d.codec.entropy import (
    Family,
    SymbolModel,
    choose_model,
    code_length_bits,
    decode_groups,
    encode_groups,
    frequency_tables,
)
from doh3d.codec.entropy import fits as model_fits
from doh3d.errors import FormatError

ROOT = Path(__file__).parents[2]
TABLE_FAMILIES = [f for f in Family if Family.FIXED_LENGTH < f <= Family.GAUSSIAN]
GRADED_FAMILIES = [f for f in Family if f > Family.GAUSSIAN]
FIXED_LENGTH, LAPLACE, GAUSSIAN = Family.FIXED_LENGTH, Family.LAPLACE, Family.GAUSSIAN
GG_0_75, GG_1_5 = Family.GENERALIZED_GAUSSIAN_0_75, Family.GENERALIZED_GAUSSIAN_1_5

# Groups and the stream that they are coded as: from version 1 on, for ever.
PINNED = {
    "fixed length": ([([-8, 7, 0, 3, -1], FIXED_LENGTH, 4)], "0f8b70"),
    "Laplace": ([([0, 1, -1, 2, -3, 0, 0, 5, -8, 1], LAPLACE, 40)], "8fb622a8a6"),
    "Gaussian": ([([4, -3, 0, 1, 2, -2, 9, -7, 3, 3], GAUSSIAN, 48)], "d2b50fdbd873"),
    "escapes": (
        [([127, -127, 128, -128, 129, 32767, -32767, 0], GG_0_75, 60)],
        "ffffad00009efff86203d7d5ffffc8df25d4e16f9ce0ca2aa7a5a5",
    ),
    "shift": (
        [([1000, -1000, 1, 0, -1, 5555, -4096, 512], GG_1_5, 120)],
        "b40715d7805e5d1cad58549ba8bb",
    ),
    "largest shift": ([([32767, -32767, 0, 12345], GAUSSIAN, 159)], "b3c69e955a5804e751"),
    "narrow": ([([0] * 50 + [1] + [0] * 50, LAPLACE, 8)], "eb07"),
    "two groups": ([([3, -3, 300], LAPLACE, 35), ([1, -2, 1], FIXED_LENGTH, 2)], "f7cd1d702cdcc3"),
    "most likely": ([([0] * 20, GAUSSIAN, 0)], "01"),
    "graded": (
        [
            (
                [4, -8, 0, 12, -24, 8, -4, 0, 40, 2, -6, 10, 0, -14, 2, 9, -17],
                Family.GRADED_LAPLACE,
                40,
            )
        ],
        "ac8052995672e73d0d3f",
    ),
    "one graded": ([([-20], Family.GRADED_GAUSSIAN, 50)], "20"),
    "graded shift": (
        [
            (
                [4000, -4096, 512, 8, -5554, 32766, 2, -32767],
                Family.GRADED_GENERALIZED_GAUSSIAN_1_5,
                110,
            )
        ],
        "e30ccec661095313c36d9780332ba2000000c5f6dc",
    ),
}


def group(levels, family, parameter):
    return np.array(levels, dtype=np.int64), SymbolModel(family, parameter)


def fits(values, bits):
    return all(-(2 ** (bits - 1)) <= v < 2 ** (bits - 1) for v in values)


@st.composite
def groups(draw, max_size=60):
    limit = min(2 ** draw(st.integers(0, 15)), 32767)
    levels = st.integers(-limit, limit)
    if draw(st.booleans()):
        levels = levels | st.integers(-32767, 32767)
    values = draw(st.lists(levels, min_size=1, max_size=max_size))
    if draw(st.booleans()):
        least = next(bits for bits in range(2, 17) if fits(values, bits))
        return group(values, FIXED_LENGTH, draw(st.integers(least, 16)))
    if draw(st.booleans()):
        family = draw(st.sampled_from(GRADED_FAMILIES))
        return group(coarsened(values), family, draw(st.integers(0, 143)))
    parameter = draw(st.integers(0, 159))
    return group(values, draw(st.sampled_from(TABLE_FAMILIES)), parameter)


def coarsened(values):
    """Drop the binary places that a graded group's values lack."""
    count = len(values)
    factors = [4] * (count - count // 2) + [2] * (count // 2 - count // 8) + [1] * (count // 8)
    return [int(v / factor) * factor for v, factor in zip(values, factors, strict=True)]


def decoded_by_reference(stream, described):
    decoder = reference.RangeDecoder(stream)
    values = [
        reference.decode_group(decoder, model.family, model.parameter, count)
        for count, model in described
    ]
    decoder.finish()
    return values


def symbols_of(values, model):
    """(C_k, C_(k+1)) of each symbol, by the document's steps 1 to 3."""
    if model.family in GRADED_FAMILIES:
        count, begin, intervals = len(values), 0, []
        for part, end in enumerate((count - count // 2, count - count // 8, count)):
            of_part = SymbolModel(Family(model.family - 4), model.parameter + 8 * part)
            levels = [v // 2 ** (2 - part) for v in values[begin:end]]
            intervals += symbols_of(levels, of_part)
            begin = end
        return intervals
    if model.family == FIXED_LENGTH:
        width = 2 ** (24 - model.parameter)
        starts = [(v + 2 ** (model.parameter - 1)) * width for v in values]
        return [(start, start + width) for start in starts]
    s = model.parameter
    shift, row = (0, s) if s < 64 else ((s - 56) // 8, 56 + s % 8)
    cumulative = reference.table(model.family, row)
    moved = [v + 2**shift // 2 for v in values]
    high = [m // 2**shift for m in moved]
    symbols = [max(-128, min(128, h)) + 128 for h in high]
    intervals = [(cumulative[k], cumulative[k + 1]) for k in symbols]
    if shift:
        width = 2 ** (24 - shift)
        intervals += [(m % 2**shift * width, (m % 2**shift + 1) * width) for m in moved]
    escapes = [abs(h) - 128 for h in high if abs(h) >= 128]
    return intervals + [(e * 256, (e + 1) * 256) for e in escapes]


def final_interval(coded):
    """The interval [lower, lower + width) of 2^bits in which a stream's number must lie."""
    lower, width, size = 0, 2**64 - 1, 64
    for values, model in coded:
        for start, end in symbols_of(values.tolist(), model):
            scale = width // 2**24
            lower, width = lower + scale * start, scale * (end - start)
            if width < 2**32:
                lower, width, size = lower << 32, width << 32, size + 32
    return lower, width, size


def shortest_length(coded):
    """The least bytes that name a number of the final interval."""
    lower, width, size = final_interval(coded)
    for length in range(size // 8 + 1):
        unit = 2 ** (size - 8 * length)
        if -(-lower // unit) * unit < lower + width:
            return length
    raise AssertionError


@pytest.mark.parametrize("name", PINNED)
def test_streams_are_pinned(name):
    described, stream = PINNED[name]
    coded = [group(*one) for one in described]
    counts = [(len(values), model) for values, model in coded]
    assert encode_groups(coded).hex() == stream
    levels = [one[0] for one in described]
    assert [v.tolist() for v in decode_groups(bytes.fromhex(stream), counts)] == levels
    assert decoded_by_reference(bytes.fromhex(stream), counts) == levels


@given(coded=st.lists(groups(), min_size=1, max_size=2))
@settings(deadline=None)
def test_round_trip(coded):
    stream = encode_groups(coded)
    counts = [(len(values), model) for values, model in coded]
    levels = [values.tolist() for values, _ in coded]
    assert [v.tolist() for v in decode_groups(stream, counts)] == levels
    assert decoded_by_reference(stream, counts) == levels


@given(coded=st.lists(groups(), min_size=1, max_size=2))
@settings(deadline=None)
def test_streams_are_the_shortest(coded):
    stream = encode_groups(coded)
    assert len(stream) == shortest_length(coded)


@pytest.mark.parametrize("levels", [[-128] * 100, [0, 0] + [-128] * 20], ids=["all", "most"])
def test_long_runs_of_zeros_are_not_written(levels):
    coded = [group(levels, FIXED_LENGTH, 8)]
    assert len(encode_groups(coded)) == shortest_length(coded)


@given(coded=groups(max_size=100))
@settings(deadline=None, max_examples=50)
def test_information_is_what_the_coder_spends(coded):
    values, model = coded
    information = code_length_bits(values, model)
    _, width, size = final_interval([coded])
    # A range of 32 to 64 bits is cut to a multiple of 2^24: up to 1/256 of it is lost.
    lost = len(symbols_of(values.tolist(), model)) * -np.log2(1 - 1 / 256)
    assert information - 1e-9 <= size - np.log2(width) <= information + lost + 1e-9
    assert len(encode_groups([coded])) <= information / 8 + 2


@pytest.mark.parametrize("scale", [0.3, 3, 30, 3000])
@pytest.mark.parametrize("family", [FIXED_LENGTH, *TABLE_FAMILIES])
def test_streams_are_as_long_as_their_information(family, scale):
    levels = np.rint(np.random.default_rng(3).laplace(0, scale, 3000)).astype(np.int64)
    levels = np.clip(levels, -32767, 32767)
    parameter = 16 if family == FIXED_LENGTH else round(8 * np.log2(2 * scale) + 32)
    model = SymbolModel(family, parameter)
    length = len(encode_groups([(levels, model)]))
    assert abs(length - code_length_bits(levels, model) / 8) <= 2


@given(coded=groups(max_size=20), excess=st.integers(1, 9), byte=st.sampled_from([0, 1, 255]))
@settings(deadline=None)
def test_streams_end_where_the_decoder_stops_reading(coded, excess, byte):
    values, model = coded
    counts = [(len(values), model)]
    decoder = reference.RangeDecoder(encode_groups([coded]))
    reference.decode_group(decoder, model.family, model.parameter, len(values))
    read = 4 * decoder.words_read
    whole = encode_groups([coded]).ljust(read, b"\0")
    assert decode_groups(whole, counts)[0].tolist() == values.tolist()
    with pytest.raises(FormatError, match="goes on after its last value"):
        decode_groups(whole + bytes([byte]) * excess, counts)


@given(stream=st.binary(max_size=40), model=groups().map(lambda g: g[1]), count=st.integers(1, 9))
@settings(deadline=None)
def test_any_bytes_are_judged_as_by_the_reference(stream, model, count):
    try:
        expected = decoded_by_reference(stream, [(count, model)])
    except ValueError:
        with pytest.raises(FormatError):
            decode_groups(stream, [(count, model)])
    else:
        assert decode_groups(stream, [(count, model)])[0].tolist() == expected[0]


def test_information_of_known_models():
    values, fixed = group([1, -2, 0], FIXED_LENGTH, 5)
    assert code_length_bits(values, fixed) == 15
    assert code_length_bits(values, SymbolModel(Family.RAW_FLOAT32, 0)) == 96
    # 128 is an escape; 16 bits follow it.
    cumulative = reference.table(GAUSSIAN, 60)
    escape = 24 - np.log2(cumulative[257] - cumulative[256])
    assert code_length_bits(*group([128], GAUSSIAN, 60)) == pytest.approx(escape + 16)


def all_code_lengths(values):
    """Bits under each table model, counted symbol by symbol from the shipped frequencies."""
    frequencies = np.load(ROOT / "doh3d" / "codec" / "entropy_tables.npz")["frequencies"]
    lengths = {}
    for family in TABLE_FAMILIES:
        for s in range(160):
            shift, row = (0, s) if s < 64 else ((s - 56) // 8, 56 + s % 8)
            total = 0.0
            for value in values:
                high = abs((value + 2**shift // 2) // 2**shift)
                total += 24 - np.log2(frequencies[family - 2, row, min(high, 128)])
                total += shift + 16 * (high >= 128)
            lengths[family, s] = total
    return lengths


@pytest.mark.parametrize(
    "values",
    [
        [0],
        [1],
        [0, 0, 0, 0, 1],
        [3, -1, 4, -1, 5, -9],
        [40, -200, 7, 90],
        [127, 128],
        [1000, -800, 650],
        [32767, -32767],
        [0, 0, 0, 32767],
    ],
    ids=str,
)
def test_chosen_model_is_the_cheapest(values):
    lengths = all_code_lengths(values)
    model = choose_model(np.array(values))
    assert lengths[model.family, model.parameter] == pytest.approx(min(lengths.values()))


@given(coded=groups())
@settings(deadline=None, max_examples=50)
def test_no_model_codes_in_fewer_bits_than_the_chosen(coded):
    values, _ = coded
    best = code_length_bits(values, choose_model(values))
    for family in TABLE_FAMILIES:
        for parameter in range(160):
            other = code_length_bits(values, SymbolModel(family, parameter))
            assert best <= other * (1 + 1e-12)


@given(coded=groups())
@settings(deadline=None, max_examples=30)
def test_no_graded_model_codes_in_fewer_bits_than_the_chosen(coded):
    values = np.array(coarsened(coded[0].tolist()))
    chosen = choose_model(values, graded=True)
    assert chosen.graded
    assert model_fits(values, chosen)
    best = code_length_bits(values, chosen)
    for family in GRADED_FAMILIES:
        for parameter in range(144):
            other = code_length_bits(values, SymbolModel(family, parameter))
            assert best <= other * (1 + 1e-12)


@pytest.mark.parametrize(
    ("values", "fit"),
    [
        ([4, 8, -4, 0, 2, -2, 2, 1], True),
        ([2, 8, -4, 0, 2, -2, 2, 1], False),
        ([4, 8, -4, 1, 2, -2, 2, 1], False),
        ([4, 8, -4, 0, 2, -2, 1, 1], False),
        ([4], True),
        ([1], False),
        ([4, -32767], False),
    ],
)
def test_graded_values_lack_binary_places(values, fit):
    assert model_fits(np.array(values), SymbolModel(Family.GRADED_LAPLACE, 40)) == fit


def test_tables_are_the_documented_ones():
    tables = (ROOT / "doh3d" / "codec" / "entropy_tables.npz").read_bytes()
    documented = re.findall(r"[0-9a-f]{64}", (ROOT / "docs" / "format.md").read_text())
    assert documented == [hashlib.sha256(tables).hexdigest()]


def test_tables_add_up():
    tables = frequency_tables()
    assert tables.shape == (4, 64, 129)
    assert tables.min() >= 1
    assert (tables[..., 0] + 2 * tables[..., 1:].sum(axis=-1) == 2**24).all()


@pytest.mark.parametrize("family", TABLE_FAMILIES)
@pytest.mark.parametrize("scale", [32, 40, 48])
def test_tables_have_their_deviation(family, scale):
    # Only where neither the end of the table nor the least frequency of 1 tells.
    table = frequency_tables()[family - 2, scale]
    variance = 2 * (table * np.arange(129.0) ** 2)[:100].sum() / 2**24
    # Rounding to integers adds 1/12.
    assert variance == pytest.approx(4 ** (scale / 8 - 4) + 1 / 12, rel=0.05)


@pytest.mark.parametrize(
    ("family", "parameter"),
    [
        (Family.RAW_FLOAT32, 1),
        (FIXED_LENGTH, 1),
        (FIXED_LENGTH, 17),
        (LAPLACE, -1),
        (GAUSSIAN, 160),
        (Family.GRADED_LAPLACE, 144),
    ],
)
def test_models_out_of_range(family, parameter):
    with pytest.raises(FormatError, match=f"{family.name} has parameter {parameter}"):
        SymbolModel(family, parameter)


def test_scales_and_shifts():
    assert entropy.SCALE_PARAMETERS == 160
    model = [SymbolModel(LAPLACE, s) for s in range(160)]
    assert [m.shift for m in model[56:80]] == [0] * 8 + [1] * 8 + [2] * 8
    assert [m.table_scale for m in model[56:80]] == list(range(56, 64)) * 3
    assert (model[159].shift, model[159].table_scale) == (12, 63)
