from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import ConfigError
from doh3d.evaluation.metrics import IouResult, volumetric_iou
from doh3d.evaluation.protocols import iou_points

UNIT = np.array([[0.0, 0, 0], [1, 1, 1]])


def box(bounds):
    low, high = np.asarray(bounds, dtype=np.float64)
    return lambda points: ((points >= low) & (points < high)).all(axis=1)


def ball(radius, centre=(0.0, 0, 0)):
    return lambda points: np.linalg.norm(points - np.asarray(centre), axis=1) < radius


def cube_around(radius):
    return np.array([[-radius] * 3, [radius] * 3], dtype=np.float64)


def nothing(points):
    return np.zeros(len(points), dtype=bool)


def all_points(*args, **kwargs):
    return np.concatenate(list(iou_points(*args, **kwargs)))


# Two unit boxes that share half: 0.5 / 1.5.
SHIFTED = UNIT + [0.5, 0, 0]


@pytest.mark.parametrize(
    ("protocol", "counts", "expected", "tolerance"),
    [
        ("bbox", {}, 1 / 3, 3e-4),
        ("bbox", {"points": 30_000}, 1 / 3, 5e-3),
        ("grid", {"grid": 100}, 1 / 3, 2e-2),
        # The cube ends 0.05 past the reference: 0.5 / (1 + 0.05) is all that it sees.
        ("occnet", {}, 0.5 / 1.05, 6e-3),
    ],
)
def test_overlapping_boxes(protocol, counts, expected, tolerance):
    result = volumetric_iou(box(UNIT), box(SHIFTED), UNIT, SHIFTED, protocol=protocol, **counts)
    assert result.iou == pytest.approx(expected, abs=tolerance)
    assert result.protocol == protocol


def test_concentric_balls():
    result = volumetric_iou(ball(1), ball(0.9), cube_around(1), cube_around(0.9))
    assert result == IouResult(pytest.approx(0.9**3, abs=5e-4), "bbox", 2**21)


def test_balls_that_overlap_in_a_lens():
    distance = 0.7
    lens = np.pi * (4 + distance) * (2 - distance) ** 2 / 12
    shift = np.array([distance, 0, 0])
    result = volumetric_iou(
        ball(1), ball(1, shift), cube_around(1), cube_around(1) + shift, points=10**6
    )
    assert result.iou == pytest.approx(lens / (2 * 4 / 3 * np.pi - lens), abs=1e-3)


@pytest.mark.parametrize("protocol", ["bbox", "occnet", "grid"])
def test_a_shape_against_itself_is_one(protocol):
    result = volumetric_iou(ball(1), ball(1), cube_around(1), cube_around(1), protocol=protocol)
    assert result.iou == 1


def test_a_floater_counts_wherever_it_is():
    far = UNIT + [7, 0, 0]
    both = np.array([UNIT[0], far[1]])

    def with_floater(points):
        return box(UNIT)(points) | box(far)(points)

    assert volumetric_iou(box(UNIT), with_floater, UNIT, both).iou == pytest.approx(0.5, abs=2e-3)
    assert volumetric_iou(box(UNIT), with_floater, UNIT, both, protocol="occnet").iou == 1


def test_the_box_encloses_both_and_grows_by_the_reference():
    long = np.array([[0.0, 0, 0], [4, 1, 1]])
    points = all_points("grid", UNIT, long, grid=50)
    # Half a cell lies between the outermost centres and the box.
    size = np.array([4.05, 1.05, 1.05])
    np.testing.assert_allclose(points.min(axis=0), -0.025 + size / 100)
    np.testing.assert_allclose(points.max(axis=0), [4.025, 1.025, 1.025] - size / 100)
    grown = all_points("grid", long, UNIT, grid=50)
    np.testing.assert_allclose(grown.min(axis=0), np.array([4.2, 1.2, 1.2]) / 100 - 0.1)


def test_iou_is_symmetric_where_the_box_is():
    one, other = cube_around(1), cube_around(1) + [0.4, 0, 0]
    forth = volumetric_iou(ball(1), ball(1, (0.4, 0, 0)), one, other, points=10**5)
    back = volumetric_iou(ball(1, (0.4, 0, 0)), ball(1), other, one, points=10**5)
    assert forth == back


