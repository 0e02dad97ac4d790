from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from doh3d.errors import ConfigError, MeshError
from doh3d.evaluation.point_metrics import point_metrics

SAMPLES = 50_000


def sphere(radius=1.0):
    return trimesh.creation.icosphere(subdivisions=5, radius=radius)


def square(height=0.0):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]) + [0, 0, height]
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)


def spacing(area, samples=SAMPLES):
    """Mean distance to the nearest of so many uniform samples of an area."""
    return np.sqrt(area / samples) / 2


@pytest.mark.parametrize(("protocol", "unit"), [("necgs", 1.0), ("occnet", 0.2)])
def test_a_surface_against_itself_is_at_the_samples_noise_which_is_told(protocol, unit):
    metrics = point_metrics(sphere(), sphere(), protocol, samples=SAMPLES)
    noise = spacing(4 * np.pi) / unit
    for found in (metrics, metrics.floor):
        assert found.chamfer_l1 == pytest.approx(noise, rel=0.02)
        assert found.normal_consistency == pytest.approx(1, abs=1e-3)
    # By samples of their own, neither those of the measurement nor the reference's twice.
    assert metrics.floor.chamfer_l1 != metrics.chamfer_l1
    assert metrics.floor.floor is None


def test_the_floor_is_the_references_whatever_is_measured():
    floors = [
        point_metrics(sphere(), other, "necgs", samples=SAMPLES).floor
        for other in (sphere().apply_translation([0.1, 0, 0]), trimesh.Trimesh())
    ]
    for floor in floors:
        assert floor.chamfer_l1 == pytest.approx(spacing(4 * np.pi), rel=0.02)


def test_necgs_has_two_f_scores_for_models_of_longest_side_two():
    metrics = point_metrics(sphere(30), sphere(30), "necgs", samples=SAMPLES)
    for threshold in (0.005, 0.01):
        closer = 1 - np.exp(-np.pi * threshold**2 * SAMPLES / (4 * np.pi))
        assert metrics.f_scores[threshold] == pytest.approx(closer, abs=0.01)


def test_occnet_has_a_tenth_of_the_longest_side_for_unit():
    metrics = point_metrics(square(), square(0.02), "occnet", samples=SAMPLES)
    # The nearest sample is aside, too: by r with the mean square A / (pi N).
    aside = 100 / (np.pi * SAMPLES)
    assert metrics.chamfer_l1 == pytest.approx(0.2 + aside / 2 / 0.2, rel=1e-3)
    assert metrics.normal_consistency == pytest.approx(1)
    assert metrics.f_scores == {}


def test_an_empty_surface_keeps_the_floor():
    metrics = point_metrics(sphere(), trimesh.Trimesh(), "necgs", samples=1000)
    assert metrics.chamfer_l1 == np.inf
    assert metrics.normal_consistency == 0
    assert metrics.f_scores == {0.005: 0, 0.01: 0}
    found = metrics.to_dict()
    assert found["chamfer_l1"] is None
    assert found["floor"]["chamfer_l1"] == metrics.floor.chamfer_l1 > 0
    assert list(found) == [
        "protocol",
        "chamfer_l1",
        "normal_consistency",
        "f_score_0.005",
        "f_score_0.01",
        "floor",
    ]
    json.dumps(found, allow_nan=False)
    with pytest.raises(MeshError, match="no surface"):
        point_metrics(trimesh.Trimesh(), sphere(), "necgs")


def test_point_metrics_follow_the_seed():
    def measure(seed):
        return point_metrics(square(), square(0.1), "necgs", samples=1000, seed=seed)

    assert measure(1) == measure(1)
    assert measure(1) != measure(2)


@pytest.mark.parametrize(
    ("protocol", "arguments", "message"),
    [
        ("exact", {}, "protocol is 'exact'; it must be one of occnet, necgs"),
        ("necgs", {"samples": 0}, "samples is 0"),
        ("necgs", {"seed": -1}, "seed is -1"),
    ],
)
def test_bad_arguments_are_named(protocol, arguments, message):
    with pytest.raises(ConfigError, match=message):
        point_metrics(square(), square(), protocol, **arguments)
