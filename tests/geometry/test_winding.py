"""Winding numbers: both ways give the same, and neither is slow."""

import weakref

import numpy as np
import pytest
import trimesh

from doh3d.errors import MeshError
from doh3d.geometry import volume, winding
from doh3d.geometry.crossings import RayCrossings, caps
from doh3d.geometry.half_edges import open_edge_count
from doh3d.geometry.mesh import clean_mesh
from doh3d.geometry.winding import _Rays, _Tree, nearby, winding_of


def arrays(mesh):
    return np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces, dtype=np.int64)


def some_points(count=4000):
    return np.random.default_rng(0).uniform(-1, 1, (count, 3))


def fan_cylinder(sides):
    """Radius 0.9, from -0.5 to 0.5, its lids fans from their middles."""
    turn = np.arange(sides) * 2 * np.pi / sides
    rim = 0.9 * np.column_stack([np.cos(turn), np.sin(turn)])
    low, high = (np.column_stack([rim, np.full(sides, z)]) for z in (-0.5, 0.5))
    a, b = np.arange(sides), (np.arange(sides) + 1) % sides
    middle = np.full(sides, 2 * sides)
    faces = [
        np.column_stack(corners)
        for corners in (
            (middle, b, a),
            (middle + 1, a + sides, b + sides),
            (a, b, b + sides),
            (a, b + sides, a + sides),
        )
    ]
    return np.vstack([low, high, [[0, 0, -0.5], [0, 0, 0.5]]]), np.concatenate(faces)


def in_cylinder(points):
    """Who is inside, and for whom the sides of the cylinder make no difference."""
    radius = np.linalg.norm(points[:, :2], axis=1)
    return (radius < 0.9) & (np.abs(points[:, 2]) < 0.5), np.abs(radius - 0.9) > 1e-4


class TestCrossings:
    def test_count_what_the_tree_measures(self, torus, sphere, box):
        for mesh in (torus, sphere, box, trimesh.util.concatenate([torus, sphere])):
            points, faces = arrays(mesh)
            expected = _Tree.of(points, faces).winding_number(some_points())
            found = RayCrossings.of(points, faces).winding_number(some_points())
            # Where the tree is near a half, a point is near the surface.
            clear = np.abs(expected - np.rint(expected)) < 0.1
            assert clear.mean() > 0.99
            np.testing.assert_array_equal(found[clear], np.rint(expected)[clear])

    def test_points_above_corners_and_edges_and_on_the_surface(self):
        box = trimesh.creation.box((1, 1, 1))
        points, faces = arrays(box.subdivide())
        grid = np.stack(np.meshgrid(*[np.arange(-4, 5) / 4] * 3, indexing="ij"), axis=-1)
        grid = grid.reshape(-1, 3)
        found = RayCrossings.of(points, faces).winding_number(grid)
        inside = (np.abs(grid) < 0.5).all(axis=1)
        outside = (np.abs(grid) > 0.5).any(axis=1)
        assert (found[inside] == 1).all()
        assert (found[outside] == 0).all()
        # On the surface either is right, and a wall seen from its edge may count against it.
        assert set(found.tolist()) <= {-1.0, 0.0, 1.0}

    def test_work_is_what_lies_in_a_column(self):
        crossings = RayCrossings.of(*fan_cylinder(5000))
        assert crossings.candidates(some_points()).mean() < 100

    def test_how_many_are_asked_decides_the_sorting_only(self, torus):
        points, faces = arrays(torus)
        fine = RayCrossings.of(points, faces)
        coarse = RayCrossings.of(points, faces, asked=10_000)
        assert 4 * len(coarse.entries) < len(fine.entries)
        for found, expected in zip(
            coarse.crossings(some_points()), fine.crossings(some_points()), strict=True
        ):
            np.testing.assert_array_equal(found, expected)

    def test_memory_is_bounded_where_every_triangle_covers_all(self):
        generator = np.random.default_rng(0)
        corners = generator.normal(size=(2000, 3, 3))
        points = corners.reshape(-1, 3)
        faces = np.arange(6000).reshape(-1, 3)
        crossings = RayCrossings.of(points, np.concatenate([faces, faces[:, ::-1]]))
        assert len(crossings.entries) < 3 << 20
        assert not crossings.winding_number(some_points(100)).any()


