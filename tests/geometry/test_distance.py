import numpy as np

from doh3d.geometry.distance import surface_distance


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
