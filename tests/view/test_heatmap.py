from __future__ import annotations

import numpy as np
import pytest
import trimesh

from doh3d.view.heatmap import SignedDistance, colour_range, heat_colours


def test_signed_distance_is_in_percent_of_the_longest_side():
    # Twenty long, far away: a unit of distance is 5%.
    box = trimesh.creation.box((20, 10, 10)).apply_translation([1000, 0, -300])
    points = np.array([[0, 0, 6], [0, 0, 5.5], [0, 0, 5], [0, 0, 4], [12, 0, 0], [-12, 5, 0]])
    distance = SignedDistance(box)(points + [1000, 0, -300])
    np.testing.assert_allclose(distance, [5, 2.5, 0, -5, 10, 10], atol=1e-3)


def test_the_sign_follows_what_is_inside_where_a_mesh_is_open():
    ball = trimesh.creation.icosphere(4)
    # A hole of a tenth of its faces.
    holed = trimesh.Trimesh(ball.vertices, ball.faces[len(ball.faces) // 10 :], process=False)
    along = np.random.default_rng(0).normal(size=(200, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    distance = SignedDistance(holed)
    assert (distance(along * 0.5) < -20).all()
    assert (distance(along * 1.2) > 9).all()


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0.41, 0.5), (0.5, 0.5), (0.9, 1.0), (1.0, 1.0), (7, 8.0), (0.013, 0.02), (0, 0.001)],
)
def test_the_range_is_round_and_holds_nearly_all(largest, expected):
    # One speck far away changes nothing.
    distances = [np.full(1000, -largest), np.append(np.zeros(9), 300)]
    assert colour_range(distances) == expected


def test_a_shape_without_vertices_has_a_range():
    assert colour_range([np.zeros(0)]) > 0


def test_colours_tell_sides_apart_and_end_at_the_range():
    pytest.importorskip("matplotlib")
    inside, deep, surface, outside, beyond = heat_colours([-2, -9, 0, 2, 9], 2.0)
    np.testing.assert_array_equal(inside, deep)
    np.testing.assert_array_equal(outside, beyond)
    assert inside[2] > inside[0] + 0.2, "blue"
    assert outside[0] > outside[2] + 0.2, "red"
    assert surface.min() > 0.95, "white"
