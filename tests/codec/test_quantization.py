import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh3d.codec.quantization import (
    MAX_QUANTIZED,
    STEP_COUNT,
    STEPS,
    best_step_index,
    max_level,
    nearest_step_index,
    quantize,
)

POSITIVE = st.floats(1e-9, 1e6)


def squared_error(values, index, bits):
    return float(((quantize(values, index, bits) * STEPS[index] - values) ** 2).sum())


def test_steps_are_exact_in_float32():
    assert STEPS.shape == (STEP_COUNT,)
    assert STEPS.astype(np.float32).astype(np.float64).tolist() == STEPS.tolist()


def test_steps_are_eighths_of_octaves():
    assert STEPS[0] == 2.0**-24
    assert STEPS[192] == 1.0
    assert STEPS[255] == 15384775 / 2**16
    for index in range(STEP_COUNT):
        assert STEPS[index] == round(2 ** (23 + index % 8 / 8)) * 2.0 ** (index // 8 - 47)
    np.testing.assert_allclose(STEPS[1:] / STEPS[:-1], 2**0.125, rtol=1e-6)


@pytest.mark.parametrize("index", range(STEP_COUNT))
def test_a_step_is_nearest_to_itself(index):
    assert nearest_step_index(float(STEPS[index])) == index


@given(POSITIVE)
def test_nearest_step_is_nearest_by_ratio(step):
    ratios = np.maximum(STEPS / step, step / STEPS)
    assert ratios[nearest_step_index(step)] <= ratios.min() * (1 + 1e-12)


def test_nearest_step_of_what_lies_beyond():
    assert nearest_step_index(1e-30) == 0
    assert nearest_step_index(1e30) == STEP_COUNT - 1


def test_max_level():
    assert [max_level(bits) for bits in (2, 3, 8, 16)] == [1, 3, 127, 32767]
    assert max_level(16) == MAX_QUANTIZED


def test_quantize_rounds_halves_to_even_and_clips():
    values = [0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 2.51, 6.9, 7.6, -7.6, 1e9, -1e9]
    levels = quantize(values, 192, 4)
    assert levels.dtype == np.int64
    assert levels.tolist() == [0, 0, 0, 2, 2, -2, 3, 7, 7, -7, 7, -7]


@given(
    st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30),
    st.integers(0, STEP_COUNT - 1),
    st.integers(2, 16),
)
def test_quantized_values_are_near_or_clipped(values, index, bits):
    levels = quantize(values, index, bits)
    step, limit = STEPS[index], 2 ** (bits - 1) - 1
    assert np.abs(levels).max() <= limit
    for value, level in zip(values, levels.tolist(), strict=True):
        if abs(value) <= limit * step:
            assert abs(level * step - value) <= step / 2 * (1 + 1e-12)
        else:
            assert level == np.sign(value) * limit


@given(st.lists(st.integers(-7, 7), min_size=1), st.integers(0, STEP_COUNT - 1))
def test_multiples_of_a_step_survive(levels, index):
    assert quantize(np.array(levels) * STEPS[index], index, 4).tolist() == levels


@pytest.mark.parametrize("bits", [3, 4, 6, 8, 12])
@pytest.mark.parametrize("scale", [1e-4, 0.03, 1.0, 20.0])
@pytest.mark.parametrize("kind", ["normal", "laplace", "uniform"])
def test_best_step_beats_all_others(kind, scale, bits):
    random = np.random.default_rng(bits)
    draw = {"normal": random.normal, "laplace": random.laplace, "uniform": random.uniform}[kind]
    values = scale * (draw(-1, 1, 400) if kind == "uniform" else draw(0, 1, 400))
    best = best_step_index(values, bits)
    errors = [squared_error(values, index, bits) for index in range(STEP_COUNT)]
    assert errors[best] == min(errors)


@given(st.integers(0, 2**32), st.integers(4, 16), st.floats(-3, 3), st.floats(1e-4, 10))
def test_best_step_beats_its_neighbours(seed, bits, centre, scale):
    # Which steps have a multiple near the largest values is chance: hence many values, and a
    # margin that is smaller than what one step changes.
    values = np.random.default_rng(seed).normal(centre * scale, scale, 1000)
    best = best_step_index(values, bits)
    error = squared_error(values, best, bits)
    for neighbour in (best - 1, best + 1):
        if 0 <= neighbour < STEP_COUNT:
            assert error <= 1.12 * squared_error(values, neighbour, bits)


def test_zeros_take_step_one():
    assert STEPS[best_step_index(np.zeros(5), 8)] == 1.0
