"""Windings: kept where they agree, mended where that makes the inside clearer."""

import igl
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import MeshError
from doh3d.geometry.mesh import repair_mesh
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.orientation import orient

JITTER = 1e-6


def hollow_ball():
    inner = trimesh.creation.icosphere(subdivisions=2, radius=0.4)
    inner.invert()
    return trimesh.creation.icosphere(subdivisions=3, radius=0.9) + inner


SHAPES = {
    "torus": lambda: trimesh.creation.torus(0.65, 0.25, major_sections=24, minor_sections=12),
    "box": lambda: trimesh.creation.box((2, 1, 0.3)).subdivide(),
    "ring": lambda: trimesh.creation.annulus(0.5, 1.0, 0.4, sections=20),
    "hollow ball": hollow_ball,
    "balls": lambda: (
        trimesh.creation.icosphere(subdivisions=2)
        + trimesh.creation.icosphere(subdivisions=2).apply_translation((3, 0, 0))
    ),
}
_PROBES = np.random.default_rng(1).uniform(-0.5, 0.5, (1500, 3))


def patches_of(mesh, count, generator):
    """Label faces by the patch they are cut into: grown from random faces."""
    label = np.full(len(mesh.faces), -1)
    seeds = generator.permutation(len(mesh.faces))[:count]
    label[seeds] = np.arange(len(seeds))
    adjacent = mesh.face_adjacency
    while (label < 0).any():
        before = label.copy()
        for a, b in (adjacent.T, adjacent.T[::-1]):
            grown = (label[a] >= 0) & (label[b] < 0)
            label[b[grown]] = label[a[grown]]
        if (label == before).all():
            label[label < 0] = count
    return label


def cut_apart(mesh, count, flipped_share, seed):
    """Patches with vertices of their own, jittered, some sides split, some wound backwards."""
    generator = np.random.default_rng(seed)
    label = patches_of(mesh, count, generator)
    size = float(mesh.extents.max())
    parts = []
    for patch in np.unique(label):
        corners = mesh.triangles[label == patch]
        # Some faces are halved at a random point of a side: a T-junction where that is a rim.
        split = generator.random(len(corners)) < 0.3
        a, b, c = np.roll(corners[split], generator.integers(3), axis=1).transpose(1, 0, 2)
        m = a + generator.uniform(0.2, 0.8, (len(a), 1)) * (b - a)
        corners = np.concatenate(
            [corners[~split], np.stack([a, m, c], axis=1), np.stack([m, b, c], axis=1)]
        )
        own, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
        own = own + generator.uniform(-1, 1, own.shape) * JITTER * size
        faces = index.reshape(-1, 3)
        if generator.random() < flipped_share:
            faces = faces[:, ::-1]
        parts.append(trimesh.Trimesh(own, faces, process=False))
    whole = trimesh.util.concatenate(parts)
    faces = generator.permutation(whole.faces)
    return trimesh.Trimesh(whole.vertices, faces, process=False, validate=False)


def differing(mesh, other):
    """Of points that are farther from the surface than ten times the jitter, who differ."""
    points = mesh.bounds.mean(axis=0) + 1.1 * _PROBES * mesh.extents
    squared, _, _ = igl.point_mesh_squared_distance(points, mesh.vertices, mesh.faces)
    points = points[np.sqrt(squared) > 10 * JITTER * mesh.extents.max()]
    return int((inside_test(mesh)(points) != inside_test(other)(points)).sum())


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(list(SHAPES)), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_cutting_a_surface_apart_changes_nothing(shape, count, seed):
    mesh = SHAPES[shape]()
    repaired = repair_mesh(cut_apart(mesh, count, 0.0, seed), shape)
    assert repaired.turned_faces == 0
    assert differing(mesh, repaired.mesh) == 0


def test_patches_wound_backwards_are_mended_or_refused():
    # Whether a closed surface in another is a cavity is told by nothing but its winding.
    shapes = [make for name, make in SHAPES.items() if name != "hollow ball"]
    refused = 0
    for seed in range(0, 60, 5):
        mesh = shapes[seed % len(shapes)]()
        try:
            repaired = repair_mesh(cut_apart(mesh, 2 + seed, 0.3, seed), "patches")
        except MeshError:
            refused += 1
            continue
        assert differing(mesh, repaired.mesh) == 0, seed
    assert refused <= 1


