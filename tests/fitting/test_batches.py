import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from doh3d.fitting import batches as module
from doh3d.fitting.batches import ImportanceSampling, SlicesInTurn
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.losses import LEAST_SQUARED_ERROR, LOSSES
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import split_weights, target_forward
from doh3d.thread_team import ThreadTeam


def pools(count, size):
    """Features that tell row and pool, and values that are the rows' numbers."""
    rows = torch.arange(count * size, dtype=torch.float32).view(count, size, 1)
    return torch.cat([rows, -rows], dim=2), rows.clone()


def sampling(features, values, size, *, steps=60, interval=1, seed=0):
    return ImportanceSampling(features, values, size, steps=steps, interval=interval, seed=seed)


def taken(batches, step, measure=pytest.fail):
    """Gather a step's batch."""
    batches.prepare(step, measure)
    return batches.gather()


def copy_of(batch):
    return [part.clone() for part in batch]


def rows_of_a_draw(drawn, errors, steps_each, first):
    """Take all batches of one draw, of which the errors are known; (rows, importance)."""

    def measure(target):
        target.copy_(errors)

    each = [copy_of(taken(drawn, first + step, measure)) for step in range(steps_each)]
    return (
        torch.cat([values for _, values, _ in each], dim=1)[..., 0].long(),
        torch.cat([importance for _, _, importance in each], dim=1)[..., 0],
    )


def test_slices_pass_over_the_pool_and_never_beyond_it():
    features, values = pools(2, 10)
    slices = SlicesInTurn(features, values, 4)
    starts = []
    for step in range(6):
        batch = taken(slices, step)
        assert batch.importance is None
        starts.append(int(batch.values[0, 0, 0]))
        assert torch.equal(batch.values[:, :, 0], batch.features[:, :, 0])
        assert batch.values.shape == (2, 4, 1)
    assert starts == [0, 4, 5, 6, 0, 4]


@given(
    errors=st.lists(st.just(0.0) | st.floats(2**-20, 1, width=32), min_size=6, max_size=40),
    size=st.integers(1, 6),
    count=st.integers(1, 3),
    seed=st.integers(0, 65535),
)
@settings(deadline=None, max_examples=60)
def test_a_sample_is_drawn_as_often_as_its_error_asks_to_within_one(errors, size, count, seed):
    features, values = pools(count, len(errors))
    drawn = sampling(features, values, size, steps=60, interval=3, seed=seed)
    known = torch.tensor(errors).repeat(count, 1)[..., None]
    known = known * torch.linspace(1, 0.5, count)[:, None, None]
    for step in range(3):
        taken(drawn, step, pytest.fail)
    rows, importance = rows_of_a_draw(drawn, known, 3, 3)
    slots = 3 * size
    for network in range(count):
        own = rows[network] - network * len(errors)
        counts = np.bincount(own.numpy(), minlength=len(errors))
        assert counts.sum() == slots
        # No error is smaller than a unit.
        exact = known[network, :, 0].double().clamp_min(2**-30)
        wanted = 0.2 + 0.8 * exact / exact.mean()
        expected = (slots * wanted / wanted.sum()).numpy()
        assert (np.abs(counts - expected) < 1 + 1e-3).all()
        # What is drawn twice as often counts half as much.
        np.testing.assert_allclose(
            importance[network].numpy(), 1 / wanted[own].numpy(), rtol=2e-4, atol=1e-6
        )


