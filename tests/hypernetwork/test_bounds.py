import numpy as np
import pytest
import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.bounds import logit_bounds
from doh3d.hypernetwork.target import encode_points, split_weights, target_forward

ARCHITECTURES = [
    Architecture(width=16, depth=3, octaves=3),
    Architecture(width=8, depth=1, octaves=0),
    Architecture(width=16, depth=2, octaves=6),
    Architecture(width=16, depth=3, octaves=0, activation="sine", omega=10),
]


def random_weights(architecture, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    gains = torch.cat(
        [
            torch.full((size,), gain)
            for size, gain in zip(architecture.layer_sizes, architecture.layer_gains, strict=True)
        ]
    )
    flat = torch.randn(architecture.weight_count, generator=generator) * gains * scale
    biases = torch.randn(architecture.bias_count, generator=generator) * 0.2
    return split_weights(architecture, flat, biases)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("half_side", [0.5, 0.1, 0.01, 1e-4])
def test_no_point_of_a_box_leaves_its_bounds(architecture, half_side):
    rng = np.random.default_rng(0)
    for seed in range(4):
        weights = random_weights(architecture, seed, scale=1.5)
        centres = torch.from_numpy(rng.uniform(-1, 1, (50, 3)).astype(np.float32))
        half = torch.tensor([half_side, half_side / 2, half_side], dtype=torch.float32)
        low, high = logit_bounds(architecture, weights, centres, half)
        offsets = torch.from_numpy(rng.uniform(-1, 1, (400, 1, 3)).astype(np.float32))
        # Corners and faces too, where extremes like to be.
        offsets[:200] = offsets[:200].sign()
        offsets[200:300, :, 0] = offsets[200:300, :, 0].sign()
        points = (centres + offsets * half).reshape(-1, 3)
        logits = target_forward(architecture, weights, encode_points(architecture, points))
        logits = logits.reshape(400, 50)
        assert bool((logits >= low).all())
        assert bool((logits <= high).all())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bounds_close_in_as_boxes_shrink(architecture):
    weights = random_weights(architecture, 3)
    centres = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (50, 3))).float()
    widths = []
    for half_side in (0.1, 0.01, 0.001):
        low, high = logit_bounds(architecture, weights, centres, torch.full((3,), half_side))
        widths.append(float((high - low).mean()))
    assert widths[1] < widths[0] / 4
    assert widths[2] < widths[1] / 4
