from __future__ import annotations

import numpy as np
import trimesh

from doh3d.view.shading import Surface, shade


def test_curved_parts_are_smooth(sphere):
    surface = Surface.of(sphere.vertices, sphere.faces)
    assert len(surface.vertices) == len(sphere.vertices)
    np.testing.assert_array_equal(surface.faces, sphere.faces)
    np.testing.assert_allclose(surface.normals, sphere.vertices / 0.9, atol=0.01)


def test_edges_are_sharp(box):
    surface = Surface.of(box.vertices, box.faces)
    assert len(surface.vertices) == 8 + 36
    for face, normal in zip(surface.faces, box.face_normals, strict=True):
        np.testing.assert_allclose(surface.normals[face], [normal] * 3, atol=1e-9)
    corners = box.vertices[box.faces]
    np.testing.assert_array_equal(surface.vertices[surface.faces], corners)


def test_both_sides_of_a_face_are_lit_alike():
    triangle = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    for corners in ([0, 1, 2], [0, 2, 1]):
        faces, colours = shade(Surface.of(triangle, np.array([corners])))
        seen = colours[faces[0]]
        np.testing.assert_allclose(seen, seen[:1].repeat(3, axis=0))
        assert seen.min() > 0.4


def test_a_degenerate_face_is_no_error():
    flat = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False)
    faces, colours = shade(Surface.of(flat.vertices, flat.faces))
    assert np.isfinite(colours[faces]).all()
