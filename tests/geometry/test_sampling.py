import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.geometry import sampling
from doh3d.geometry.sampling import sample_occupancy

HALF = np.array([0.95, 0.65, 0.35])


def none_inside(points):
    return np.zeros(len(points), dtype=bool)


def box_distance(points):
    """Distance to the surface of the 1.8 x 1.2 x 0.6 box, negative inside."""
    q = np.abs(points) - [0.9, 0.6, 0.3]
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


def test_shapes_types_and_range(box):
    samples = sample_occupancy(box, HALF, 5000)
    assert samples.points.shape == (5000, 3)
    assert samples.points.dtype == np.float32
    assert samples.inside.shape == (5000,)
    assert samples.inside.dtype == np.bool_
    assert len(samples) == 5000
    assert (np.abs(samples.points.astype(np.float64)) <= HALF).all()


def test_labels_are_those_of_the_points(box):
    samples = sample_occupancy(box, HALF, 20_000)
    distance = box_distance(samples.points.astype(np.float64))
    clear = np.abs(distance) > 1e-6
    np.testing.assert_array_equal(samples.inside[clear], (distance < 0)[clear])


def test_softness_makes_occupancy_a_logistic_function_of_the_distance(box):
    softness = 0.004
    options = {"near_surface_fraction": 1.0, "near_surface_std": 0.01}
    hard = sample_occupancy(box, HALF, 20_000, **options)
    soft = sample_occupancy(box, HALF, 20_000, softness=softness, **options)
    np.testing.assert_array_equal(soft.points, hard.points)
    assert set(np.unique(hard.occupancy)) == {0.0, 1.0}
    assert soft.occupancy.dtype == np.float32
    distance = box_distance(soft.points.astype(np.float64))
    np.testing.assert_allclose(soft.occupancy, 1 / (1 + np.exp(distance / softness)), atol=1e-3)


def test_softness_leaves_the_points_all_over_the_box_as_they_are(box):
    soft = sample_occupancy(box, HALF, 5000, near_surface_fraction=0.0, softness=0.1)
    assert set(np.unique(soft.occupancy)) == {0.0, 1.0}


def test_uniform_share_measures_the_volume(torus):
    samples = sample_occupancy(torus, (1, 1, 1), 200_000, near_surface_fraction=0.0)
    assert samples.inside.mean() * 8 == pytest.approx(torus.volume, rel=0.02)
    cells = np.histogramdd(samples.points, bins=4, range=[(-1, 1)] * 3)[0]
    np.testing.assert_allclose(cells, 200_000 / 64, rtol=0.1)


def test_near_surface_share_and_noise(box):
    samples = sample_occupancy(
        box, (1, 1, 1), 100_000, near_surface_fraction=0.7, near_surface_std=0.004
    )
    near = np.abs(box_distance(samples.points)) < 0.016
    # Of the uniform ones about one in forty lies as near.
    uniform = sample_occupancy(box, (1, 1, 1), 100_000, near_surface_fraction=0.0)
    by_chance = (np.abs(box_distance(uniform.points)) < 0.016).mean()
    assert near.mean() == pytest.approx(0.7 + 0.3 * by_chance, abs=0.01)
    noise = sample_occupancy(
        box, (1, 1, 1), 100_000, near_surface_fraction=1.0, near_surface_std=0.004
    ).points
    faces = noise[(np.abs(noise[:, :2]) < [0.85, 0.55]).all(axis=1)]
    assert (np.abs(faces[:, 2]) - 0.3).std() == pytest.approx(0.004, rel=0.05)


def test_surface_points_are_uniform_in_area(box):
    points = sample_occupancy(
        box, (1, 1, 1), 120_000, near_surface_fraction=1.0, near_surface_std=0.0
    ).points
    np.testing.assert_allclose(box_distance(points), 0, atol=1e-6)
    # One side of 1.8 x 1.2, cut into 6 x 4 squares, which its two triangles cut across.
    top = points[points[:, 2] > 0.2999]
    assert len(top) / len(points) == pytest.approx(1.8 * 1.2 / box.area, rel=0.03)
    cells = np.histogram2d(top[:, 0], top[:, 1], bins=(6, 4), range=[(-0.9, 0.9), (-0.6, 0.6)])[0]
    np.testing.assert_allclose(cells, len(top) / 24, rtol=0.15)


def test_points_that_leave_the_box_are_drawn_anew(box):
    half = np.array([0.9, 0.6, 0.3])
    points = sample_occupancy(
        box, half, 50_000, near_surface_fraction=1.0, near_surface_std=0.05, inside=none_inside
    ).points
    # Had they been moved onto the faces of the box, half would lie there.
    assert (np.abs(points) >= half.astype(np.float32) - 1e-7).any(axis=1).mean() < 0.01


def test_a_surface_outside_the_box_is_moved_onto_it(sphere):
    half = np.full(3, 0.2)
    samples = sample_occupancy(sphere, half, 2000, near_surface_fraction=1.0)
    assert (np.abs(samples.points.astype(np.float64)) <= half).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63), st.integers(0, 3000), st.floats(0, 1))
def test_same_seed_same_samples(seed, count, fraction):
    box = trimesh.creation.box((1.8, 1.2, 0.6))
    state = np.random.get_state()[1].copy()
    first, second = (
        sample_occupancy(box, HALF, count, near_surface_fraction=fraction, seed=seed)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.inside, second.inside)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_other_seed_other_samples(box):
    first, second = (sample_occupancy(box, HALF, 100, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.points, second.points)


def test_slices_are_unbiased(box, monkeypatch):
    monkeypatch.setattr(sampling, "_CHUNK", 7000)
    samples = sample_occupancy(box, (1, 1, 1), 64_000, near_surface_std=0.005)
    shares = samples.inside.reshape(16, -1).mean(axis=1)
    near = (np.abs(box_distance(samples.points)) < 0.01).reshape(16, -1).mean(axis=1)
    np.testing.assert_allclose(shares, samples.inside.mean(), atol=0.04)
    np.testing.assert_allclose(near, near.mean(), atol=0.04)


def test_own_labels(box):
    calls = []

    def above(points):
        calls.append(points.dtype)
        # What is labelled is what is kept.
        np.testing.assert_array_equal(points, points.astype(np.float32))
        return points[:, 2] > 0

    samples = sample_occupancy(box, HALF, 1000, inside=above)
    np.testing.assert_array_equal(samples.inside, samples.points[:, 2] > 0)
    assert set(calls) == {np.dtype(np.float64)}
