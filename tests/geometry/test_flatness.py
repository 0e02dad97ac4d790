"""How flat a surface is."""

import numpy as np
import pytest
import trimesh

from doh3d.geometry.flatness import flat_share


def turned(mesh):
    mesh.apply_transform(trimesh.transformations.rotation_matrix(1.0, [0.1, 0.6, 0.8]))
    return mesh


def test_a_cube_is_flat_but_at_its_edges():
    share = flat_share(trimesh.creation.box((1.8, 1.8, 1.8)))
    # Sides at right angles face another side: what is around an edge is flat, too.
    assert share == 1.0


def test_a_ball_of_small_triangles_is_not_flat():
    assert flat_share(trimesh.creation.icosphere(subdivisions=5, radius=0.9)) < 0.05


def test_both_sides_of_a_thin_plate_are_flat():
    assert flat_share(trimesh.creation.box((1.8, 1.8, 0.01))) > 0.99


def test_steps_no_higher_than_a_side_are_not_one_plane():
    """Around a point of one step half of what faces its side is on others."""
    steps = [trimesh.creation.box((0.05, 1.8, 0.05 * k)) for k in range(1, 37)]
    for k, step in enumerate(steps):
        step.apply_translation((0.05 * k - 0.9, 0, 0.025 * (k + 1) - 0.9))
    stairs = trimesh.boolean.union(steps)
    assert 0.5 < flat_share(stairs) < 0.85


@pytest.mark.parametrize("parts", [1, 3])
def test_it_does_not_depend_on_the_axes_or_the_triangles(parts):
    part = trimesh.creation.cylinder(0.9, 0.6, sections=200)
    for _ in range(parts - 1):
        part = part.subdivide()
    share, other = flat_share(part), flat_share(turned(part.copy()))
    assert share == pytest.approx(0.75, abs=0.1)
    assert other == pytest.approx(share, abs=0.02)


def test_it_is_the_same_each_time():
    mesh = trimesh.creation.torus(0.6, 0.3)
    assert flat_share(mesh) == flat_share(mesh)
    assert np.isfinite(flat_share(mesh))
