import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from doh3d.geometry.frame import find_frame
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.rotation import NO_FRAME, rotation_matrix
from doh3d.geometry.transform import NormalizingTransform


def frame_of(mesh):
    return find_frame(mesh, inside_test(mesh))


def l_bracket():
    """Two plates at a right angle, 3 x 2 x 2.5."""
    foot, wall = trimesh.creation.box((3, 2, 0.4)), trimesh.creation.box((0.4, 2, 2.1))
    wall.apply_translation((-1.3, 0, 1.25))
    return trimesh.util.concatenate([foot, wall])


def blob(mirrored=True):
    """A smooth body, its own mirror image along z or not."""
    mesh = trimesh.creation.icosphere(subdivisions=4)
    x, y, z = np.array(mesh.vertices).T
    radius = 1 + 0.25 * x + 0.2 * x * y + 0.3 * y**3 - 0.3 * z**2 * x
    if not mirrored:
        radius += 0.25 * z * x + 0.2 * z**3
    mesh.vertices = np.array(mesh.vertices) * radius[:, None] * [1.3, 1, 0.8]
    return mesh


def turned(mesh, turn):
    """The mesh turned, and normalised along the axes."""
    mesh = mesh.copy()
    vertices = np.array(mesh.vertices) @ turn.T
    bounds = np.stack([vertices.min(axis=0), vertices.max(axis=0)])
    mesh.vertices = NormalizingTransform.from_bounds(bounds).to_normalized(vertices)
    return mesh


def random_turn(seed):
    return Rotation.random(random_state=seed).as_matrix()


SHAPES = {
    "box": trimesh.creation.box((1, 2, 3)),
    "bracket": l_bracket(),
    "cube": trimesh.creation.box((1, 1, 1)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_the_frame_of_a_turned_part_is_found(name, seed):
    turn = random_turn(seed)
    mesh = turned(SHAPES[name], turn)
    rotation = rotation_matrix(frame_of(mesh))
    # Each axis of the frame is one of the part's own.
    assert np.sort(np.abs(turn.T @ rotation), axis=0)[:2].max() < 1e-4
    normals = np.abs(np.array(mesh.face_normals) @ rotation)
    assert normals.max(axis=1).min() > 1 - 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_the_mirror_plane_of_a_turned_body_is_found(seed):
    turn = random_turn(seed)
    rotation = rotation_matrix(frame_of(turned(blob(), turn)))
    assert np.abs(turn[:, 2] @ rotation).max() > 1 - 1e-6


@pytest.mark.parametrize("angle", [0.02, 0.1])
def test_a_part_that_is_turned_a_little_has_a_frame(angle):
    turn = Rotation.from_rotvec([angle / 2, angle, -angle]).as_matrix()
    rotation = rotation_matrix(frame_of(turned(l_bracket(), turn)))
    np.testing.assert_allclose(rotation, turn, atol=1e-4)


@pytest.mark.parametrize(
    "mesh",
    [
        *SHAPES.values(),
        blob(),
        blob(mirrored=False),
        trimesh.creation.icosphere(subdivisions=3),
        trimesh.creation.cylinder(0.5, 2.0),
        trimesh.creation.torus(1.0, 0.3),
    ],
)
def test_what_lies_along_the_axes_has_none(mesh):
    assert frame_of(turned(mesh, np.eye(3))) == NO_FRAME


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_gained_by_turning_a_ball_or_a_rough_body(seed):
    ball = trimesh.creation.icosphere(subdivisions=3)
    assert frame_of(turned(ball, random_turn(seed))) == NO_FRAME
    rough = blob(mirrored=False)
    normals = np.array(rough.vertex_normals)
    noise = np.random.default_rng(seed).normal(0, 0.02, len(normals))
    rough.vertices = np.array(rough.vertices) + noise[:, None] * normals
    assert frame_of(turned(rough, np.eye(3))) == NO_FRAME


def test_a_frame_does_not_depend_on_the_order_of_faces():
    mesh = turned(l_bracket(), random_turn(7))
    other = mesh.copy()
    other.faces = np.array(mesh.faces)[::-1]
    assert np.abs(np.subtract(frame_of(mesh), frame_of(other))).max() <= 1
