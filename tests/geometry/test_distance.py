import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.geometry.distance import SurfaceTree, surface_distance, triangle_distance


def test_distances_to_a_box_are_known(box):
    distance = surface_distance(box)
    points = [[0, 0, 0], [0.9, 0, 0], [1.2, 0, 0], [1.2, 1.0, 0.3], [0, 0, 0.25]]
    found = distance(np.array(points))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.3, 0.0, 0.3, 0.5, 0.05], atol=1e-6)


def test_distances_are_the_same_every_time(torus):
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 3)).astype(np.float32)
    first, second = (surface_distance(torus)(points) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    # And do not depend on what else is asked.
    np.testing.assert_array_equal(surface_distance(torus)(points[7:9]), first[7:9])


def test_the_nearest_triangle_is_named(box):
    tree = SurfaceTree(box.vertices, box.faces)
    points = box.triangles_center * 1.01
    squared, face = tree.nearest(points)
    np.testing.assert_array_equal(face, np.arange(len(box.faces)))
    np.testing.assert_allclose(np.sqrt(squared), triangle_distance(points, box.triangles))
    for found in tree.nearest(np.zeros((0, 3))):
        assert found.shape == (0,)


CORNERS = np.array([[0, 0, 0], [4, 0, 0], [0, 3, 0]], dtype=np.float64)


@pytest.mark.parametrize(
    ("point", "distance"),
    [
        ((1, 1, 0), 0),
        ((1, 1, -2), 2),
        ((2, -3, 0), 3),
        ((2, -3, 4), 5),
        ((-3, -4, 0), 5),
        ((5, 0, 0), 1),
        ((4, 3, 0), 2.4),
        ((0, 0, 0), 0),
    ],
)
def test_distances_to_a_triangle_are_known(point, distance):
    # Each side first once, either way round.
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        found = triangle_distance(np.array([point], dtype=np.float64), CORNERS[None, order])
        np.testing.assert_allclose(found, [distance], atol=1e-15)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    width=st.floats(-7, 0).map(lambda power: 10**power),
    height=st.floats(-1, 1),
)
def test_distances_to_needles_are_right_to_rounding(seed, width, height):
    rng = np.random.default_rng(seed)
    frame = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    corner, along, aside, up = rng.normal(size=3), *frame
    apex = corner + rng.uniform() * along + width * aside
    triangle = np.array([corner, corner + along, apex])
    weights = rng.dirichlet([1, 1, 1])
    point = weights @ triangle + height * up
    found = triangle_distance(point[None], triangle[None])
    np.testing.assert_allclose(found, [abs(height)], rtol=1e-12, atol=4e-15)
