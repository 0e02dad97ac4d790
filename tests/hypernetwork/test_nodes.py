import numpy as np
import pytest
import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.nodes import NodeLogits
from doh3d.hypernetwork.target import encode_points, split_weights, target_forward

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
            target_forward(architecture, weights, encode_points(architecture, chunk)).squeeze(1)
            for chunk in points.split(CHUNK)
        ]
    )
    logits = NodeLogits(architecture, weights, axes, CHUNK)
    assert torch.equal(logits(nodes), expected)
    # However many are asked for together.
    for some in (nodes[:0], nodes[:1], nodes[5:8], nodes[100:1000]):
        first = 0 if len(some) < 2 else (5 if len(some) == 3 else 100)
        assert torch.equal(logits(some), expected[first : first + len(some)])