def test_weighted_draws_estimate_the_mean_over_the_pool():
    generator = torch.Generator().manual_seed(1)
    errors = torch.rand((1, 500, 1), generator=generator) ** 4
    quantity = errors[0, :, 0] * torch.randn(500, generator=generator)
    features, values = pools(1, 500)
    by_error, uniform = [], []
    for seed in range(200):
        drawn = sampling(features, values, 20, steps=20, seed=seed)
        taken(drawn, 0, pytest.fail)
        _, rows, importance = taken(drawn, 1, lambda target: target.copy_(errors))
        picked = rows[0, :, 0].long()
        by_error.append(float((quantity[picked] * importance[0, :, 0]).mean()))
        chance = torch.randint(500, (20,), generator=generator)
        uniform.append(float(quantity[chance].mean()))
    mean = float(quantity.mean())
    assert abs(np.mean(by_error) - mean) < 4 * np.std(by_error) / math.sqrt(200)
    # The estimate scatters less by much: what it is for.
    assert np.var(by_error) < 0.5 * np.var(uniform)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_is_gathered_row_by_row_and_by_parts(dtype):
    features, values = (pool.to(dtype) for pool in pools(3, 17))
    drawn = sampling(features, values, 5, steps=20)
    for step in range(8):
        whole = copy_of(taken(drawn, step, lambda errors: errors.uniform_()))
        of_features, of_values, _ = whole
        assert torch.equal(of_features[..., :1], of_values)
        assert torch.equal(of_features[..., 1:], -of_values)
        # Each network's rows are from its own pool.
        assert torch.equal(of_values[..., 0] // 17, torch.arange(3.0)[:, None].expand(3, 5))
        for part in drawn.batch:
            part.fill_(math.nan)
        drawn.gather(slice(0, 2))
        drawn.gather(slice(2, 3), slice(0, 2))
        drawn.gather(slice(2, 3), slice(2, 5))
        assert all(map(torch.equal, whole, drawn.batch))


def test_what_a_batch_tells_is_known_at_the_next_draw():
    features, values = pools(1, 8)
    drawn = sampling(features, values, 8, steps=20, seed=3)
    taken(drawn, 0, pytest.fail)
    taken(drawn, 1, lambda target: target.fill_(1.0))
    batch = taken(drawn, 2, pytest.fail)
    told = torch.where(batch.values == 5.0, 1.0, 0.0)
    assert told.sum() > 0
    drawn.learn(told)
    assert float(drawn.tensors()["errors"][0, 5, 0]) == 1.0
    batch = taken(drawn, 3, pytest.fail)
    # 0.2 for each of seven, and 6.6 for the one whose error is known.
    assert int((batch.values == 5.0).sum()) in (6, 7)


def test_a_pool_of_errors_that_are_no_numbers_is_drawn_from_all_the_same():
    features, values = pools(2, 9)
    drawn = sampling(features, values, 6, steps=20)
    taken(drawn, 0, pytest.fail)

    def measure(target):
        target.fill_(0.5)
        target[1] = math.nan

    batch = taken(drawn, 1, measure)
    assert torch.isfinite(batch.importance).all()
    torch.testing.assert_close(batch.importance[0], torch.ones(6, 1))


def test_going_on_from_what_a_draw_begins_with_gives_the_same_batches():
    features, values = pools(2, 30)
    errors = torch.rand((2, 30, 1), generator=torch.Generator().manual_seed(5))

    def run(drawn, steps):
        found = []
        for step in steps:
            batch = taken(drawn, step, lambda target: target.copy_(errors))
            found.append(copy_of(batch))
            drawn.learn(batch.values / 60)
        return found

    whole = sampling(features, values, 4, steps=200, interval=10)
    expected = run(whole, range(40))
    interrupted = sampling(features, values, 4, steps=200, interval=10)
    run(interrupted, range(20))
    assert interrupted.begins_at(20)
    assert not interrupted.begins_at(25)
    other = sampling(features, values, 4, steps=200, interval=10)
    for name, tensor in other.tensors().items():
        tensor.copy_(interrupted.tensors()[name])
    for wanted, found in zip(expected[20:], run(other, range(20, 40)), strict=True):
        assert all(map(torch.equal, wanted, found))


def test_all_errors_are_measured_at_the_first_draw_that_follows_them_and_now_and_then():
    features, values = pools(1, 12)
    drawn = sampling(features, values, 3, steps=400, interval=10)
    measured = []
    for step in range(400):
        taken(drawn, step, lambda target, step=step: measured.append(step))
    each = 20
    assert measured == list(range(each, 400, module._MEASURE_INTERVAL * each))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["relu", "smooth"])
