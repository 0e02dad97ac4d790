from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import RatePoint, pareto_front

points = st.lists(
    st.builds(RatePoint, st.integers(1, 40), st.integers(0, 20).map(lambda n: n / 20)), max_size=30
)


@given(points)
def test_the_front_grows_in_both(points):
    front = pareto_front(points)
    for left, right in pairwise(front):
        assert left.bytes < right.bytes
        assert left.iou < right.iou


@given(points)
def test_every_point_is_on_the_front_or_no_better_than_one_that_is(points):
    front = pareto_front(points)
    assert all(any(point is given for given in points) for point in front)
    for point in points:
        assert any(best.bytes <= point.bytes and best.iou >= point.iou for best in front)


@given(points, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_order_and_is_its_own_front(points, random):
    front = pareto_front(points)
    shuffled = list(points)
    random.shuffle(shuffled)
    assert pareto_front(shuffled) == front == pareto_front(front)


@pytest.mark.parametrize(
    ("size", "iou", "message"),
    [(0, 0.5, "bytes is 0"), (9, 1.01, "iou is 1.01"), (9, math.nan, "iou is nan")],
)
def test_a_point_is_a_measurement(size, iou, message):
    with pytest.raises(ConfigError, match=message):
        RatePoint(size, iou)
