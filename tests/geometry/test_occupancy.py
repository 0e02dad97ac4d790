import sys

import numpy as np
import pytest
import trimesh

from doh3d.geometry import occupancy, pieces
from doh3d.geometry.mesh import clean_mesh, load_mesh
from doh3d.geometry.occupancy import inside_test


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(-1, 1, (20_000, 3))


def in_ball(points, radius, margin):
    """Tell who is inside a ball, and for whom the faceted ball may differ."""
    distance = np.linalg.norm(points, axis=1)
    return distance < radius, np.abs(distance - radius) > margin


@pytest.mark.parametrize("reproducible", [True, False])
def test_ball(sphere, points, reproducible):
    expected, clear = in_ball(points, 0.9, 0.003)
    inside = inside_test(sphere, reproducible=reproducible)(points)
    assert inside.dtype == np.bool_
    np.testing.assert_array_equal(inside[clear], expected[clear])


@pytest.mark.parametrize("reproducible", [True, False])
def test_torus_has_a_hole(torus, points, reproducible):
    ring = np.hypot(points[:, 0], points[:, 1]) - 0.65
    distance = np.hypot(ring, points[:, 2])
    clear = np.abs(distance - 0.25) > 0.005
    inside = inside_test(torus, reproducible=reproducible)(points)
    np.testing.assert_array_equal(inside[clear], (distance < 0.25)[clear])


@pytest.mark.parametrize("reproducible", [True, False])
@pytest.mark.parametrize(("scale", "shift"), [(1e-7, 0.0), (1e5, 0.0), (1.0, 1e6), (1e-3, -50.0)])
def test_units_and_place_do_not_matter(box, points, reproducible, scale, shift):
    moved = trimesh.Trimesh(box.vertices * scale + shift, box.faces, process=False)
    inside = inside_test(moved, reproducible=reproducible)(points * scale + shift)
    expected = (np.abs(points) < [0.9, 0.6, 0.3]).all(axis=1)
    np.testing.assert_array_equal(inside, expected)


def test_ray_test_only_on_request_and_only_where_it_is_right(sphere, meshes_folder):
    pytest.importorskip("pysdf")
    assert inside_test(sphere).method == "winding_number"
    assert inside_test(sphere, reproducible=False).method == "pysdf"
    # Closed, but two bodies.
    bodies = load_mesh(meshes_folder / "two_bodies.off")
    assert inside_test(bodies, reproducible=False).method == "winding_number"
    # Open.
    cut = trimesh.Trimesh(sphere.vertices, sphere.faces[10:], process=False)
    assert inside_test(cut, reproducible=False).method == "winding_number"


def test_self_intersecting_body_goes_by_winding_number():
    # A tube that runs twice round almost the same circle: one body, overlapping itself.
    turns, sides = 128, 16
    t = np.linspace(0, 4 * np.pi, turns, endpoint=False)[:, None]
    s = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :]
    radius = 1 + 0.05 * np.cos(t / 2) + 0.2 * np.cos(s)
    height = 0.05 * np.sin(t / 2) + 0.2 * np.sin(s)
    vertices = np.stack([radius * np.cos(t), radius * np.sin(t), height], axis=-1).reshape(-1, 3)
    i, j = (k.ravel() for k in np.meshgrid(np.arange(turns), np.arange(sides), indexing="ij"))
    a, b = i * sides + j, (i + 1) % turns * sides + j
    c, d = i * sides + (j + 1) % sides, (i + 1) % turns * sides + (j + 1) % sides
    faces = np.vstack([np.column_stack([a, b, d]), np.column_stack([a, d, c])])
    mesh = clean_mesh(trimesh.Trimesh(vertices, faces, process=False), "tube")
    assert mesh.is_watertight
    assert mesh.body_count == 1
    test = inside_test(mesh, reproducible=False)
    assert test.method == "winding_number"
    # The middle of the tube lies in both of its turns, which parity would call outside.
    assert test(np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 0]])).tolist() == [True, True, False]


def test_without_pysdf(sphere, points, monkeypatch):
    monkeypatch.setitem(sys.modules, "pysdf", None)
    test = inside_test(sphere, reproducible=False)
    assert test.method == "winding_number"
    np.testing.assert_array_equal(test(points), inside_test(sphere)(points))


def test_cavity(points):
    shell = trimesh.util.concatenate(
        [
            trimesh.creation.icosphere(subdivisions=3, radius=0.9),
            trimesh.creation.icosphere(subdivisions=3, radius=0.5),
        ]
    )
    faces = shell.faces.copy()
    faces[len(faces) // 2 :] = faces[len(faces) // 2 :, ::-1]
    mesh = clean_mesh(trimesh.Trimesh(shell.vertices, faces, process=False), "shell")
    expected, clear = in_ball(points, 0.9, 0.01)
    hollow, clear_of_hollow = in_ball(points, 0.5, 0.01)
    clear &= clear_of_hollow
    np.testing.assert_array_equal(inside_test(mesh)(points)[clear], (expected & ~hollow)[clear])


def test_open_surface_ends_at_its_bounding_box(points):
    box = trimesh.creation.box((1, 1, 1))
    cup = trimesh.Trimesh(box.vertices, box.faces[box.face_normals[:, 2] < 0.5], process=False)
    # A second cup in the first: before their opening more than half of all directions count.
    second = cup.copy()
    second.apply_scale((0.95, 0.95, 1))
    cup = trimesh.util.concatenate([cup, second])
    inside = inside_test(cup)(points)
    assert not inside[(np.abs(points) > 0.5).any(axis=1)].any()
    assert inside[(np.abs(points) < 0.4).all(axis=1)].all()


@pytest.mark.parametrize("reproducible", [True, False])
def test_chunks_and_order_do_not_matter(sphere, points, monkeypatch, reproducible):
    test = inside_test(sphere, reproducible=reproducible)
    whole = test(points)
    monkeypatch.setattr(occupancy, "_CHUNK", 999)
    np.testing.assert_array_equal(test(points), whole)
    order = np.random.default_rng(1).permutation(len(points))
    np.testing.assert_array_equal(test(points[order]), whole[order])


def test_the_same_every_time(torus):
    generator = np.random.default_rng(0)
    near = torus.triangles_center[generator.integers(0, len(torus.faces), 100_000)]
    near = near + generator.normal(0, 1e-6, near.shape)
    np.testing.assert_array_equal(inside_test(torus)(near), inside_test(torus)(near))


def test_odd_inputs(sphere):
    test = inside_test(sphere)
    assert test(np.zeros((0, 3))).shape == (0,)
    assert test(np.array([[0, 0, 0], [2, 0, 0]])).tolist() == [True, False]
    assert test([[np.nan, 0, 0], [np.inf, 0, 0]]).tolist() == [False, False]


def test_long_triangles_are_cut_without_changing_the_answer(monkeypatch):
    # A prism of slivers as long as the shape, and a box of two huge triangles a side.
    prism = trimesh.creation.cylinder(radius=0.2, height=1.8, sections=400)
    box = trimesh.creation.box((1.8, 1.2, 0.6))
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
    for mesh in (prism, box):
        answers = inside_test(mesh)(points)
        monkeypatch.setattr(pieces, "_MOST_PIECES", 0)
        assert np.array_equal(inside_test(mesh)(points), answers)
        monkeypatch.undo()
