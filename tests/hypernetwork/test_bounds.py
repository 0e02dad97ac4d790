from dataclasses import replace

import numpy as np
import pytest
import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.bounds import LogitBounds
from doh3d.hypernetwork.cells import cells_of
from doh3d.hypernetwork.decoder import weight_gains
from doh3d.hypernetwork.partition import Partition, balanced_partition
from doh3d.hypernetwork.target import (
    TargetWeights,
    evaluate_points,
    fold_points,
    split_weights,
)

ARCHITECTURES = [
    Architecture(width=16, depth=3, octaves=3),
    Architecture(width=8, depth=1, octaves=0),
    Architecture(width=16, depth=2, octaves=6),
    Architecture(width=16, depth=3, octaves=0, activation="sine", omega=10),
    Architecture(width=12, depth=2, octaves=2, activation="sine", omega=30),
    Architecture(width=8, depth=1, octaves=15),
    Architecture(width=24, depth=12, octaves=2),
    Architecture(width=16, depth=3, octaves=3, mirrored=(0, 2)),
    Architecture(width=12, depth=2, octaves=1, activation="sine", omega=9, mirrored=(0, 1, 2)),
    Architecture(width=16, depth=3, octaves=3, activation="smooth"),
    Architecture(width=24, depth=9, octaves=1, activation="smooth", mirrored=(1,)),
]

HALF_SIDES = [
    0.5,
    pytest.param(0.1, marks=pytest.mark.slow),
    0.01,
    pytest.param(1e-4, marks=pytest.mark.slow),
    1e-7,
]


