import math

import pytest
import torch

from doh3d.fitting.losses import LEAST_SQUARED_ERROR, LOSSES


def batch(loss, networks=4, points=30):
    """Outputs, values and importance of some networks."""
    generator = torch.Generator().manual_seed(0)
    channels = 1 if loss == "cross-entropy" else 3
    outputs = torch.randn((networks, points, channels), generator=generator)
    values = torch.rand((networks, points, channels), generator=generator)
    return outputs, values, 3 * torch.rand((networks, points, 1), generator=generator)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_the_residual_is_the_derivative_of_the_mean_but_for_its_scale(name, weighted):
    loss, (outputs, values, importance) = LOSSES[name], batch(name)
    residual = torch.empty_like(outputs)
    loss.residual(outputs, values, residual)
    outputs.requires_grad_()
    loss.means(outputs, values, importance if weighted else None).mean().backward()
    expected = residual * (loss.scale / outputs.numel())
    torch.testing.assert_close(outputs.grad, expected * importance if weighted else expected)


def test_a_residual_may_overwrite_its_outputs():
    for name, loss in LOSSES.items():
        outputs, values, _ = batch(name)
        expected = torch.empty_like(outputs)
        loss.residual(outputs, values, expected)
        loss.residual(outputs, values, outputs)
        assert torch.equal(outputs, expected)


def test_means_are_known():
    zeros, importance = torch.zeros(1, 4, 1), torch.tensor([4.0, 0, 0, 0]).view(1, 4, 1)
    occupancy = torch.tensor([1.0, 0, 1, 0]).view(1, 4, 1)
    cross_entropy, squared = LOSSES["cross-entropy"], LOSSES["log-squared-error"]
    assert float(cross_entropy.means(zeros, occupancy)) == pytest.approx(math.log(2))
    assert float(squared.means(zeros, occupancy)) == 0.5
    # The first sample stands for all.
    assert float(squared.means(zeros, occupancy, importance)) == 1.0


@pytest.mark.parametrize("weighted", [False, True])
def test_each_signal_has_a_logarithm_of_its_own(weighted):
    outputs, values, importance = batch("log-squared-error")
    importance = importance if weighted else None
    shares = torch.tensor([[0.3, 0.7], [0.6, 0.4]])
    loss = LOSSES["log-squared-error"]
    found = loss.divisors(outputs, values, importance, shares)
    weights = 1 if importance is None else importance
    means = ((outputs - values) ** 2 * weights).mean(dim=(1, 2))
    first = 0.3 * means[0] + 0.7 * means[1] + LEAST_SQUARED_ERROR
    second = 0.6 * means[2] + 0.4 * means[3] + LEAST_SQUARED_ERROR
    torch.testing.assert_close(found, torch.stack([first, second])[:, None])
    assert LOSSES["cross-entropy"].divisors(outputs, values, importance, shares) is None


def test_a_cross_entropy_fit_is_sound_unless_it_is_constant_or_not_finite():
    is_sound = LOSSES["cross-entropy"].is_sound
    values = torch.ones(2, 3, 1)
    outputs = torch.tensor([-1.0, 2, 3, -4, 5, 6]).view(2, 3, 1)
    assert is_sound(outputs, values)
    assert not is_sound(outputs.abs(), values)
    assert not is_sound(-outputs.abs(), values)
    for harm in (math.nan, math.inf):
        outputs[0, 0, 0] = harm
        assert not is_sound(outputs, values)


def test_a_squared_error_fit_is_sound_unless_a_constant_errs_less():
    is_sound = LOSSES["log-squared-error"].is_sound
    values = torch.linspace(-0.3, 0.3, 24).view(2, 4, 3) + torch.tensor([-0.5, 0, 0.5])
    assert is_sound(values, values)
    # The mean of each output over all cells is the best constant.
    constant = values.mean(dim=(0, 1)).expand_as(values)
    assert is_sound(constant, values)
    assert not is_sound(constant + 0.1, values)
    # Of a signal that is constant itself a tiny error is no failure.
    assert is_sound(torch.full_like(values, 0.01), torch.zeros_like(values))
    assert not is_sound(torch.full_like(values, 0.1), torch.zeros_like(values))
    for harm in (math.nan, math.inf):
        outputs = values.clone()
        outputs[1, 2, 0] = harm
        assert not is_sound(outputs, values)


def test_errors_are_known():
    logits, occupancy = torch.tensor([-1.0, 0.5, 2.0, -3.0]), torch.tensor([0.2, 0.1, 0.9, 1.0])
    wrong = LOSSES["cross-entropy"].error(logits, occupancy)
    assert wrong.tolist() == [0, 1, 0, 1]
    squared = LOSSES["log-squared-error"].error(torch.tensor([0.5, -1.0]), torch.tensor([0.0, 1.0]))
    assert squared.tolist() == [0.25, 4]
