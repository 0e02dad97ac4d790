import numpy as np
import pytest
import trimesh

from doh3d.geometry import pieces
from doh3d.geometry.distance import triangle_distance
from doh3d.geometry.pieces import in_pieces


@pytest.mark.parametrize(
    "mesh",
    [
        trimesh.creation.cylinder(radius=0.2, height=1.8, sections=400),
        trimesh.creation.box((1.8, 1.2, 0.6)),
    ],
    ids=["slivers as long as the shape", "two huge triangles a side"],
)
def test_pieces_are_short_and_lie_on_what_they_are_pieces_of(mesh):
    corners = np.asarray(mesh.triangles)
    cut, whole = in_pieces(corners)
    assert len(cut) == len(whole) > 2 * len(corners)
    edges = np.linalg.norm(cut - np.roll(cut, 1, axis=1), axis=2)
    assert edges.max() <= 0.4
    areas = np.bincount(whole, trimesh.triangles.area(cut))
    np.testing.assert_allclose(areas, mesh.area_faces)
    for corner in cut.swapaxes(0, 1):
        assert triangle_distance(corner, corners[whole]).max() < 1e-15


def test_triangles_that_are_short_stay_as_they_are(sphere):
    corners = np.asarray(sphere.triangles) / 10
    cut, whole = in_pieces(corners)
    np.testing.assert_array_equal(cut, corners)
    np.testing.assert_array_equal(whole, np.arange(len(corners)))


def test_cutting_stops_before_there_are_too_many_pieces():
    needles = trimesh.creation.cylinder(radius=0.9, height=1.8, sections=100_000)
    cut, _ = in_pieces(np.asarray(needles.triangles))
    assert len(cut) <= pieces._MOST_PIECES + 2 * len(needles.faces)