@pytest.mark.parametrize("cached", [40, 2**17])
def test_importance_weighs_the_gradient_and_errors_are_lengths_of_residuals(
    monkeypatch, activation, cached, loss
):
    monkeypatch.setattr("doh3d.fitting.gradient._CACHED_ACTIVATIONS", cached)
    channels = 1 if loss == "cross-entropy" else 3
    architecture = Architecture(
        width=8, depth=2, octaves=1, activation=activation, out_dim=channels
    )
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn((2 * architecture.weight_count,), generator=generator) / 3
    biases = torch.randn((2, architecture.bias_count), generator=generator) / 3
    features = torch.randn((2, 30, architecture.encoded_dim), generator=generator)
    values = torch.rand((2, 30, channels), generator=generator)
    importance = torch.rand((2, 30, 1), generator=generator) * 3
    team = ThreadTeam(2)
    backward = TargetBackward(architecture, torch.ones((2, 1)), 30, LOSSES[loss], team)
    target = split_weights(architecture, weights, biases)
    found = backward(target, features, values, importance)
    leaf = weights.clone().requires_grad_()
    networks = split_weights(architecture, leaf, biases)
    outputs = torch.stack(
        [target_forward(architecture, networks.of_cell(k), features[k]) for k in range(2)]
    )
    if loss == "cross-entropy":
        each = binary_cross_entropy_with_logits(outputs, values, reduction="none")
        total = (importance * each).mean(dim=(1, 2)).sum()
        residuals = torch.sigmoid(outputs) - values
    else:
        residuals = outputs - values
        means = (importance * residuals.square()).mean(dim=(1, 2))
        total = (means + LEAST_SQUARED_ERROR).log().sum()
    total.backward()
    torch.testing.assert_close(found.weights, leaf.grad)
    errors = residuals.detach().square().sum(dim=2, keepdim=True).sqrt()
    torch.testing.assert_close(backward.errors, errors)
    # All at once, more of them than a batch has.
    many = torch.empty((2, 75, 1))
    repeated = [torch.cat([part] * 3, dim=1)[:, :75].contiguous() for part in (features, values)]
    backward.measure(target, *repeated, many)
    team.close()
    torch.testing.assert_close(many, torch.cat([errors] * 3, dim=1)[:, :75])


def test_values_of_several_numbers_are_drawn_whole():
    features = torch.arange(40.0).view(1, 20, 2)
    values = torch.arange(60.0).view(1, 20, 3)
    drawn = sampling(features, values, 5, steps=20)
    taken(drawn, 0, pytest.fail)
    batch = taken(drawn, 1, lambda errors: errors.copy_(torch.arange(20.0).view(1, 20, 1)))
    rows = (batch.values[0, :, 0] / 3).long()
    assert torch.equal(batch.values[0], values[0, rows])
    assert torch.equal(batch.features[0], features[0, rows])
    assert batch.importance.shape == (1, 5, 1)


def test_draws_are_those_of_exact_sums_whatever_the_order():
    generator = torch.Generator().manual_seed(3)
    size, pool, each = 7, 300, 4
    errors = torch.rand((2, pool, 1), generator=generator) ** 6
    errors[0, 5] = 0.0
    errors[1, 7] = 300.0
    features, values = pools(2, pool)
    drawn = sampling(features, values, size, steps=20, interval=each)
    for step in range(each):
        taken(drawn, step)
    rows, importance = rows_of_a_draw(drawn, errors, each, each)
    chances = torch.Generator().manual_seed(2**0)
    offset = Fraction(float(torch.rand(1, generator=chances)))
    order = torch.randperm(each, generator=chances).tolist()
    slots = size * each
    for network in range(2):
        units = [
            min(max(math.floor(Fraction(error) * 2**30), 1), 2**38)
            for error in errors[network, :, 0].tolist()
        ]
        total, passed, owners = sum(units), 0, []
        for number, unit in enumerate(units):
            passed += unit
            end = slots * (Fraction(4, 5) * passed / total + Fraction(number + 1, 5 * pool))
            # A sample has the slots up to where it ends.
            owners += [number] * (min(math.floor(end + offset), slots) - len(owners))
        # Slots are dealt out to the steps in turn, and the steps' order is left to chance.
        expected = [owners[step::each] for step in order]
        found = rows[network].view(each, size) - network * pool
        assert found.tolist() == expected
        wanted = [float(Fraction(1, 5) + Fraction(4 * pool * unit, 5 * total)) for unit in units]
        own = [1 / wanted[row] for step in expected for row in step]
        np.testing.assert_allclose(importance[network].numpy(), own, rtol=1e-6)
