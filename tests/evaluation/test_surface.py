from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import ConfigError, MeshError
from doh3d.evaluation.point_metrics import point_metrics
from doh3d.evaluation.surface import SurfaceMetrics, surface_metrics

# Of a sphere: how far its flat triangles are from it, at most.
FLATNESS = 3e-4


def sphere(radius=1.0, subdivisions=5):
    return trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)


def square(height=0.0, side=1.0):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]) * side
    faces = [[0, 1, 2], [0, 2, 3]]
    return trimesh.Trimesh(corners + [0, 0, height], faces, process=False)


def needles(width, count=300):
    """Triangles of length 1, each with two others that it shares long sides with."""
    rng = np.random.default_rng(1)
    start, along, aside = rng.normal(size=(3, count, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    aside = width * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    end = start + along
    corners = np.concatenate([start, end, start + aside, end + aside, start - aside])
    first = np.arange(count)
    faces = [[0, 1, 2], [1, 3, 2], [0, 4, 1]]
    return trimesh.Trimesh(
        corners,
        np.concatenate([first[:, None] + count * np.array(f) for f in faces]),
        process=False,
    )


def folded():
    """A square, the same again turned over, and a box that they cut."""
    doubled = trimesh.util.concatenate([square(), square(), trimesh.creation.box()])
    doubled.faces[2:4] = doubled.faces[2:4, ::-1]
    return doubled


def skewed(mesh):
    """A mesh turned and moved, so that samples of its faces do not lie exactly on them."""
    turned = mesh.copy()
    turned.apply_transform(trimesh.transformations.euler_matrix(0.3, 0.7, 0.1))
    turned.apply_translation([100, -20, 3])
    return turned


@pytest.mark.parametrize(
    "mesh",
    [
        sphere(subdivisions=4),
        trimesh.creation.box((1, 2, 1e-6)),
        square(),
        folded(),
        needles(1e-4),
        needles(1e-6),
        trimesh.creation.cylinder(1, 0.01, sections=1000),
    ],
    ids=["sphere", "plate", "open", "folded", "needles", "thinner needles", "lid of slivers"],
)
def test_a_surface_against_itself_is_perfect(mesh):
    metrics = surface_metrics(skewed(mesh), skewed(mesh), samples=20_000)
    assert metrics == SurfaceMetrics(0.0, 1.0, 1.0, 0.0, 0.0)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    faces=st.integers(1, 60),
    thinness=st.floats(0, 4),
    size=st.floats(-3, 3),
)
def test_any_triangles_against_themselves_are_perfect(seed, faces, thinness, size):
    corners = np.random.default_rng(seed).normal(size=(3 * faces, 3)) * 10**size
    corners[::3] = corners[1::3] + (corners[::3] - corners[1::3]) * 10**-thinness
    mesh = trimesh.Trimesh(corners, np.arange(3 * faces).reshape(-1, 3), process=False)
    metrics = surface_metrics(mesh, mesh, samples=500, seed=seed)
    assert metrics == SurfaceMetrics(0.0, 1.0, 1.0, 0.0, 0.0)


def test_concentric_spheres_are_as_far_apart_as_their_radii():
    metrics = surface_metrics(sphere(1), sphere(0.9))
    assert metrics.accuracy == pytest.approx(0.1, abs=FLATNESS)
    assert metrics.completeness == pytest.approx(0.1, abs=FLATNESS)
    assert metrics.chamfer_l1 == pytest.approx((metrics.accuracy + metrics.completeness) / 2)
    assert metrics.f_score == 0
    assert metrics.normal_consistency == pytest.approx(1, abs=1e-3)


def test_roles_change_sides():
    one, other = sphere(1, 4), sphere(0.9, 4)
    there, back = surface_metrics(one, other), surface_metrics(other, one)
    # The unit is half the reference's longest side.
    assert back.completeness * 0.9 == pytest.approx(there.accuracy, rel=1e-3)
    assert back.accuracy * 0.9 == pytest.approx(there.completeness, rel=1e-3)
    assert back.normal_consistency == pytest.approx(there.normal_consistency, abs=1e-4)


@pytest.mark.parametrize("height", [1e-6, 0.001, 0.0025])
def test_a_shifted_plane_is_as_far_as_it_was_shifted(height):
    # The unit square is scaled by two.
    metrics = surface_metrics(square(), square(height), samples=1000)
    assert metrics.chamfer_l1 == pytest.approx(2 * height)
    assert metrics.normal_consistency == 1
    # Nearer than the threshold, not as near.
    assert metrics.f_score == (2 * height < 0.005)


def test_accuracy_and_completeness_keep_their_sides():
    half = trimesh.Trimesh(square().vertices * [0.5, 1, 1], square().faces, process=False)
    missing = surface_metrics(square(), half, samples=50_000)
    # In the scaled unit the part that is missing is 1 wide: its points are 0.5 away on average.
    assert missing.completeness == pytest.approx(0.25, abs=0.01)
    assert missing.accuracy == 0
    doubled = trimesh.Trimesh(square().vertices * [2, 1, 1], square().faces, process=False)
    extra = surface_metrics(square(), doubled, samples=50_000)
    assert extra.accuracy == pytest.approx(0.5, abs=0.01)
    assert extra.completeness == 0


def test_f_score_is_the_harmonic_mean_of_precision_and_recall():
    half = trimesh.Trimesh(square().vertices * [0.5, 1, 1], square().faces, process=False)
    metrics = surface_metrics(square(), half, samples=50_000, threshold=0.02)
    # All of the half is right; half of the whole is found, and a strip 0.02 wide beside it.
    recall = 0.5 + 0.02 / 2
    assert metrics.f_score == pytest.approx(2 * recall / (1 + recall), abs=0.01)


def test_normals_count_whichever_way_they_point_and_crossing_ones_do_not():
    flipped = square()
    flipped.faces = flipped.faces[:, ::-1]
    assert surface_metrics(square(), flipped, samples=1000).normal_consistency == 1
    upright = square()
    upright.vertices = upright.vertices[:, [0, 2, 1]]
    crossing = surface_metrics(square(), upright, samples=1000).normal_consistency
    assert crossing == pytest.approx(0, abs=1e-9)


def test_samples_are_uniform_by_area():
    # A hundred slivers make up one hundredth of the surface, so they get as much of the samples.
    slivers = trimesh.util.concatenate([square(height=1), *(square(side=0.01) for _ in range(100))])
    reference = square(height=1)
    far = surface_metrics(reference, slivers, samples=100_000, threshold=0.1)
    # Precision is 100/101; recall is 1.
    assert far.f_score == pytest.approx(2 * (100 / 101) / (1 + 100 / 101), abs=1e-3)


def test_triangles_without_an_area_are_none():
    # The nearest place to half of the square; its normal would be no number.
    line = trimesh.Trimesh(
        [[0, 0, 0.001], [1, 1, 0.001], [0.5, 0.5, 0.001]], [[0, 1, 2]], process=False
    )
    metrics = surface_metrics(
        square(), trimesh.util.concatenate([square(0.01), line]), samples=1000
    )
    assert metrics.chamfer_l1 == pytest.approx(0.02)
    assert metrics.normal_consistency == 1


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    radius=st.floats(0.3, 1.2),
    edges=st.lists(st.floats(0.2, 2), min_size=3, max_size=3),
)
def test_a_surface_is_no_farther_than_its_samples(seed, radius, edges):
    one, other = skewed(sphere(radius, 2)), skewed(trimesh.creation.box(edges))
    surface = surface_metrics(one, other, samples=300, seed=seed)
    points = point_metrics(one, other, "necgs", samples=300, seed=seed)
    assert surface.chamfer_l1 <= points.chamfer_l1
    assert surface.f_score >= points.f_scores[0.005]


