import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.codec.entropy import choose_model, code_length_bits
from doh3d.codec.quantization import STEPS, nearest_step_index, quantize
from doh3d.fitting.code_length import CodeLength
from doh3d.fitting.config import FitConfig
from doh3d.fitting.rate import laplace_bits, laplace_bits_gradient, rate_curvature
from doh3d.fitting.size_control import RateController, SizeControl

CPU = torch.device("cpu")


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


@given(
    bits=st.integers(2, 16),
    graded=st.booleans(),
    count=st.integers(1, 60),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=40)
def test_bits_are_counted_on_the_device_as_they_will_be_in_the_file(
    bits, graded, count, scale, seed
):
    graded = graded and bits <= 14
    rng = np.random.default_rng(seed)
    index = nearest_step_index(0.01)
    numbers = (0.01 * scale * rng.laplace(0, 1, (2, count))).astype(np.float32)
    deltas = torch.tensor([[STEPS[index]], [STEPS[index + 3]]], dtype=torch.float64)
    found = CodeLength(count, bits, graded, CPU)(torch.from_numpy(numbers), deltas)
    for k, own in enumerate((index, index + 3)):
        levels = quantize(numbers[k], own, bits, graded=graded)
        expected = code_length_bits(levels, choose_model(levels, graded=graded))
        assert float(found[k, 0]) == pytest.approx(expected, rel=1e-9)


def asked_for(payload, config, latents):
    """A control of sizes that asks for so many bits of each latent; biases are zeros."""
    sizes = SizeControl(config, len(latents), CPU)
    sizes.ask([payload] * len(latents))
    return sizes, torch.zeros((len(latents), config.architecture.bias_count))


def test_the_excess_is_that_of_the_bits_over_the_payload():
    config = FitConfig(latent=500, bits=6)
    latents = torch.from_numpy(np.random.default_rng(0).laplace(0, 0.05, (1, 500))).float()

    def excess(payload):
        sizes, biases = asked_for(payload, config, latents)
        return float(sizes.excess(latents, biases))

    bits = 1e5 * (1 + excess(1e5))
    assert 500 < bits < 6 * 500
    assert excess(bits) == pytest.approx(0, abs=1e-12)
    assert excess(bits / 1.02) == pytest.approx(0.02)


def test_the_step_chosen_is_the_finest_that_keeps_to_the_bits_and_of_a_lost_signal_none():
    config = FitConfig(latent=300, bits=6)
    latents = torch.from_numpy(np.random.default_rng(1).laplace(0, 0.05, (3, 300))).float()
    latents[1] *= 0.8
    latents[2, 7] = torch.nan
    sizes, biases = asked_for(1200.0, config, latents)
    sizes.choose_deltas(latents, biases)
    bias_bits = float(
        CodeLength(config.architecture.bias_count, 16, False, CPU)(
            biases[:1], torch.tensor([[sizes.bias_delta]], dtype=torch.float64)
        )
    )
    first, second, lost = sizes.delta_indices()
    for latent, index in ((latents[0], first), (latents[1], second)):

        def bits(index, latent=latent):
            levels = quantize(latent.numpy(), index, 6, graded=True)
            return code_length_bits(levels, choose_model(levels, graded=True)) + bias_bits

        assert bits(index) <= 1200 < bits(index - 1)
    assert first > second
    assert lost == config.training_step_index
    # The rate weight of the lost one stays, too.
    sizes.prepare(config.steps // 2)
    sizes.update(latents, biases)
    assert float(sizes.rate_weights[2]) == pytest.approx(config.rate_weight)
    assert sizes.rate_weights[:2].isfinite().all()


def update(controller, excess, steps, pace):
    controller.prepare(pace)
    controller.update(torch.tensor([[excess]], dtype=torch.float64), steps)


def settle(controller, *, pace, equilibrium, start, updates=600, steps=10):
    """Bits that answer to the weight as an integral, `pace` times 0.1% a step; their excesses."""
    excess, told = start, []
    for _ in range(updates):
        update(controller, excess, steps, pace)
        told.append(excess)
        factor = math.exp(float(controller.logarithm))
        excess += steps * 1e-3 * pace * (equilibrium - factor)
    return told


@pytest.mark.parametrize("pace", [0.2, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("equilibrium", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("start", [-0.03, 0.03])
def test_the_rate_weight_brings_the_bits_to_what_they_may_be_and_does_not_swing(
    pace, equilibrium, start
):
    told = np.array(settle(RateController(1, CPU), pace=pace, equilibrium=equilibrium, start=start))
    assert abs(told[250:]).max() < 0.005
    felt = told[:250][abs(told[:250]) > 1e-3]
    assert len(np.flatnonzero(np.diff(np.sign(felt)))) <= 2


def test_the_rate_weight_has_bounds_and_leaves_them_at_once():
    controller = RateController(1, CPU)
    for _ in range(1000):
        update(controller, 0.2, 10, 1.0)
    assert controller.logarithm == 1.5
    update(controller, 0.1, 10, 1.0)
    assert controller.logarithm < 1.5
    for _ in range(1000):
        update(controller, -0.2, 10, 1.0)
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