def half_torus(outer, sections, inside_out=False):
    """The half of a torus' tube that faces outwards, or the one that faces the axis."""
    around, along = np.meshgrid(
        np.linspace(0, 2 * np.pi, sections, endpoint=False),
        np.linspace(-np.pi / 2, np.pi / 2, 9) + (0 if outer else np.pi),
        indexing="ij",
    )
    radius = 3 + np.cos(along)
    points = np.stack(
        [radius * np.cos(around), radius * np.sin(around), np.sin(along)], axis=-1
    ).reshape(-1, 3)
    number = np.arange(len(points)).reshape(around.shape)
    a, b = number[:, :-1], np.roll(number, -1, axis=0)[:, :-1]
    c, d = np.roll(number, -1, axis=0)[:, 1:], number[:, 1:]
    quads = np.stack([a, b, c, d], axis=-1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return trimesh.Trimesh(points, faces[:, ::-1] if inside_out else faces, process=False)


@pytest.mark.parametrize("inside_out", [False, True])
def test_halves_that_do_not_meet_are_not_judged_by_their_own_volumes(inside_out):
    halves = half_torus(True, 50, inside_out) + half_torus(False, 36, inside_out)
    repaired = repair_mesh(halves, "halves")
    assert repaired.turned_faces == (len(halves.faces) if inside_out else 0)
    points = 2.2 * np.array([4, 4, 1]) * _PROBES
    ring = np.linalg.norm(points[:, :2], axis=1)
    distance = np.hypot(ring - 3, points[:, 2])
    inside = inside_test(repaired.mesh)(points)
    assert inside[distance < 0.95].all()
    assert not inside[distance > 1.05].any()


def test_an_open_body_inside_out_beside_a_right_one_is_turned():
    domes = []
    for shift in (0, 5):
        dome = trimesh.creation.icosphere(subdivisions=3)
        dome.update_faces(dome.triangles_center[:, 2] > -0.5)
        domes.append(dome.apply_translation((shift, 0, 0)))
    domes[1].invert()
    repaired = repair_mesh(domes[0] + domes[1], "domes")
    assert repaired.turned_faces == len(domes[1].faces)
    assert inside_test(repaired.mesh)([(0, 0, 0.5), (5, 0, 0.5)]).all()


def test_a_pipe_whose_walls_do_not_meet_stays_open():
    outer = trimesh.creation.cylinder(1.0, 6.0, sections=40)
    outer.update_faces(np.abs(outer.face_normals[:, 2]) < 0.5)
    inner = trimesh.creation.cylinder(0.6, 6.0, sections=28)
    inner.update_faces(np.abs(inner.face_normals[:, 2]) < 0.5)
    inner.invert()
    repaired = repair_mesh(outer + inner, "pipe")
    assert repaired.turned_faces == 0
    inside = inside_test(repaired.mesh)([(0.8, 0, 0), (0, 0.8, 1), (0, 0, 0), (0.2, 0, 1)])
    assert inside.tolist() == [True, True, False, False]


def test_a_flipped_patch_is_mended_and_both_figures_are_told():
    mesh = trimesh.creation.icosphere(subdivisions=4)
    faces = mesh.faces.copy()
    patch = mesh.triangles_center[:, 2] > 0.95
    faces[patch] = faces[patch][:, ::-1]
    repaired = repair_mesh(trimesh.Trimesh(mesh.vertices, faces, process=False), "ball")
    assert repaired.turned_faces == repaired.mended_faces == patch.sum()
    assert repaired.unclear_as_given > 0.002
    assert repaired.unclear_as_turned == 0
    assert "unclear before: " in repaired.turning


def test_a_repair_that_makes_nothing_clearer_is_not_kept():
    # Nothing makes a Moebius strip's faces agree; wherever the disagreement is put, it stays.
    turns = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    across = np.array([np.cos(turns / 2) * np.cos(turns), np.cos(turns / 2) * np.sin(turns)])
    middle = np.stack([3 * np.cos(turns), 3 * np.sin(turns), 0 * turns], axis=1)
    away = np.stack([*across, np.sin(turns / 2)], axis=1)
    vertices = np.concatenate([middle + away, middle - away])
    a = np.arange(30)
    b = np.append(a[1:], 30)
    c = np.append(a[1:] + 30, 0)
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, a + 30], axis=1)])
    # A second disagreement, which turning faces can move but not remove.
    faces[7] = faces[7][::-1]
    ball = trimesh.creation.icosphere(subdivisions=2).apply_translation((9, 0, 0))
    points = np.concatenate([vertices, ball.vertices]) / 10
    given = np.concatenate([faces, ball.faces + len(vertices)])
    found = orient(points, given)
    assert found.mended <= 1
    np.testing.assert_array_equal(found.faces[8:], given[8:])