def test_surface_metrics_follow_the_seed():
    def measure(seed):
        return surface_metrics(sphere(1, 2), sphere(0.9, 2), samples=2000, seed=seed)

    assert measure(1) == measure(1)
    assert measure(1) != measure(2)


@settings(max_examples=20, deadline=None)
@given(
    scale=st.floats(1e-6, 1e6),
    shift=st.lists(st.floats(-100, 100), min_size=3, max_size=3),
)
def test_surface_metrics_do_not_depend_on_unit_or_place(scale, shift):
    one, other = sphere(1, 2), trimesh.creation.box((1.5, 1.5, 1.5))
    plain = surface_metrics(one, other, samples=500)
    for mesh in (one, other):
        mesh.vertices = (mesh.vertices + shift) * scale
    moved = surface_metrics(one, other, samples=500)
    assert moved.chamfer_l1 == pytest.approx(plain.chamfer_l1, rel=1e-6)
    # Which of two triangles is the nearest to a point beyond their edge is a matter of rounding.
    assert moved.normal_consistency == pytest.approx(plain.normal_consistency, abs=0.02)


NO_SURFACE = pytest.mark.parametrize(
    "mesh",
    [
        trimesh.Trimesh(),
        trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False),
        trimesh.Trimesh([[1, 1, 1]], [[0, 0, 0]], process=False),
    ],
    ids=["no faces", "no area", "a point"],
)


@NO_SURFACE
def test_an_empty_surface(mesh):
    metrics = surface_metrics(sphere(), mesh)
    assert metrics.chamfer_l1 == metrics.accuracy == metrics.completeness == np.inf
    assert metrics.f_score == metrics.normal_consistency == 0
    with pytest.raises(MeshError, match="no surface"):
        surface_metrics(mesh, sphere())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"threshold": 0.0}, r"threshold is 0\.0"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_surface_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        surface_metrics(square(), square(), **arguments)
