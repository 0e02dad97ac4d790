import numpy as np
import pytest
import trimesh

from dense_extraction import dense_surface
from doh3d.geometry.mesh import clean_mesh
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.topology import Topology, mesh_topology


def ball(radius=1.0, at=(0.0, 0.0, 0.0)):
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=radius)
    return mesh.apply_translation(at)


def plate_with_holes(count):
    """A plate with a row of `count` square holes through it."""
    values = np.full((4 * count + 4, 8, 5), -1.0, dtype=np.float32)
    values[1:-1, 1:-1, 1:-1] = 1.0
    for hole in range(count):
        values[4 * hole + 3 : 4 * hole + 5, 3:5] = -1.0
    return trimesh.Trimesh(*dense_surface(values), process=False)


def hollow(mesh, cavity):
    inner = cavity.copy()
    inner.invert()
    return mesh + inner


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (ball(), Topology(1, 0, 0)),
        (trimesh.creation.torus(1.0, 0.3), Topology(1, 0, 1)),
        (plate_with_holes(3), Topology(1, 0, 3)),
        (ball() + ball(at=(3, 0, 0)) + ball(at=(0, 3, 0)), Topology(3, 0, 0)),
        (ball() + trimesh.creation.torus(1.0, 0.3).apply_translation((5, 0, 0)), Topology(2, 0, 1)),
        # A body of 0.08% of the volume is a speck, one of 0.8% is not.
        (ball() + ball(0.093, at=(2, 0, 0)), Topology(1, 1, 0)),
        (ball() + ball(0.2, at=(2, 0, 0)), Topology(2, 0, 0)),
        # A cavity is no body; one with a hole through it counts.
        (hollow(ball(), ball(0.5)), Topology(1, 0, 0)),
        (hollow(ball(), trimesh.creation.torus(0.5, 0.2)), Topology(1, 0, 1)),
        (trimesh.Trimesh(), Topology(0, 0, 0)),
    ],
    ids=["ball", "torus", "plate", "three", "two", "speck", "small", "cavity", "tunnel", "empty"],
)
def test_known_shapes(mesh, expected):
    assert mesh_topology(mesh) == expected
    if len(mesh.faces):
        moved = mesh.copy().apply_scale(1e-3).apply_translation((100, 0, 0))
        assert mesh_topology(moved) == expected
        # A reference is asked what is inside as well, and says the same.
        assert mesh_topology(mesh, inside_test(mesh)) == expected


def test_cones_that_touch_in_a_vertex_are_two():
    first = trimesh.creation.box((1, 1, 1)).apply_translation((0.5, 0.5, 0.5))
    second = first.copy().apply_translation((-1, -1, -1))
    touching = clean_mesh(first + second, "touching")
    assert len(touching.vertices) == 15
    assert mesh_topology(touching) == Topology(2, 0, 0)


def test_bodies_that_overlap_are_one_of_unknown_genus():
    mesh = clean_mesh(ball() + ball(at=(1, 0, 0)), "overlapping")
    assert mesh_topology(mesh, inside_test(mesh)) == Topology(1, 0, None)


def test_an_open_surface_has_components_but_no_genus():
    bowl = trimesh.creation.icosphere(subdivisions=3)
    bowl.update_faces(bowl.triangles_center[:, 2] < 0.8)
    mesh = clean_mesh(bowl, "bowl")
    assert mesh_topology(mesh, inside_test(mesh)) == Topology(1, 0, None)
    two = clean_mesh(bowl + bowl.copy().apply_translation((4, 0, 0)), "bowls")
    assert mesh_topology(two, inside_test(two)) == Topology(2, 0, None)


def test_a_surface_that_is_no_manifold_has_no_genus():
    # Two cubes that share an edge.
    first = trimesh.creation.box((1, 1, 1))
    mesh = clean_mesh(first + first.copy().apply_translation((1, 1, 0)), "edge")
    assert len(mesh.vertices) == 14
    topology = mesh_topology(mesh, inside_test(mesh))
    assert topology.genus is None
    assert topology.components == 1


def test_faces_in_any_order_give_the_same():
    mesh = plate_with_holes(2)
    rng = np.random.default_rng(0)
    shuffled = trimesh.Trimesh(
        mesh.vertices, np.roll(rng.permutation(mesh.faces), 1, axis=1), process=False
    )
    assert mesh_topology(shuffled) == Topology(1, 0, 2)
