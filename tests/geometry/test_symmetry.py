import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from doh3d.geometry import symmetry
from doh3d.geometry.symmetry import Moments, mirrored_axes


@pytest.fixture(autouse=True)
def usual_trials(few_trials, monkeypatch):
    """As many points as in use."""
    for name, usual in few_trials.items():
        monkeypatch.setattr(symmetry, name, usual)


def moments(mesh):
    return Moments.of(np.array(mesh.vertices), np.array(mesh.faces))


def test_moments_of_a_box_anywhere():
    mesh = trimesh.creation.box((1, 2, 3))
    mesh.apply_translation((5, -7, 11))
    found = moments(mesh)
    np.testing.assert_allclose(found.second, np.diag([1, 4, 9]) / 12, atol=1e-12)
    np.testing.assert_allclose(found.third, 0, atol=1e-12)


def test_moments_of_a_tetrahedron_are_those_of_its_barycentric_coordinates():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    mesh = trimesh.Trimesh(corners, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    found = moments(mesh)
    # Of one coordinate, distributed as Beta(1, 3): variance 3/80, skewness 0.8607.
    np.testing.assert_allclose(np.diag(found.second), 3 / 80, rtol=1e-12)
    np.testing.assert_allclose(found.third[0, 0, 0], 1 / 160, rtol=1e-12)
    np.testing.assert_allclose(found.second[0, 1], -1 / 80, rtol=1e-12)


def test_the_axes_of_inertia_are_those_of_a_turned_box():
    mesh = trimesh.creation.box((1, 2, 3))
    turn = np.eye(4)
    turn[:3, :3] = Rotation.random(random_state=3).as_matrix()
    mesh.apply_transform(turn)
    frame = moments(mesh).principal_frame()
    assert np.linalg.det(frame) == pytest.approx(1)
    np.testing.assert_allclose(np.abs(turn[:3, :3].T @ frame), np.eye(3), atol=1e-9)
    assert moments(mesh).may_be_mirrored(frame) == (0, 1, 2)
    assert moments(mesh).may_be_mirrored(np.eye(3)) == ()


def test_moments_tell_which_planes_a_wedge_has():
    # Thicker towards +x: its own image along y and z only.
    corners = [[0, -1, -0.1], [0, -1, 0.1], [0, 1, -0.1], [0, 1, 0.1]]
    corners += [[3, -1, -1], [3, -1, 1], [3, 1, -1], [3, 1, 1]]
    wedge = trimesh.convex.convex_hull(np.array(corners, dtype=float))
    assert moments(wedge).may_be_mirrored(np.eye(3)) == (1, 2)


def test_planes_are_those_about_which_the_inside_is_mirrored():
    def half_ball(points):
        return (np.linalg.norm(points, axis=1) < 1) & (points[:, 1] > -0.2)

    bounds = np.array([[-1.0] * 3, [1.0] * 3])
    assert mirrored_axes(half_ball, bounds) == (0, 2)
    assert mirrored_axes(half_ball, bounds, axes=(1, 2)) == (2,)
    assert mirrored_axes(half_ball, bounds, clearly=True) == (0, 2)


def test_a_plane_at_the_tolerance_is_not_clear():
    def ball_with_a_chip(points):
        # 0.04% of the ball's volume are not the same on both sides.
        chip = (np.abs(points - [0.7, 0, 0]) < [0.05, 0.05, 0.042]).all(axis=1)
        return (np.linalg.norm(points, axis=1) < 1) & ~chip

    bounds = np.array([[-1.0] * 3, [1.0] * 3])
    assert mirrored_axes(ball_with_a_chip, bounds) == (0, 1, 2)
    assert mirrored_axes(ball_with_a_chip, bounds, clearly=True) == (1, 2)