def test_bbox_has_one_point_in_every_cell():
    points = all_points("bbox", cube_around(1), None, points=20**3)
    cell = np.floor((points + 1.05) / 2.1 * 20).astype(int)
    assert len(np.unique(cell, axis=0)) == 20**3
    assert cell.min() == 0
    assert cell.max() == 19
    within = (points + 1.05) / 2.1 * 20 - cell
    np.testing.assert_allclose(within.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(within.std(axis=0), 12**-0.5, atol=0.02)


def test_occnet_fills_its_cube():
    points = all_points("occnet", UNIT * [2, 1, 1], None)
    assert len(points) == 100_000
    centred = (points - [1, 0.5, 0.5]) / 2
    np.testing.assert_allclose(centred.min(axis=0), -0.55, atol=1e-3)
    np.testing.assert_allclose(centred.max(axis=0), 0.55, atol=1e-3)
    np.testing.assert_allclose(centred.std(axis=0), 1.1 * 12**-0.5, atol=5e-3)


@pytest.mark.parametrize(
    ("protocol", "counts", "expected"),
    [
        ("bbox", {}, 2**21),
        ("bbox", {"points": 1}, 1),
        ("bbox", {"points": 100_000}, 46**3),
        ("occnet", {}, 100_000),
        ("occnet", {"points": 300_000}, 300_000),
        ("grid", {}, 128**3),
        ("grid", {"grid": 3}, 27),
    ],
)
def test_the_points_reported_are_the_points_evaluated_in_bounded_chunks(protocol, counts, expected):
    sizes = []

    def inside(points):
        assert points.shape == (len(points), 3)
        assert points.dtype == np.float64
        sizes.append(len(points))
        return nothing(points)

    result = volumetric_iou(inside, nothing, UNIT, None, protocol=protocol, **counts)
    assert result.points == sum(sizes) == expected
    assert max(sizes) <= 2**17


def test_points_follow_the_seed():
    for protocol in ("bbox", "occnet"):
        once = all_points(protocol, UNIT, None, points=300_000, seed=3)
        np.testing.assert_array_equal(
            once, all_points(protocol, UNIT, None, points=300_000, seed=3)
        )
        assert (once != all_points(protocol, UNIT, None, points=300_000, seed=4)).mean() > 0.99


def test_an_empty_decode_scores_zero():
    assert volumetric_iou(box(UNIT), nothing, UNIT, None, points=1000).iou == 0
    assert volumetric_iou(nothing, nothing, UNIT, None, points=1000).iou == 0


@settings(max_examples=25, deadline=None)
@given(
    exponent=st.integers(-20, 20),
    shift=st.lists(st.integers(-1000, 1000), min_size=3, max_size=3),
    protocol=st.sampled_from(["bbox", "occnet", "grid"]),
)
def test_iou_does_not_depend_on_unit_or_place(exponent, shift, protocol):
    counts = {"grid": 16} if protocol == "grid" else {"points": 4096}
    scale = 2.0**exponent

    def moved(bounds):
        return (np.asarray(bounds) + shift) * scale

    def at(inside):
        return lambda points: inside(points / scale - shift)

    one, other = ball(1), ball(0.8, (0.3, 0.2, 0))
    bounds = cube_around(1), cube_around(0.8) + [0.3, 0.2, 0]
    plain = volumetric_iou(one, other, *bounds, protocol=protocol, **counts)
    there = volumetric_iou(
        at(one), at(other), moved(bounds[0]), moved(bounds[1]), protocol=protocol, **counts
    )
    # A point on the very edge of a shape may fall to either side of it by rounding.
    assert there.iou == pytest.approx(plain.iou, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "cube"}, "protocol is 'cube'; it must be one of bbox, occnet, grid"),
        ({"points": 0}, "points is 0; it must be 1 to 1073741824"),
        ({"points": 10**15}, "points is 1000000000000000; it must be 1 to 1073741824"),
        ({"protocol": "grid", "grid": 0}, "grid is 0; it must be 1 to 1024"),
        ({"protocol": "grid", "grid": 1025}, "grid is 1025; it must be 1 to 1024"),
        ({"protocol": "grid", "points": 5}, "points is 5; protocol grid takes grid, not points"),
        ({"grid": 5}, "grid is 5; protocol bbox takes points, not grid"),
        ({"protocol": "occnet", "grid": 5}, "grid is 5; protocol occnet takes points, not grid"),
        ({"seed": -1}, "seed is -1; it must be 0 or more"),
        ({"reference_bounds": UNIT * 0}, "its longest side must be more than 0"),
        ({"reference_bounds": UNIT[::-1]}, "reference_bounds is .* a lowest and a highest corner"),
        ({"reference_bounds": UNIT + np.inf}, "reference_bounds is "),
        ({"other_bounds": UNIT[:, :2]}, "other_bounds is "),
    ],
)
def test_bad_arguments_are_named_at_once(arguments, message):
    defaults = {"protocol": "bbox", "reference_bounds": UNIT, "other_bounds": None}
    with pytest.raises(ConfigError, match=message):
        iou_points(**(defaults | arguments))


def test_metrics_import_no_torch():
    modules = "doh3d.evaluation.metrics, doh3d.evaluation.surface, doh3d.evaluation.draco"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
