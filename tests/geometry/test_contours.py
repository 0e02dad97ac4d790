"""Contours of grids: known ones, and laws that hold for any."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from doh3d.geometry.contours import closed_contours


def area(loop):
    x, y = loop.T
    return (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2


def test_a_ring_has_an_outline_and_a_hole():
    y, x = np.mgrid[-1:1:201j, -1:1:201j]
    radius = np.hypot(x, y)
    outer, inner = sorted(closed_contours(np.minimum(0.8 - radius, radius - 0.4)), key=area)[::-1]
    np.testing.assert_allclose(area(outer), np.pi * 80**2, rtol=1e-3)
    np.testing.assert_allclose(area(inner), -np.pi * 40**2, rtol=1e-3)
    np.testing.assert_allclose(np.hypot(*(outer - 100).T), 80, atol=0.01)


def test_opposite_corners_are_joined():
    values = np.full((4, 4), -1.0)
    values[1, 1] = values[2, 2] = 1.0
    (loop,) = closed_contours(values)
    assert len(loop) == 8
    assert area(loop) > 0


def test_nothing_inside_has_no_contour():
    assert closed_contours(np.full((3, 5), -1.0)) == []


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(3, 9), st.integers(3, 9)),
        elements=st.sampled_from([-2.0, -1.0, -0.25, 0.5, 1.0, 3.0]),
    )
)
def test_each_crossed_edge_is_a_corner_once(values):
    values[[0, -1]] = values[:, [0, -1]] = -1
    inside = values > 0
    crossed = (inside[1:] != inside[:-1]).sum() + (inside[:, 1:] != inside[:, :-1]).sum()
    loops = closed_contours(values)
    corners = np.concatenate([np.zeros((0, 2)), *loops])
    assert len(corners) == crossed == len(np.unique(corners, axis=0))
    # What is enclosed is about what is inside, and holes are taken off.
    assert sum(map(area, loops)) > 0 or not inside.any()
    for loop in loops:
        # Consecutive corners lie in one cell.
        assert np.abs(loop - np.roll(loop, 1, axis=0)).max() <= 1
