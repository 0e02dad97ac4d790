"""Where cells meet: weights of their networks, and the mean of their values."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.cells import CellOrder, cell_weights, cells_of, to_cell_coordinates
from doh3d.hypernetwork.partition import Partition
from doh3d.hypernetwork.target import TargetWeights, evaluate_points

BAND = 0.1
# A neuron in its linear part, so that a network is a linear function.
LINEAR = Architecture(width=1, depth=1, octaves=0)


@st.composite
def partitions(draw):
    """Cells of many sizes, none thinner than a hundredth."""
    count = 2 ** draw(st.integers(1, 5)) - 1
    cut = st.tuples(st.integers(0, 2), st.integers(8, 56))
    cuts = tuple(draw(st.lists(cut, min_size=count, max_size=count)))
    low = (draw(st.sampled_from([0.0, -0.5])), -1.0, -0.75)
    try:
        partition = Partition(low, (0.5, 1.0, 0.75), cuts)
    except ConfigError:
        assume(False)
    assume(partition.half_sides.min() > 0.01)
    return partition


def linear_networks(partition, seed):
    """Networks of random slopes, at most 1 along each axis, and offsets, at most 1."""
    generator = torch.Generator().manual_seed(seed)
    slopes = torch.rand((partition.cells, 1, 3), generator=generator) * 2 - 1
    slopes *= torch.from_numpy(partition.half_sides).unsqueeze(1)
    offsets = torch.rand((partition.cells, 1), generator=generator) * 2 - 1
    return TargetWeights(
        (slopes, torch.ones(partition.cells, 1, 1)), (torch.full_like(offsets, 8.0), offsets - 8)
    )


def points_near_faces(partition, seed, count=400):
    """Points of the box and a little beyond; most near cuts, many near several or at their bands'
    ends."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(partition.low, partition.high, (count, 3)) * 1.05
    for _ in range(3):
        cells = rng.integers(partition.cells, size=count)
        axes, sides = rng.integers(3, size=count), rng.integers(2, size=count)
        at = partition.corners[sides, cells, axes].astype(np.float64)
        reach = rng.choice([-1, 0, 1, rng.uniform(-1, 1)], count) * BAND
        points[np.arange(count), axes] = at + reach * partition.half_sides[cells, axes]
    return torch.from_numpy(points.astype(np.float32))


@pytest.mark.slow
@given(partition=partitions(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_values_are_continuous_where_cells_meet(partition, seed):
    architecture = replace(LINEAR, partition=partition)
    weights, step = linear_networks(partition, seed), 1e-6
    points = points_near_faces(partition, seed)
    rng = np.random.default_rng(seed)
    moved = points + torch.from_numpy(rng.uniform(-step, step, points.shape).astype(np.float32))
    here, there = (
        evaluate_points(architecture, weights, at, 10**6, BAND) for at in (points, moved)
    )
    # A network changes by 3 a unit; a weight, of up to a few cells, by one over the band's width.
    steepest = 3 + 40 / (2 * BAND * float(partition.half_sides.min()))
    assert float((here - there).abs().max()) <= 1e-5 + 2 * step * steepest


@given(partition=partitions(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_values_are_means_of_the_networks_by_their_weights(partition, seed):
    architecture = replace(LINEAR, partition=partition)
    weights, points = linear_networks(partition, seed), points_near_faces(partition, seed)
    sums, values = torch.zeros(len(points), 1), torch.zeros(len(points), 1)
    for cell in range(partition.cells):
        layers = [layer[cell].T for layer in weights.matrices]
        inside = to_cell_coordinates(partition, points, cell) @ layers[0]
        value = inside + weights.biases[0][cell] + weights.biases[1][cell]
        own = torch.full((len(points),), cell)
        share = cell_weights(partition, points, own, BAND).unsqueeze(1)
        sums, values = sums + share, values + share * value
    assert bool((sums > 0.1).all())
    found = evaluate_points(architecture, weights, points, 10**6, BAND)
    torch.testing.assert_close(found, values / sums, rtol=0, atol=1e-4)


@pytest.mark.slow
@given(partition=partitions(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_points_in_no_band_have_their_own_network_alone_to_the_bit(partition, seed):
    architecture = replace(LINEAR, partition=partition)
    weights, points = linear_networks(partition, seed), points_near_faces(partition, seed)
    shares = torch.stack(
        [
            cell_weights(partition, points, torch.full((len(points),), cell), BAND)
            for cell in range(partition.cells)
        ]
    )
    alone = ((shares > 0).sum(dim=0) == 1) & (shares.sum(dim=0) == 1)
    hard, blended = (evaluate_points(architecture, weights, points, 1, b) for b in (0.0, BAND))
    assert torch.equal(hard[alone], blended[alone])


def test_weights_at_known_points():
    # Two cells of half sides 1/4 and 3/4 along x, which is mirrored: the box begins at 0.
    partition = Partition((0.0, -1.0, -1.0), (2.0, 1.0, 1.0), ((0, 16),))
    band, cells = 0.2, torch.tensor([0, 1])
    for x, lower, upper in [
        (0.0, 1, 0),
        (0.3, 1, 0),  # the band of the upper cell begins at 0.35
        (0.5, 0.5, 0.5),
        (0.525, 0.25, 7 / 12),
        (0.6, 0, 5 / 6),
        (0.65, 0, 1),
        (2.5, 0, 1),  # beyond the box
    ]:
        points = torch.tensor([[x, 1.5, -1.0]]).repeat(2, 1)
        found = cell_weights(partition, points, cells, band)
        assert found.tolist() == pytest.approx([lower, upper], abs=1e-6)


def test_a_network_that_overflows_spoils_its_own_band_only():
    partition = Partition((-1.0,) * 3, (1.0,) * 3, ((0, 32), (1, 32), (1, 32)))
    architecture = replace(LINEAR, partition=partition)
    weights = linear_networks(partition, 0)
    weights.biases[1][0] = torch.nan
    points = torch.tensor([[-0.5, -0.5, 0], [-0.5, 0.04, 0], [-0.5, 0.06, 0], [0.06, -0.5, 0]])
    found = evaluate_points(architecture, weights, points, 10, BAND).squeeze(1)
    assert torch.isnan(found).tolist() == [True, True, False, False]


def test_points_that_are_no_numbers_have_no_value():
    partition = Partition((-1.0,) * 3, (1.0,) * 3, ((0, 32), (1, 32), (1, 32)))
    architecture = replace(LINEAR, partition=partition)
    points = torch.tensor([[torch.nan] * 3, [0.0] * 3])
    found = evaluate_points(architecture, linear_networks(partition, 0), points, 10, BAND)
    assert torch.isnan(found).flatten().tolist() == [True, False]


@given(partition=partitions(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_without_a_band_each_point_has_the_cell_that_holds_it(partition, seed):
    points = points_near_faces(partition, seed)
    order = CellOrder.of(partition, points)
    cells = torch.empty(len(points), dtype=torch.uint8)
    for cell, rows in enumerate(order.order.tensor_split(order.firsts)):
        cells[rows] = cell
    assert order.weights is None
    assert torch.equal(cells, cells_of(partition, points))
