import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from doh3d.geometry.alignment import Normals, aligned_about, aligned_rotations, minimise


def normals(mesh, turn=None):
    turn = np.eye(3) if turn is None else turn
    return Normals.of(np.array(mesh.vertices) @ turn.T, np.array(mesh.faces))


def test_energies_that_are_known():
    box = normals(trimesh.creation.box((1, 2, 3)))
    assert box.energy(np.eye(3)) == pytest.approx(1)
    eighth = Rotation.from_rotvec([0, 0, np.pi / 4]).as_matrix()
    # Of 22 units of area 6 + 12 stand along x and y: their normals' numbers are sqrt(1/2) each.
    assert box.energy(eighth) == pytest.approx((18 * np.sqrt(2) + 4) / 22)
    ball = normals(trimesh.creation.icosphere(subdivisions=4))
    assert ball.energy(np.eye(3)) == pytest.approx(1.5, abs=1e-3)


def test_gathered_normals_keep_area_and_directions():
    given = normals(trimesh.creation.icosphere(subdivisions=3))
    gathered = given.gathered(8)
    assert len(gathered.areas) < len(given.areas) / 3
    assert gathered.areas.sum() == pytest.approx(given.areas.sum())
    assert gathered.energy(np.eye(3)) == pytest.approx(given.energy(np.eye(3)), rel=3e-3)
    # Opposite faces of a box are one.
    assert len(normals(trimesh.creation.box((1, 2, 3))).gathered(8).areas) == 3


@pytest.mark.parametrize("seed", range(8))
def test_a_turned_box_is_found_to_the_last_digits(seed):
    turn = Rotation.random(random_state=seed).as_matrix()
    best = aligned_rotations(normals(trimesh.creation.box((1, 2, 3)), turn))[0]
    cosines = np.abs(turn.T @ best)
    assert np.sort(cosines, axis=0)[:2].max() < 1e-6


def test_a_face_without_area_has_no_normal():
    points = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0.0]])
    found = Normals.of(points, np.array([[0, 1, 2], [0, 1, 3]]))
    assert found.directions.tolist() == [[0, 0, 1]]


def test_turning_about_an_axis_keeps_it():
    box = normals(trimesh.creation.box((1, 2, 3)))
    tilted = Rotation.from_rotvec([0, 0, 0.3]).as_matrix()
    np.testing.assert_allclose(
        np.abs(aligned_about(box, tilted, 2)) @ np.ones(3), np.ones(3), atol=1e-6
    )
    # About another axis there is nothing to be gained.
    found = aligned_about(box, tilted, 0)
    np.testing.assert_allclose(found[:, 0], tilted[:, 0], atol=1e-12)


def test_minimising_never_raises_the_energy():
    rng = np.random.default_rng(0)
    scattered = Normals(rng.normal(size=(300, 3)), rng.uniform(size=300))
    for seed in range(5):
        start = Rotation.random(random_state=seed).as_matrix()
        assert scattered.energy(minimise(scattered, start)) <= scattered.energy(start)
