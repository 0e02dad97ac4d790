import math

import numpy as np
import pytest
import torch

from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import encode_coordinates, fold_points, split_weights, target_forward


def slow_forward(architecture, flat, biases, point):
    """One point through the network in Python floats, from docs/format.md."""
    point = [abs(x) if axis in architecture.mirrored else x for axis, x in enumerate(point)]
    features = list(point)
    for octave in range(architecture.octaves):
        features += [math.sin(math.pi * 2**octave * x) for x in point]
        features += [math.cos(math.pi * 2**octave * x) for x in point]
    offset = bias_offset = 0
    shapes = architecture.layer_shapes
    for layer, (rows, columns) in enumerate(shapes):
        outputs = []
        for row in range(rows):
            total = biases[bias_offset + row]
            for column in range(columns):
                total += flat[offset + row * columns + column] * features[column]
            outputs.append(total)
        offset += rows * columns
        bias_offset += rows
        if layer < len(shapes) - 1:
            if architecture.activation == "relu":
                outputs = [max(0.0, x) for x in outputs]
            elif architecture.activation == "smooth":
                outputs = [(x + 1) ** 2 / 4 if abs(x) < 1 else max(0.0, x) for x in outputs]
            else:
                outputs = [math.sin(architecture.omega * x) for x in outputs]
        features = outputs
    return features


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=5, depth=1, octaves=0),
        Architecture(width=7, depth=3, octaves=3),
        Architecture(width=6, depth=2, octaves=0, activation="sine", omega=10),
        Architecture(width=6, depth=2, octaves=1, activation="sine", omega=3),
        Architecture(width=7, depth=3, octaves=3, mirrored=(0, 2)),
        Architecture(width=7, depth=3, octaves=3, activation="smooth"),
    ],
)
def test_forward_equals_a_network_written_out(architecture):
    rng = np.random.default_rng(1)
    flat = rng.normal(size=architecture.weight_count) / 2
    biases = rng.normal(size=architecture.bias_count)
    points = rng.uniform(-1, 1, (20, 3))
    weights = split_weights(architecture, torch.from_numpy(flat), torch.from_numpy(biases))
    places = fold_points(architecture, torch.from_numpy(points))
    logits = target_forward(
        architecture, weights.of_cell(0), encode_coordinates(architecture, places)
    )
    expected = [slow_forward(architecture, flat, biases, point) for point in points]
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-9)


def test_counts_of_the_reference_architecture():
    architecture = Architecture(width=32, depth=3, octaves=3)
    assert architecture.encoded_dim == 21
    assert architecture.layer_sizes == [672, 1024, 1024, 32]
    assert architecture.weight_count == 2752
    assert architecture.bias_count == 97


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": 0}, "width is 0"),
        ({"width": 257}, "1 to 256"),
        ({"depth": 16}, "depth is 16"),
        ({"octaves": -1}, "octaves is -1"),
        ({"omega": 30}, "sine activation only"),
        ({"activation": "sine"}, "omega is 0"),
        ({"activation": "tanh"}, "tanh"),
        ({"mirrored": (1, 0)}, "ascending"),
        ({"mirrored": (0, 3)}, "of 0 to 2"),
        ({"mirrored": (0, 0)}, "ascending"),
    ],
)
def test_impossible_architectures_are_refused_by_name(options, named):
    with pytest.raises(ConfigError, match=named):
        Architecture(**options)
