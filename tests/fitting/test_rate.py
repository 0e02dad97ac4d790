import numpy as np
import pytest
import torch

from doh3d.codec.quantization import nearest_step_index
from doh3d.fitting.config import FitConfig
from doh3d.fitting.rate import laplace_bits, laplace_bits_gradient, rate_curvature
from doh3d.fitting.size_control import RateController, excess_of_bits, latent_bits


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


def test_the_excess_is_that_of_the_bits_over_the_payload():
    config = FitConfig(latent=500, bits=6)
    latent = np.random.default_rng(0).laplace(0, 0.05, 500).astype(np.float32)
    biases = np.zeros(config.architecture.bias_count, dtype=np.float32)
    index = nearest_step_index(0.01)

    def excess(payload):
        return excess_of_bits(latent, biases, config, payload, index)

    bits = 1e5 * (1 + excess(1e5))
    assert latent_bits(latent, config, index) <= bits
    assert excess(bits) == pytest.approx(0, abs=1e-12)
    assert excess(bits / 1.02) == pytest.approx(0.02)


def settle(controller, *, pace, equilibrium, start, updates=600, steps=10):
    """Bits that answer to the weight as an integral, `pace` times 0.1% a step; their excesses."""
    excess, told = start, []
    for _ in range(updates):
        controller.update(excess, steps=steps, pace=pace)
        told.append(excess)
        excess += steps * 1e-3 * pace * (equilibrium - controller.factor)
    return told


@pytest.mark.parametrize("pace", [0.2, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("equilibrium", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("start", [-0.03, 0.03])
def test_the_rate_weight_brings_the_bits_to_what_they_may_be_and_does_not_swing(
    pace, equilibrium, start
):
    told = np.array(settle(RateController(), pace=pace, equilibrium=equilibrium, start=start))
    assert abs(told[250:]).max() < 0.005
    felt = told[:250][abs(told[:250]) > 1e-3]
    assert len(np.flatnonzero(np.diff(np.sign(felt)))) <= 2


def test_the_rate_weight_has_bounds_and_leaves_them_at_once():
    controller = RateController()
    for _ in range(1000):
        controller.update(0.2, steps=10, pace=1.0)
    assert controller.logarithm == 1.5
    controller.update(0.1, steps=10, pace=1.0)
    assert controller.logarithm < 1.5
    for _ in range(1000):
        controller.update(-0.2, steps=10, pace=1.0)
    assert controller.logarithm == -4.0


def test_descent_along_the_rate_term_by_its_curvature_does_not_overshoot():
    generator = torch.Generator().manual_seed(0)
    latent = 0.01 * torch.randn(20_000, generator=generator).repeat(2, 1)
    weights = torch.tensor([[1e-5], [3e-4]])
    delta = 0.005
    curvature = rate_curvature(latent, weights)
    assert curvature.shape == (2, 1)
    assert float(curvature[1] / curvature[0]) == pytest.approx(30)
    assert rate_curvature(latent[0], 1e-5) == pytest.approx(float(curvature[0]), rel=1e-5)
    bits = [laplace_bits(latent / delta)]
    for _ in range(30):
        gradient = weights * laplace_bits_gradient(latent / delta) / delta
        latent -= gradient / rate_curvature(latent, weights)
        bits.append(laplace_bits(latent / delta))
    # The same for any weight, and ever fewer bits.
    fewer = torch.stack(bits).diff(dim=0)
    assert (fewer < 0).all()
    assert torch.allclose(latent[0], latent[1], atol=1e-6)
