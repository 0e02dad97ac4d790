"""Readings: where the repair and the file's own faces differ, somebody is told."""

import numpy as np
import pytest
import trimesh

from doh3d.geometry.judge import Judge
from doh3d.geometry.mesh import repair_mesh
from doh3d.geometry.occupancy import InsideTest
from doh3d.geometry.raw_mesh import RawMesh
from doh3d.geometry.reading import Reading, read_shape

pytestmark = pytest.mark.usefixtures("usual_surveys")


def reading(mesh):
    raw = RawMesh(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    return Reading(raw, repair_mesh(raw, "mesh"))


def test_a_sound_mesh_is_surveyed_without_a_word(torus):
    found = read_shape(torus)
    assert found.warnings == ()
    survey = found.survey
    assert (survey.unclear, survey.overlap, survey.undecided, survey.difference) == (0, 0, 0, 0)
    assert survey.fill == pytest.approx(torus.volume / np.prod(torus.extents), rel=0.02)


def test_an_opening_is_told_with_its_share(sphere):
    sphere.update_faces(sphere.triangles_center[:, 2] < 0.3)
    found = reading(sphere)
    assert found.survey.unclear > 0.1
    assert found.warnings[0].startswith("the surface leaves open what is inside in ")


def test_a_repair_that_changes_the_shape_is_told_with_its_share(torus):
    found = reading(torus)
    wrong = torus.convex_hull
    shown = Reading(found.raw, repair_mesh(wrong, "wrong"))
    share = abs(wrong.volume - torus.volume) / torus.volume
    assert shown.survey.difference == pytest.approx(share, rel=0.02)
    assert shown.warnings == (
        f"the repaired mesh differs from the file's own faces in {shown.survey.difference:.1%} "
        "of their volume; IoU is measured against these",
    )


def test_winding_numbers_are_measured_once_where_repair_has_changed_nothing(sphere, monkeypatch):
    sphere.update_faces(sphere.triangles_center[:, 2] < 0.3)
    found = reading(sphere)
    assert found.judge.method == "both"
    assert found.judge.asks(found.inside)
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    winding = found.inside.winding_numbers(points)
    np.testing.assert_array_equal(found.judge(points, winding), found.judge(points))
    measured = []
    ask = InsideTest.winding_numbers
    monkeypatch.setattr(
        InsideTest,
        "winding_numbers",
        lambda test, points: measured.append(len(points)) or ask(test, points),
    )
    assert found.survey.fill > 0.2
    assert sum(measured) == 64**3


def test_a_judge_of_other_faces_measures_for_itself(sphere):
    found = reading(sphere)
    smaller = sphere.copy()
    smaller.update_faces(smaller.triangles_center[:, 2] < 0.3)
    assert not Judge.of(smaller).asks(found.inside)


def test_what_nothing_tells_is_told(sphere):
    faces = sphere.faces.copy()
    # Enough faces agree for their winding to count, and rays contradict it in a large part.
    half = sphere.triangles_center[:, 0] > 0
    faces[half] = faces[half][:, ::-1]
    found = reading(trimesh.Trimesh(sphere.vertices, faces, process=False))
    assert found.survey.difference < 0.005
    assert found.survey.undecided > 0.1
    assert found.warnings == (
        f"windings and rays disagree on what is inside in {found.survey.undecided:.1%} of the "
        "volume, which IoU leaves out",
    )


@pytest.mark.slow
def test_thin_shapes_are_surveyed_on_more_points():
    plate = trimesh.creation.box((1, 1, 0.004)).apply_transform(
        trimesh.transformations.rotation_matrix(0.7, (1, 1, 0))
    )
    survey = reading(plate).survey
    assert survey.fill == pytest.approx(plate.volume / np.prod(plate.extents), rel=0.05)
