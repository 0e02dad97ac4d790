import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
