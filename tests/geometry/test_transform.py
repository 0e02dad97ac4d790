import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh3d.geometry.rotation import rotation_matrix
from doh3d.geometry.transform import (
    FLOAT64_FORM,
    NORMALIZED_LONGEST_SIDE,
    NormalizingTransform,
)

coordinate = st.floats(-1e6, 1e6)
side = st.floats(1e-3, 1e6)


@given(st.tuples(coordinate, coordinate, coordinate), st.tuples(side, side, side))
def test_longest_side_and_centre(low, sides):
    bounds = np.array([low, np.add(low, sides)])
    transform = NormalizingTransform.from_bounds(bounds)
    normalized = transform.to_normalized(bounds)
    assert np.ptp(normalized, axis=0).max() == pytest.approx(NORMALIZED_LONGEST_SIDE, rel=1e-5)
    np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=2e-5)


@given(st.tuples(coordinate, coordinate, coordinate), st.tuples(side, side, side))
def test_round_trip(low, sides):
    bounds = np.array([low, np.add(low, sides)])
    transform = NormalizingTransform.from_bounds(bounds)
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    back = transform.to_normalized(transform.to_world(points))
    tolerance = 1e-9 + 1e-15 * np.abs(bounds).max() / transform.scale
    np.testing.assert_allclose(back, points, atol=tolerance)


@given(
    st.tuples(*[st.floats(-3e4, 3e4)] * 3),
    st.floats(1e-30, 1e30),
    st.booleans(),
)
def test_rounding_moves_a_little_and_takes_few_bytes(centre, scale, finely):
    exact = NormalizingTransform(tuple(scale * number for number in centre), scale)
    rounded = exact.rounded(finely=finely)
    assert rounded.form < FLOAT64_FORM
    if max(map(abs, centre)) < 100:
        assert rounded.form <= finely
    assert 1 <= rounded.scale / exact.scale <= 1 + 2**-8
    moved = np.abs(np.subtract(rounded.centre, exact.centre)).max() / rounded.scale
    assert moved <= (2**-16 if finely or rounded.form else 2**-8) * (1 + 1e-9)
    assert rounded.rounded(finely=finely) == rounded


@pytest.mark.parametrize(
    ("centre", "scale"),
    [((1e9, 0, 0), 1.0), ((0, 0, 0), 1e-60), ((0, 0, 0), 1.7e308), ((0, 1e308, 0), 1e-20)],
)
def test_what_no_lattice_reaches_is_not_rounded(centre, scale):
    transform = NormalizingTransform(centre, scale)
    assert transform.rounded() == transform
    assert transform.form == FLOAT64_FORM


@pytest.mark.parametrize(
    ("centre", "scale", "form"),
    [
        ((255.9921875, 0, -256.0), 1.0, 0),
        ((256.0, 0, 0), 1.0, 2),
        ((1 / 128, 0, 0), 1.99609375, 0),
        ((1 / 256, 0, 0), 1.0, 1),
        ((2.0**-15, 0, 0), 1.0, 1),
        ((2.0**-15, 0, 300.0), 1.0, 2),
        ((2.0**-16, 0, 0), 1.0, 3),
        ((65536.0, 0, 0), 1.0, 3),
        ((0, 0, 0), 1 + 2**-8, 0),
        ((0, 0, 0), 1 + 2**-9, 3),
        ((0, 0, 0), 2.0**127, 0),
        ((0, 0, 0), 2.0**128, 3),
        ((0, 0, 0), 2.0**-128, 0),
        ((0, 0, 0), 2.0**-129, 3),
    ],
)
def test_the_form_is_the_first_that_holds_the_numbers(centre, scale, form):
    assert NormalizingTransform(centre, scale).form == form


def test_coordinates_near_the_end_of_float64():
    bounds = np.array([[1.0e308] * 3, [1.5e308] * 3])
    transform = NormalizingTransform.from_bounds(bounds)
    np.testing.assert_allclose(transform.to_normalized(bounds), [[-0.9] * 3, [0.9] * 3])


FRAME = (-8209, 6256, -8606)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_box_of_a_frame_is_normalised_to_its_longest_side(scale, offset):
    rotation = rotation_matrix(FRAME)
    corners = np.array(list(itertools.product((-0.5, 0.5), (-1, 1), (-0.25, 0.25))))
    world = scale * (corners @ rotation.T + offset * np.array([1, -1, 0.3]))
    straight = NormalizingTransform.from_bounds(np.stack([world.min(axis=0), world.max(axis=0)]))
    turned = straight.in_frame(FRAME, straight.to_normalized(world))
    assert turned.frame == FRAME
    normalized = turned.to_normalized(world)
    longest = np.ptp(normalized, axis=0).max()
    assert longest == pytest.approx(1.8, rel=1e-9)
    expected = corners * longest / 2
    np.testing.assert_allclose(normalized, expected, rtol=0, atol=2e-5)
    error = np.abs(turned.to_world(normalized) - world).max()
    assert error <= 1e-12 * scale * max(offset, 1)


def test_the_box_around_a_turned_box_holds_its_corners_and_no_more():
    transform = NormalizingTransform((4.0, -5.0, 6.0), 2.0, frame=FRAME)
    half = np.array([1.0, 0.5, 0.25])
    corners = np.array(list(itertools.product((-1, 1), repeat=3))) * half
    world = transform.to_world(corners)
    expected = np.stack([world.min(axis=0), world.max(axis=0)])
    np.testing.assert_allclose(transform.box_bounds(half), expected, atol=1e-14)


def test_without_a_frame_the_bounds_are_the_corners_to_the_bit():
    transform = NormalizingTransform((0.1, -5.3, 6.7), 1.1)
    half = np.array([1.0, 0.7, 0.3])
    assert np.array_equal(transform.box_bounds(half), transform.to_world([-half, half]))
