import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from doh3d.geometry.rotation import (
    LARGEST_COMPONENT,
    nearest_frame,
    rodrigues_vector,
    rotation_matrix,
    rotations_of,
    smallest_equivalent,
    to_frame,
)

COMPONENTS = st.integers(-LARGEST_COMPONENT, LARGEST_COMPONENT)
FRAMES = st.tuples(COMPONENTS, COMPONENTS, COMPONENTS)


@given(FRAMES)
def test_a_frame_is_the_rotation_that_scipy_makes_of_its_vector(frame):
    vector = np.array(frame) / 2**16
    length = np.linalg.norm(vector)
    axis = vector / length if length else vector
    expected = Rotation.from_rotvec(axis * 2 * np.arctan(length)).as_matrix()
    found = rotation_matrix(frame)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(rotations_of(vector[None])[0], expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(rodrigues_vector(found), vector, rtol=0, atol=1e-15)


def test_the_numbers_of_a_matrix_are_rounded_once():
    # 2 (a b - w c) / (w^2 + a^2 + b^2 + c^2), by hand.
    a, b, c, w = 3, -20000, 27146, 65536
    denominator = w * w + a * a + b * b + c * c
    assert rotation_matrix((a, b, c))[0, 1] == 2 * (a * b - w * c) / denominator
    assert np.array_equal(rotation_matrix((0, 0, 0)), np.eye(3))


@given(st.integers(0, 2**32 - 1))
def test_every_rotation_has_a_frame_near_it_but_for_which_axis_is_which(seed):
    rotation = Rotation.random(random_state=seed).as_matrix()
    frame = nearest_frame(rotation)
    assert max(map(abs, frame)) <= LARGEST_COMPONENT
    matrix = rotation_matrix(frame)
    # Each of its axes is one of the rotation's, to half a step of each number.
    cosines = np.abs(rotation.T @ matrix)
    assert np.sort(cosines, axis=0)[:2].max() < 4e-5
    assert nearest_frame(matrix) == frame or max(map(abs, frame)) > LARGEST_COMPONENT - 3


@pytest.mark.parametrize("axis", range(3))
def test_rotations_that_only_exchange_axes_have_no_frame(axis):
    quarter = Rotation.from_rotvec(np.pi / 2 * np.eye(3)[axis]).as_matrix()
    assert nearest_frame(quarter) == (0, 0, 0)
    assert nearest_frame(quarter @ quarter) == (0, 0, 0)
    np.testing.assert_allclose(smallest_equivalent(quarter), np.eye(3), atol=1e-15)


def test_points_in_a_frame_are_the_products_with_its_columns():
    rotation = Rotation.random(random_state=1).as_matrix()
    points = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(to_frame(points, rotation), points @ rotation, atol=1e-14)
