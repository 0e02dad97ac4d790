"""Lines around activations, against the activations in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.relaxation import (
    CellAxis,
    bent_encoding,
    relu_lines,
    sine_lines,
    smooth_lines,
)

_UNIT = 2.0**-24


def relu(x):
    return np.maximum(x, 0)


def smooth(x):
    return np.where(np.abs(x) < 1, (x + 1) ** 2 / 4, relu(x))


def sine(x):
    return np.sin(7 * x)


ACTIVATIONS = {
    "relu": (relu_lines, relu),
    "smooth": (smooth_lines, smooth),
    "sine": (lambda *interval: sine_lines(7, *interval), sine),
}


def excess(name, centre, radius):
    """By how much the function leaves its lines, in units of rounding of 1 plus its largest."""
    make, function = ACTIVATIONS[name]
    interval = torch.tensor([[centre]]), torch.tensor([[radius]])
    lines = make(*interval)
    slope, middle, gap, centre, radius = (
        float(each) for each in (lines.slope, lines.middle, lines.gap, *interval)
    )
    x = centre + radius * np.linspace(-1, 1, 513)
    # Where the functions bend, too.
    x = np.concatenate([x, np.clip([-1.0, 0.0, 1.0], x[0], x[-1])])
    beyond = np.abs(function(x) - (slope * x + middle)) - gap
    return beyond.max() / (_UNIT * (1 + np.abs(function(x)).max()))


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(
    at=st.floats(-2, 2),
    size=st.floats(-10, 14),
    # Ends near where a function bends are the hard ones.
    offset=st.floats(-2, 2),
    lowest=st.booleans(),
)
def test_functions_stay_between_their_lines(name, at, size, offset, lowest):
    radius = 2.0**size
    assert excess(name, at * radius, radius) <= 6
    end = radius if lowest else -radius
    assert excess(name, offset + end, radius) <= 6


@pytest.mark.parametrize("name", ["relu", "smooth"])
def test_lines_of_extreme_intervals(name):
    for radius in 2.0 ** np.arange(20):
        # Long, and hardly reaching the bend; and far away from it.
        for reach in (0.01, 0.3, 0.99):
            assert excess(name, reach - radius, radius) <= 6
        for centre in (500.0, -500.0, 3e5):
            assert excess(name, centre, radius * 1e-3) <= 6


@pytest.mark.parametrize(
    ("name", "radius", "gap"),
    # The chord of a ReLU is half a radius above its bend, and half of that from the middle. A
    # parabola of curvature 1/2 is radius^2 / 4 above its tangent.
    [("relu", 2.0, 0.5), ("smooth", 0.8, 0.08)],
)
def test_no_lines_are_closer(name, radius, gap):
    make, _ = ACTIVATIONS[name]
    lines = make(torch.tensor([[0.0]]), torch.tensor([[radius]]))
    assert float(lines.gap) == pytest.approx(gap)
    assert float(lines.slope) == pytest.approx(0.5)


def test_the_place_in_all_of_space_is_rounded_no_further():
    architecture, centres = Architecture(octaves=2), torch.tensor([0.3])
    whole = bent_encoding(architecture, centres, 0.1, CellAxis(0.0, 1.0))
    nearly = bent_encoding(architecture, centres, 0.1, CellAxis(2.0**-30, 1.0))
    assert torch.equal(whole.centre[:, 0], centres)
    assert float(whole.error[0, 0]) == 2.0**-22
    assert bool((nearly.error > whole.error).all())