def random_weights(architecture, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    gains = weight_gains(architecture, torch.device("cpu"))
    flat = torch.randn(architecture.weight_count, generator=generator) * gains * scale
    biases = torch.randn(architecture.bias_count, generator=generator) * 0.2
    return split_weights(architecture, flat, biases)


def planes_of_boxes(architecture, weights, half_sides, seed=0):
    """Bounds over random boxes: their (B, 3) centres and their planes (2, B, 4)."""
    rng = np.random.default_rng(seed)
    axes = [torch.from_numpy(rng.uniform(-1, 1, n).astype(np.float32)) for n in (7, 8, 9)]
    for axis, half in zip(axes, half_sides, strict=True):
        # Where a mirror plane would be: within a box, and on its face.
        axis[:3] = torch.tensor([0.3 * half, half, -half])
    boxes = torch.from_numpy(np.stack([rng.integers(0, n, 60) for n in (7, 8, 9)], axis=1))
    planes = LogitBounds(architecture, weights, axes, half_sides).planes(boxes)
    return torch.stack([axis[boxes[:, d]] for d, axis in enumerate(axes)], dim=1), planes


def values_of_planes(planes, offsets):
    """(2, S, B) float32 values at (S, B, 3) places in [-1, 1]."""
    return planes[:, None, :, 0] + (planes[:, None, :, 1:] * offsets).sum(dim=3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("half_side", HALF_SIDES)
def test_no_point_of_a_box_is_beyond_its_planes(architecture, half_side):
    rng = np.random.default_rng(0)
    half = [half_side, half_side / 2, half_side]
    for seed in range(4):
        weights = random_weights(architecture, seed, scale=1.5)
        centres, planes = planes_of_boxes(architecture, weights, half)
        offsets = torch.from_numpy(rng.uniform(-1, 1, (400, 60, 3)).astype(np.float32))
        # Corners and faces too, where extremes like to be.
        offsets[:200] = offsets[:200].sign()
        offsets[200:300, :, 0] = offsets[200:300, :, 0].sign()
        points = (centres + offsets * torch.tensor(half)).reshape(-1, 3)
        logits = evaluate_points(architecture, weights, points, 10**6)
        below, below_negated = values_of_planes(planes, offsets)
        assert bool((logits.reshape(400, 60) >= below).all())
        assert bool((-logits.reshape(400, 60) >= below_negated).all())


@pytest.mark.parametrize("architecture", ARCHITECTURES[:5])
def test_bounds_close_in_as_boxes_shrink(architecture):
    weights = random_weights(architecture, 3)
    widths = []
    for half_side in (0.1, 0.01, 0.001):
        _, planes = planes_of_boxes(architecture, weights, [half_side] * 3)
        # From the lowest value of the one plane to the highest of the other.
        reach = planes[:, :, 1:].abs().sum(dim=2)
        widths.append(float((reach - planes[:, :, 0]).sum(dim=0).mean()))
    assert widths[1] < widths[0] / 4
    assert widths[2] < widths[1] / 4


@pytest.mark.parametrize("architecture", [ARCHITECTURES[0], ARCHITECTURES[2]])
def test_gaps_between_planes_close_in_faster_than_boxes_shrink(architecture):
    weights = random_weights(architecture, 3)
    gaps = []
    for half_side in (0.02, 0.002):
        _, planes = planes_of_boxes(architecture, weights, [half_side] * 3)
        gaps.append(float(-planes[:, :, 0].sum(dim=0).mean()))
    assert 0 < gaps[1] < gaps[0] / 20


def test_bounds_allow_for_rounding():
    # Large terms that cancel: the logit of a point is off by more than its box is wide.
    architecture = Architecture(width=64, depth=2, octaves=0)
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(64, 3, generator=generator) * 1e-3
    second = torch.randn(64, 64, generator=generator)
    weights = TargetWeights(
        (
            first[None],
            (second - second.mean(dim=1, keepdim=True))[None],
            torch.randn(1, 1, 64, generator=generator),
        ),
        (torch.full((1, 64), 1e4), torch.full((1, 64), 1e2), torch.zeros(1, 1)),
    )
    centres, planes = planes_of_boxes(architecture, weights, [1e-6] * 3)
    exact = TargetWeights(
        tuple(matrix.double() for matrix in weights.matrices),
        tuple(bias.double() for bias in weights.biases),
    )
    rounded = evaluate_points(architecture, weights, centres, 10**6).squeeze(1)
    true = evaluate_points(architecture, exact, centres.double(), 10**6).squeeze(1)
    assert float((rounded - true).abs().max()) > 1e-3
    for logits in (rounded, true):
        assert bool((planes[0, :, 0] <= logits).all())
        assert bool((planes[1, :, 0] <= -logits).all())


def test_networks_that_overflow_prove_nothing():
    architecture = ARCHITECTURES[0]
    weights = random_weights(architecture, 0, scale=1e20)
    _, planes = planes_of_boxes(architecture, weights, [0.01] * 3)
    assert not bool((planes[:, :, 0] > planes[:, :, 1:].abs().sum(dim=2)).any())


def with_cells(architecture, levels, seed):
    """The architecture with cells cut anywhere in a box of unequal sides."""
    rng = np.random.default_rng(seed)
    high = (1.0, 0.75, 0.5)
    low = tuple(0.0 if axis in architecture.mirrored else -side for axis, side in enumerate(high))
    cuts = zip(rng.integers(0, 3, 2**levels - 1), rng.integers(8, 57, 2**levels - 1), strict=True)
    partition = Partition(low, high, tuple((int(axis), int(place)) for axis, place in cuts))
    return replace(architecture, partition=partition)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("half_side", HALF_SIDES)
@pytest.mark.parametrize("band", [0.0, 0.08, 0.5])
def test_no_point_of_a_box_of_cells_is_beyond_its_planes(architecture, half_side, band):
    half = [half_side, half_side / 2, half_side]
    for levels in (1, 3):
        rng = np.random.default_rng(levels)
        own = with_cells(architecture, levels, seed=levels)
        weights = random_weights(own, levels, scale=1.5)
        axes = [torch.from_numpy(rng.uniform(-1, 1, n).astype(np.float32)) for n in (17, 18, 19)]
        for d, axis in enumerate(axes):
            # Mirror planes within a box and on its face; cuts in its middle, on its face and
            # beside it, on either side of a mirror plane.
            axis[:3] = torch.tensor([0.3 * half[d], half[d], -half[d]])
            cuts = torch.from_numpy(
                own.partition.thresholds[[k[0] == d for k in own.partition.cuts]]
            )
            near = torch.cat([cuts, cuts - half[d], cuts + 1.001 * half[d], -cuts])[:12]
            axis[3 : 3 + len(near)] = near
        boxes = torch.from_numpy(
            np.stack([rng.integers(0, len(axis), 100) for axis in axes], axis=1)
        )
        planes = LogitBounds(own, weights, axes, half, band=band).planes(boxes)
        centres = torch.stack([axis[boxes[:, d]] for d, axis in enumerate(axes)], dim=1)
        offsets = torch.from_numpy(rng.uniform(-1, 1, (300, 100, 3)).astype(np.float32))
        offsets[:150] = offsets[:150].sign()
        offsets[150:200, :, 0] = offsets[150:200, :, 0].sign()
        points = (centres + offsets * torch.tensor(half)).reshape(-1, 3)
        logits = evaluate_points(own, weights, points, 10**6, band).reshape(300, 100)
        below, below_negated = values_of_planes(planes, offsets)
        assert bool((logits >= below).all())
        assert bool((-logits >= below_negated).all())
        # Boxes of several cells are among them, and such of one.
        cells = cells_of(own.partition, fold_points(own, points)).reshape(300, 100)
        several = (cells != cells[0]).any(dim=0)
        assert bool(several.any())
        assert half_side > 0.05 or not bool(several.all())


@pytest.mark.parametrize("band", [0.0, 0.08])
def test_planes_across_faces_prove_what_level_ones_do_and_follow_the_networks(band):
    # Two cells with one network's values: 2 z + 1 / 2, seen from each of them.
    partition = Partition((-1.0,) * 3, (1.0,) * 3, ((0, 32),))
    architecture = Architecture(width=1, depth=1, octaves=0, partition=partition)
    weights = TargetWeights(
        (torch.tensor([[[0.0, 0.0, 2.0]]] * 2), torch.ones(2, 1, 1)),
        (torch.full((2, 1), 8.0), torch.full((2, 1), -7.5)),
    )
    axes = [torch.zeros(1), torch.zeros(1), torch.tensor([-0.25, 0.5])]
    boxes = torch.tensor([[0, 0, 0], [0, 0, 1]])
    planes = LogitBounds(architecture, weights, axes, [0.125] * 3, band=band).planes(boxes)
    # Undecided, it is tilted; where the sign is certain, level.
    tilted = torch.tensor([[0.0, 0.0, 0.0, 0.25], [0.0, 0.0, 0.0, -0.25]])
    torch.testing.assert_close(planes[:, 0], tilted, rtol=0, atol=2e-3)
    torch.testing.assert_close(planes[0, 1], torch.tensor([1.25, 0.0, 0.0, 0.0]), rtol=0, atol=2e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("half_side", [0.01, 0.06])
def test_planes_for_signs_hold_and_prove_what_the_others_do(architecture, half_side):
    weights = random_weights(architecture, 3, scale=1.5)
    rng = np.random.default_rng(0)
    axes = [torch.from_numpy(rng.uniform(-1, 1, 9).astype(np.float32)) for _ in range(3)]
    boxes = torch.cartesian_prod(*[torch.arange(9)] * 3)
    half = [half_side] * 3
    bounds = LogitBounds(architecture, weights, axes, half)
    tight, quick = bounds.planes(boxes), bounds.planes(boxes, for_signs=True)
    # Those that are not the tight ones are level and prove the sign.
    other = ~torch.isclose(quick, tight, rtol=1e-4, atol=1e-5).all(dim=2).all(dim=0)
    assert bool((quick[:, other, 1:] == 0).all())
    assert bool((quick[:, other, 0] > 0).any(dim=0).all())
    if architecture is ARCHITECTURES[0] and half_side == 0.01:
        assert 0 < int(other.sum()) < len(boxes)
    offsets = torch.from_numpy(rng.uniform(-1, 1, (60, len(boxes), 3)).astype(np.float32))
    offsets[:30] = offsets[:30].sign()
    centres = torch.stack([axis[boxes[:, d]] for d, axis in enumerate(axes)], dim=1)
    points = (centres + offsets * half_side).reshape(-1, 3)
    logits = evaluate_points(architecture, weights, points, 10**6).reshape(60, -1)
    below, below_negated = values_of_planes(quick, offsets)
    assert bool((logits >= below).all())
    assert bool((-logits >= below_negated).all())


def test_planes_of_a_box_within_a_cell_are_those_of_its_network():
    partition = balanced_partition((-1.0,) * 3, (1.0,) * 3, None, 3)
    architecture = replace(ARCHITECTURES[0], partition=partition)
    weights = random_weights(architecture, 0)
    # A box in the middle of each cell; as places in their cells all of them are the same.
    axes = [torch.tensor([-0.5, 0.5])] * 3
    boxes = torch.cartesian_prod(*[torch.arange(2)] * 3)
    planes = LogitBounds(architecture, weights, axes, [0.1] * 3).planes(boxes)
    for cell in range(8):
        own = TargetWeights(
            tuple(matrix[cell : cell + 1] for matrix in weights.matrices),
            tuple(bias[cell : cell + 1] for bias in weights.biases),
        )
        alone = LogitBounds(architecture.of_a_cell, own, [torch.zeros(1)] * 3, [0.2] * 3).planes(
            torch.zeros((1, 3), dtype=torch.int64)
        )
        torch.testing.assert_close(planes[:, cell], alone[:, 0], rtol=1e-4, atol=1e-5)


def test_cells_that_overflow_prove_nothing():
    architecture = with_cells(ARCHITECTURES[0], 2, seed=0)
    weights = random_weights(architecture, 0, scale=1e20)
    axes = [torch.linspace(-1, 1, 9)] * 3
    boxes = torch.cartesian_prod(*[torch.arange(9)] * 3)
    planes = LogitBounds(architecture, weights, axes, [0.125] * 3).planes(boxes)
    assert not bool((planes[:, :, 0] > planes[:, :, 1:].abs().sum(dim=2)).any())


@pytest.mark.parametrize("cut", [1, 63])
def test_the_thinnest_cells_are_bounded(cut):
    # A hair's breadth above what is refused: places in them are coarse beyond measure.
    path, node = [(0, 32)] * 15, 0
    for _ in range(4):
        path[node] = (0, cut)
        node = 2 * node + (1 if cut == 1 else 2)
    partition = Partition((-1.0,) * 3, (1.0,) * 3, tuple(path))
    assert partition.half_sides.min() < 1e-7
    architecture = replace(ARCHITECTURES[0], partition=partition)
    weights = random_weights(architecture, 0)
    axes = [torch.linspace(-1, 1, 9)] * 3
    boxes = torch.cartesian_prod(*[torch.arange(9)] * 3)
    planes = LogitBounds(architecture, weights, axes, [0.125] * 3).planes(boxes)
    assert bool(torch.isfinite(planes).all())