def test_a_surface_is_prepared_once_while_someone_holds_it(torus, sphere):
    points, faces = arrays(torus)
    first = winding_of(points, faces)
    assert winding_of(points.copy(), np.asfortranarray(faces)) is first
    assert winding_of(points, faces[:, ::-1]) is not first
    assert winding_of(points + 1e-9, faces) is not first
    held = weakref.ref(first)
    del first
    assert held() is None


def test_triangles_near_by_are_counted(torus):
    points, faces = arrays(torus)
    corners = points[faces]
    middles = corners.mean(axis=1)
    reach = 2 * np.linalg.norm(corners - middles[:, None], axis=2).max(axis=1)
    counts = [
        (np.linalg.norm(middles - probe, axis=1) < reach).sum()
        for probe in winding._probes(points, faces)
    ]
    assert nearby(points, faces) == np.mean(counts)


class TestCaps:
    def test_closed_surfaces_need_none(self, torus):
        assert len(caps(*arrays(torus))) == 0

    @pytest.mark.parametrize("dropped", [1, 2, 500])
    def test_what_is_open_is_closed(self, torus, dropped):
        points, faces = arrays(torus)
        kept = np.random.default_rng(dropped).permutation(faces)[dropped:]
        assert open_edge_count(kept) > 0
        assert open_edge_count(np.concatenate([kept, caps(points, kept)])) == 0

    def test_loose_triangles_and_edges_of_three(self):
        points = np.random.default_rng(0).normal(size=(30, 3))
        faces = np.random.default_rng(1).permuted(np.tile(np.arange(30), (20, 1)), axis=1)[:, :3]
        assert open_edge_count(np.concatenate([faces, caps(points, faces)])) == 0

    def test_winding_numbers_of_an_open_surface(self, sphere):
        points, faces = arrays(sphere)
        faces = faces[points[faces][:, :, 2].mean(axis=1) < 0.5]
        expected = _Tree.of(points, faces).winding_number(some_points())
        found = _Rays.of(points, faces, caps(points, faces)).winding_number(some_points())
        np.testing.assert_allclose(found, expected, atol=0.02)


class TestChoice:
    def test_ordinary_meshes_go_by_the_tree(self, torus, sphere, box):
        for mesh in (torus, sphere, box):
            assert isinstance(winding_of(*arrays(mesh)), _Tree)

    @pytest.mark.parametrize("open_at", [0, pytest.param(1, marks=pytest.mark.slow), 5000])
    def test_slivers_go_by_rays_and_are_quick(self, open_at):
        points, faces = fan_cylinder(5000)
        faces = faces[open_at:]
        winding = winding_of(points, faces)
        assert winding.work < 200
        probes = some_points()
        inside, clear = in_cylinder(probes)
        if open_at > 1:
            # Without its lower lid there is a guess before the opening.
            clear &= probes[:, 2] > 0
        found = winding.winding_number(probes) > 0.5
        np.testing.assert_array_equal(found[clear], inside[clear])

    @pytest.mark.slow
    def test_parallel_walls_are_seen_from_their_edges(self):
        # A row of blades: a ray across them would meet thousands of walls.
        blades = [trimesh.creation.box((1e-4, 1, 0.5)) for _ in range(3000)]
        for blade, x in zip(blades, np.linspace(-0.9, 0.9, 3000), strict=True):
            blade.apply_translation((x, 0, 0))
        assert winding_of(*arrays(trimesh.util.concatenate(blades))).work < 100


def test_a_mesh_that_either_way_is_slow_for_is_refused(monkeypatch):
    # A ball with a tangle of needles through it, too thin to have volume of their own.
    ball = trimesh.creation.icosphere(subdivisions=3)
    generator = np.random.default_rng(0)
    ends = generator.normal(size=(600, 2, 3))
    ends *= 0.9 / np.linalg.norm(ends, axis=2, keepdims=True)
    third = ends[:, 1] + generator.normal(scale=1e-7, size=(600, 3))
    needles = np.concatenate([ends, third[:, None]], axis=1).reshape(-1, 3)
    mesh = trimesh.util.concatenate(
        [ball, trimesh.Trimesh(needles, np.arange(1800).reshape(-1, 3), process=False)]
    )
    assert volume.MOST_WORK == 3000
    monkeypatch.setattr(volume, "MOST_WORK", 30)
    with pytest.raises(MeshError, match="at most 30 may; remesh it"):
        clean_mesh(mesh, "needles")
