import numpy as np
import pytest
import torch

from doh3d.codec.entropy import choose_model
from doh3d.codec.image_code import ImageCode
from doh3d.codec.signal_code import ParameterGroup
from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.hypernetwork.target import TargetWeights
from doh3d.images.field import (
    ImageField,
    pixel_points,
    pixels_to_values,
    values_to_pixels,
)


def plain_field(width, height, channels=3):
    """A field whose every value is 0, to put other weights into."""
    architecture = Architecture(
        width=2, depth=1, octaves=0, partition=Partition.whole(2), out_dim=channels
    )
    zeros = np.zeros(architecture.bias_count, np.int64)
    group = ParameterGroup(zeros, 100, choose_model(zeros))
    code = ImageCode(
        architecture=architecture,
        dense_projection=False,
        seed=0,
        latent=group,
        biases=group,
        width=width,
        height=height,
    )
    return ImageField(code, "cpu")


def test_a_known_network_gives_known_pixels():
    field = plain_field(4, 2, channels=1)
    # relu(x) - relu(-x) is x itself.
    field.weights = TargetWeights(
        (torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), torch.tensor([[[1.0, -1.0]]])),
        (torch.zeros(1, 2), torch.zeros(1, 1)),
    )
    expected = np.rint(127.5 + 127.5 * np.array([-0.75, -0.25, 0.25, 0.75]))
    assert field.pixels()[:, :, 0].tolist() == [expected.tolist()] * 2


def test_all_pixels_are_there_whatever_the_chunks():
    field = plain_field(113, 97)
    assert field.pixels().shape == (97, 113, 3)
    assert (field.pixels() == 128).all()
    assert field.shape == (97, 113, 3)


def test_points_are_the_middles_of_square_pixels():
    points = pixel_points(4, 2, np.arange(8))
    assert points.dtype == np.float32
    assert points[0].tolist() == [-0.75, -0.25]
    assert points[-1].tolist() == [0.75, 0.25]
    assert pixel_points(1, 1, np.array([0])).tolist() == [[0, 0]]


def test_values_and_pixels_are_inverse_and_bounded():
    every = np.arange(256, dtype=np.uint8)[:, None]
    assert np.array_equal(values_to_pixels(pixels_to_values(every)), every)
    odd = np.array([[-5.0, 5.0, np.nan, np.inf, -np.inf]], dtype=np.float32)
    assert values_to_pixels(odd).tolist() == [[0, 255, 0, 255, 0]]


def test_points_of_another_shape_are_refused():
    with pytest.raises(ConfigError, match=r"shape \(5, 3\); it must be \(N, 2\)"):
        plain_field(4, 4).values(np.zeros((5, 3)))