@pytest.mark.parametrize("wall", [False, True])
def test_copies_cut_along_other_diagonals_are_one_surface(wall):
    corners = [(x, y, z) for x in (0, 1, 2) for y in (0, 1) for z in (0, 1)]

    def box(k):
        a, b = 4 * k, 4 * k + 4
        return [
            (a, a + 1, a + 3, a + 2),
            (b, b + 2, b + 3, b + 1),
            (a, b, b + 1, a + 1),
            (a + 2, a + 3, b + 3, b + 2),
            (a, a + 2, b + 2, b),
            (a + 1, b + 1, b + 3, a + 3),
        ]

    first = np.array(box(0))
    second = np.roll(np.array(box(1)), 1, axis=1) if wall else first[:, ::-1]
    faces = np.concatenate([q[:, c] for q in (first, second) for c in ([0, 1, 2], [0, 2, 3])])
    repaired = repair_mesh(trimesh.Trimesh(corners, faces, process=False), "copies")
    assert repaired.mesh.is_watertight
    assert repaired.mesh.volume == pytest.approx(2 if wall else 1)
    assert len(repaired.mesh.faces) == (20 if wall else 12)


@pytest.mark.parametrize("wall", [3e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("inside_out", [False, True])
def test_a_cavity_behind_a_thin_wall_stays_one(wall, inside_out):
    inner = trimesh.creation.box(bounds=[[wall] * 3, [1 - wall] * 3])
    inner.invert()
    hollow = trimesh.creation.box(bounds=[[0] * 3, [1] * 3]) + inner
    if inside_out:
        hollow.invert()
    repaired = repair_mesh(hollow, "hollow")
    assert repaired.turned_faces == (24 if inside_out else 0)
    assert repaired.mesh.volume == pytest.approx(1 - (1 - 2 * wall) ** 3)


def both_ways(*meshes):
    whole = trimesh.util.concatenate(meshes)
    faces = np.concatenate([whole.faces, whole.faces[:, ::-1]])
    return trimesh.Trimesh(whole.vertices, faces, process=False)


def test_bodies_given_both_ways_that_share_an_edge_stay():
    boxes = [
        trimesh.creation.box(bounds=[at, np.add(at, 1)]) for at in ([0, 0, 0], [1, 1, 0], [3, 0, 0])
    ]
    repaired = repair_mesh(both_ways(*boxes), "boxes")
    assert repaired.duplicate_faces == 36
    inside = inside_test(repaired.mesh)([(0.5, 0.5, 0.5), (1.5, 1.5, 0.5), (3.5, 0.5, 0.5)])
    assert inside.all()


@pytest.mark.slow
def test_many_copies_of_one_vertex_are_one():
    # The spokes of a fan meet in its hub, each with a hub of its own that is off by rounding.
    generator = np.random.default_rng(0)
    cone = trimesh.creation.cone(1.0, 2.0, sections=600)
    corners = cone.triangles.reshape(-1, 3)
    corners = corners + generator.uniform(-1e-6, 1e-6, corners.shape)
    faces = np.arange(len(corners)).reshape(-1, 3)
    soup = trimesh.Trimesh(corners, faces, process=False)
    repaired = repair_mesh(soup, "cone")
    assert repaired.turned_faces == 0
    turned = generator.random(len(faces)) < 0.4
    faces[turned] = faces[turned][:, ::-1]
    repaired = repair_mesh(trimesh.Trimesh(corners, faces, process=False), "cone")
    assert repaired.turned_faces == turned.sum()


def test_any_number_of_open_bodies_inside_out_is_turned():
    balls = []
    for k in range(60):
        ball = trimesh.creation.icosphere(subdivisions=1).apply_translation((3 * k, 0, 0))
        ball.update_faces(np.arange(len(ball.faces)) != 3)
        ball.invert()
        balls.append(ball)
    repaired = repair_mesh(trimesh.util.concatenate(balls), "balls")
    assert repaired.turned_faces == len(repaired.given_faces)
