"""The judge: what the faces of a file enclose, without any repair."""

import numpy as np
import pytest
import trimesh

from doh3d.geometry.judge import UNDECIDED, Judge
from doh3d.geometry.raw_mesh import RawMesh

POINTS = np.random.default_rng(0).uniform(-1.2, 1.2, (20_000, 3))


def raw(*parts):
    whole = trimesh.util.concatenate(list(parts))
    return RawMesh(np.asarray(whole.vertices), np.asarray(whole.faces))


def ball(radius=1.0, at=(0.0, 0.0, 0.0), inside_out=False):
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    mesh.apply_translation(at)
    if inside_out:
        mesh.invert()
    return mesh


def in_ball(radius=1.0, at=(0.0, 0.0, 0.0)):
    """Clearly inside, clearly outside: the mesh's facets cut off a little."""
    distance = np.linalg.norm(POINTS - at, axis=1)
    return distance < 0.98 * radius, distance > radius


def check(judge, inside, outside):
    verdict = judge(POINTS)
    assert (verdict[inside] == 1).all()
    assert (verdict[outside] == 0).all()
    return verdict


@pytest.mark.parametrize("inside_out", [False, True])
def test_the_winding_of_a_closed_body_does_not_matter(inside_out):
    judge = Judge.of(raw(ball(inside_out=inside_out)))
    assert judge.method == "winding number"
    check(judge, *in_ball())


def test_bodies_that_overlap_are_their_union():
    judge = Judge.of(raw(ball(0.7, (-0.3, 0, 0)), ball(0.7, (0.3, 0, 0))))
    (in_one, out_one), (in_other, out_other) = in_ball(0.7, (-0.3, 0, 0)), in_ball(0.7, (0.3, 0, 0))
    check(judge, in_one | in_other, out_one & out_other)


def test_a_cavity_is_one():
    judge = Judge.of(raw(ball(), ball(0.5, inside_out=True)))
    inside, outside = in_ball()
    in_cavity, out_of_cavity = in_ball(0.5)
    check(judge, inside & out_of_cavity, outside | in_cavity)


def test_overlapping_bodies_that_are_not_closed_are_their_union_too():
    parts = [ball(0.7, (-0.3, 0, 0)), ball(0.7, (0.3, 0, 0))]
    for part in parts:
        part.update_faces(np.arange(len(part.faces)) != 5)
    judge = Judge.of(raw(*parts))
    assert judge.method == "both"
    (in_one, out_one), (in_other, out_other) = in_ball(0.7, (-0.3, 0, 0)), in_ball(0.7, (0.3, 0, 0))
    verdict = judge(POINTS)
    decided = verdict != UNDECIDED
    assert decided.mean() > 0.999
    assert (verdict[(in_one | in_other) & decided] == 1).all()
    assert (verdict[out_one & out_other & decided] == 0).all()


@pytest.mark.parametrize("welded", [True, False])
def test_random_windings_are_passed_over(welded):
    mesh, generator = ball(), np.random.default_rng(1)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    if not welded:
        vertices = vertices[faces].reshape(-1, 3)
        vertices = vertices + generator.uniform(-1e-6, 1e-6, vertices.shape)
        faces = np.arange(len(vertices)).reshape(-1, 3)
    turned = generator.random(len(faces)) < 0.5
    judge = Judge.of(RawMesh(vertices, np.where(turned[:, None], faces[:, ::-1], faces)))
    assert judge.method == "rays"
    check(judge, *in_ball())


@pytest.mark.parametrize("other_diagonal", [False, True])
def test_a_surface_that_is_given_both_ways_is_one(other_diagonal):
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4]])
    quads = np.concatenate([quads, [[1, 5, 7, 3]]])
    back = quads[:, ::-1]
    if not other_diagonal:
        back = np.roll(back, 1, axis=1)
    faces = np.concatenate([q[:, c] for q in (quads, back) for c in ([0, 1, 2], [0, 2, 3])])
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5
    judge = Judge.of(RawMesh(corners, faces))
    assert judge.method == "rays"
    inside = (np.abs(POINTS) < 0.49).all(axis=1)
    check(judge, inside, (np.abs(POINTS) > 0.51).any(axis=1))


def test_where_windings_and_rays_disagree_nobody_knows():
    mesh = ball()
    # A cap wound the other way: the winding number behind it is wrong, rays are not.
    cap = mesh.triangles_center[:, 2] > 0.9
    faces = np.where(cap[:, None], mesh.faces[:, ::-1], mesh.faces)
    judge = Judge.of(RawMesh(np.asarray(mesh.vertices), faces))
    assert judge.method == "both"
    verdict = judge(POINTS)
    inside, outside = in_ball()
    decided = verdict != UNDECIDED
    assert (verdict[inside & decided] == 1).all()
    assert (verdict[outside & decided] == 0).all()
    assert 0.002 < (~decided[inside]).mean() < 0.1


def test_units_place_and_faces_that_are_none_do_not_matter():
    mesh = ball()
    vertices = np.concatenate([mesh.vertices * 1e6 + 1e9, [[np.nan, 0, 0]]])
    faces = np.concatenate([mesh.faces, [[0, 1, len(mesh.vertices)], [3, 3, 4]]])
    judge = Judge.of(RawMesh(vertices, faces))
    verdict = judge(POINTS * 1e6 + 1e9)
    inside, outside = in_ball()
    assert (verdict[inside] == 1).all()
    assert (verdict[outside] == 0).all()


def test_bodies_given_both_ways_beside_one_that_is_not():
    small = ball(0.4, (-0.7, 0, 0))
    other = small.copy()
    other.invert()
    judge = Judge.of(raw(small, other, ball(0.4, (0.7, 0, 0))))
    assert judge.method == "rays"
    (in_one, out_one), (in_other, out_other) = in_ball(0.4, (-0.7, 0, 0)), in_ball(0.4, (0.7, 0, 0))
    check(judge, in_one | in_other, out_one & out_other)


def test_thin_walls_are_not_taken_for_two_sides_of_one_surface():
    plate = trimesh.creation.box((2, 2, 1e-3))
    judge = Judge.of(raw(plate))
    assert judge.method == "winding number"
    on_plate = POINTS * [0.8, 0.8, 4e-4]
    assert (judge(on_plate) == 1).all()
