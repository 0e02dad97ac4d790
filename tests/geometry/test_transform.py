import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh3d.geometry.rotation import rotation_matrix
from doh3d.geometry.transform import NORMALIZED_LONGEST_SIDE, NormalizingTransform

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


def test_float32_is_kept_where_it_suffices():
    near = NormalizingTransform.from_bounds(np.array([[0.1, 0.2, 0.3], [1.1, 1.2, 1.3]]))
    far = NormalizingTransform.from_bounds(np.array([[1e6, 0, 0], [1e6 + 1, 1, 1]]) + 0.3)
    assert not near.double
    assert np.float32(near.scale) == near.scale
    assert far.double
    np.testing.assert_allclose(far.to_normalized([[1e6 + 0.3, 0.3, 0.3]]), -0.9, atol=1e-9)


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
    assert turned.scale_fits
    normalized = turned.to_normalized(world)
    # The scale is rounded up to eight bits, or to 37.
    longest = np.ptp(normalized, axis=0).max()
    assert 1.8 * (1 - 2**-7) <= longest <= 1.8 * (1 + 1e-9)
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
    transform = NormalizingTransform((0.1, -5.3, 6.7), 1.1, double=True)
    half = np.array([1.0, 0.7, 0.3])
    assert np.array_equal(transform.box_bounds(half), transform.to_world([-half, half]))
