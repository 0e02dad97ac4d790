import math

import numpy as np
import pytest
import torch

from doh3d.codec.quantization import nearest_step_index
from doh3d.fitting.config import FitConfig
from doh3d.fitting.rate import laplace_bits
from doh3d.fitting.step_size import rate_weight_factor


def table_bits(levels):
    """Code length from the distribution written out, one value at a time."""
    scale = max(np.abs(levels).mean(), 0.05)

    def cumulative(x):
        return 0.5 * np.exp(x / scale) if x < 0 else 1 - 0.5 * np.exp(-x / scale)

    return -sum(np.log2(cumulative(v + 0.5) - cumulative(v - 0.5)) for v in levels)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0, 40.0])
def test_equals_the_laplace_mass_of_each_level(scale):
    levels = np.rint(np.random.default_rng(0).laplace(0, scale, 300))
    assert float(laplace_bits(torch.from_numpy(levels))) == pytest.approx(table_bits(levels))


def test_agrees_with_the_entropy_of_laplace_levels():
    levels = torch.from_numpy(np.rint(np.random.default_rng(1).laplace(0, 6.0, 20_000)))
    # Differential entropy log2(2 e b) of a Laplace variable, at unit steps.
    assert float(laplace_bits(levels)) / 20_000 == pytest.approx(np.log2(2 * np.e * 6.0), rel=0.01)


def test_all_zero_levels_cost_nothing_and_have_finite_gradients():
    levels = torch.zeros(50, requires_grad=True)
    bits = laplace_bits(levels)
    bits.backward()
    assert float(bits.detach()) < 0.1
    assert torch.isfinite(levels.grad).all()


def test_noisy_levels_have_finite_gradients_that_shrink_them():
    generator = torch.Generator().manual_seed(0)
    levels = (20 * torch.randn(1000, generator=generator)).requires_grad_()
    laplace_bits(levels).backward()
    assert torch.isfinite(levels.grad).all()
    large = levels.abs() > 0.5
    assert torch.equal(levels.grad[large].sign(), levels.detach()[large].sign())


def test_the_rate_weight_follows_the_excess_and_steeply_where_the_file_would_be_too_long():
    config = FitConfig(latent=500, bits=6)
    latent = np.random.default_rng(0).laplace(0, 0.05, 500).astype(np.float32)
    biases = np.zeros(config.architecture.bias_count, dtype=np.float32)
    index = nearest_step_index(0.01)

    def factor(payload):
        return rate_weight_factor(latent, biases, config, payload, step_index=index)

    # Where the factor is 1 the bits are what they may be.
    low, high = 1.0, 1e5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if factor(middle) > 1 else (low, middle)
    bits = middle
    assert factor(bits / 1.004) == pytest.approx(math.exp(0.4), rel=1e-3)
    assert factor(bits / 0.98) == pytest.approx(math.exp(-2.0), rel=1e-3)
    # A percent too many, and the file would be above its size: as much weight as there is.
    assert factor(bits / 1.0085) == pytest.approx(math.exp(0.85 + 0.15), rel=1e-3)
    assert factor(bits / 1.01) == factor(bits / 1.5) == pytest.approx(math.exp(1.5))
