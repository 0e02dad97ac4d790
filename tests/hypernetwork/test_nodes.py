from dataclasses import replace

import numpy as np
import pytest
import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.nodes import NodeLogits
from doh3d.hypernetwork.partition import Partition
from doh3d.hypernetwork.target import (
    encode_coordinates,
    evaluate_points,
    fold_points,
    split_weights,
    target_forward,
)

CHUNK = 512


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=40, depth=3, octaves=3),
        Architecture(width=3, depth=2, octaves=1),
        Architecture(width=24, depth=2, octaves=0, activation="sine", omega=20),
        Architecture(width=65, depth=2, octaves=15),
        Architecture(width=24, depth=2, octaves=2, mirrored=(1, 2)),
    ],
)
def test_nodes_have_the_logits_of_their_points_to_the_bit(architecture):
    generator = torch.Generator().manual_seed(0)
    weights = split_weights(
        architecture,
        torch.randn(architecture.weight_count, generator=generator) * 0.2,
        torch.randn(architecture.bias_count, generator=generator),
    )
    rng = np.random.default_rng(0)
    axes = [torch.from_numpy(rng.uniform(-1, 1, n).astype(np.float32)) for n in (37, 50, 101)]
    nodes = torch.from_numpy(
        np.stack([rng.integers(0, len(axis), 8 * CHUNK) for axis in axes], axis=1)
    )
    points = torch.stack([axis[nodes[:, d]] for d, axis in enumerate(axes)], dim=1)
    expected = torch.cat(
        [
            target_forward(
                architecture, weights.of_cell(0), encode_coordinates(architecture, chunk)
            ).squeeze(1)
            for chunk in fold_points(architecture, points).split(CHUNK)
        ]
    )
    logits = NodeLogits(architecture, weights, axes, CHUNK)
    assert torch.equal(logits(nodes), expected)
    # However many are asked for together.
    for some in (nodes[:0], nodes[:1], nodes[5:8], nodes[100:1000]):
        first = 0 if len(some) < 2 else (5 if len(some) == 3 else 100)
        assert torch.equal(logits(some), expected[first : first + len(some)])


@pytest.mark.parametrize("band", [0.0, 0.1])
@pytest.mark.parametrize("levels", [1, 3, 6])
@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=12, depth=3, octaves=3),
        Architecture(width=16, depth=2, octaves=0, activation="sine", omega=20),
        Architecture(width=12, depth=2, octaves=2, mirrored=(0, 2)),
    ],
)
def test_nodes_of_cells_have_the_logits_of_their_points(architecture, levels, band):
    rng = np.random.default_rng(levels)
    high = (1.0, 0.75, 0.5)
    low = tuple(0.0 if axis in architecture.mirrored else -side for axis, side in enumerate(high))
    cuts = zip(rng.integers(0, 3, 2**levels - 1), rng.integers(8, 57, 2**levels - 1), strict=True)
    partition = Partition(low, high, tuple((int(axis), int(place)) for axis, place in cuts))
    architecture = replace(architecture, partition=partition)
    generator = torch.Generator().manual_seed(0)
    weights = split_weights(
        architecture,
        torch.randn(architecture.weight_count, generator=generator) * 0.2,
        torch.randn(architecture.bias_count, generator=generator),
    )
    axes = []
    for d in range(3):
        # Some of them on cuts, and some beyond the box.
        at_cuts = partition.thresholds[[axis == d for axis, _ in partition.cuts]]
        axes.append(np.concatenate([at_cuts, -at_cuts, rng.uniform(-1.1, 1.1, 40)]))
    axes = [torch.from_numpy(axis.astype(np.float32)) for axis in axes]
    nodes = torch.from_numpy(np.stack([rng.integers(0, len(axis), 4096) for axis in axes], axis=1))
    points = torch.stack([axis[nodes[:, d]] for d, axis in enumerate(axes)], dim=1)
    expected = evaluate_points(architecture, weights, points, 64, band).squeeze(1)
    logits = NodeLogits(architecture, weights, axes, 64, band=band)
    found = logits(nodes)
    # Not to the bit: chunks of points are as long as their cells leave them.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    # However many are asked for together, a node's logit has the same bits.
    assert torch.equal(logits(nodes[100:1000]), found[100:1000])
    assert torch.equal(logits(nodes[7:8]), found[7:8])
    assert logits(nodes[:0]).shape == (0,)
