import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.losses import LEAST_SQUARED_ERROR, LOSSES
from doh3d.fitting.rate import laplace_bits
from doh3d.fitting.rounding import Rounded
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.hypernetwork.target import split_weights, target_forward
from doh3d.thread_team import ThreadTeam

ALONE = torch.ones((1, 1))
ARCHITECTURES = {
    "relu": Architecture(width=12, depth=3, octaves=2),
    "one layer": Architecture(width=7, depth=1, octaves=0),
    "smooth": Architecture(width=12, depth=3, octaves=2, activation="smooth"),
    "sine": Architecture(width=9, depth=2, octaves=0, activation="sine", omega=6),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_network_gradient_equals_autograd(architecture):
    generator = torch.Generator().manual_seed(0)
    backward = TargetBackward(architecture, ALONE, 50, LOSSES["cross-entropy"])
    # Twice: buffers must keep nothing of the batch before.
    for _ in range(2):
        weights = torch.randn(architecture.weight_count, generator=generator) / 4
        biases = torch.randn(architecture.bias_count, generator=generator) / 4
        features = torch.randn((50, architecture.encoded_dim), generator=generator)
        labels = (torch.rand((50, 1), generator=generator) > 0.5).float()
        found = backward(split_weights(architecture, weights, biases), features[None], labels[None])
        weights.requires_grad_()
        biases.requires_grad_()
        target = split_weights(architecture, weights, biases)
        logits = target_forward(architecture, target.of_cell(0), features)
        binary_cross_entropy_with_logits(logits, labels).backward()
        torch.testing.assert_close(found.weights, weights.grad)
        torch.testing.assert_close(found.biases[0], biases.grad)
        torch.testing.assert_close(backward.outputs[0], logits.detach())


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("cached", [64, 200, 12 * 50])
def test_tiles_and_threads_change_nothing(monkeypatch, cached, loss):
    architecture = ARCHITECTURES["smooth"]
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2 * architecture.weight_count, generator=generator) / 4
    biases = torch.randn((2, architecture.bias_count), generator=generator) / 4
    networks = split_weights(architecture, weights, biases)
    features = torch.randn((2, 50, architecture.encoded_dim), generator=generator)
    values = (torch.rand((2, 50, 1), generator=generator) > 0.5).float()
    shares = torch.tensor([[0.3, 0.7]])
    whole = TargetBackward(architecture, shares, 50, loss)(networks, features, values)
    monkeypatch.setattr("doh3d.fitting.gradient._CACHED_ACTIVATIONS", cached)
    found = []
    for threads in (1, 2, 3):
        team = ThreadTeam(threads)
        backward = TargetBackward(architecture, shares, 50, loss, team)
        # Twice: the sums must keep nothing of the batch before.
        for _ in range(2):
            found.append(backward(networks, features, values))
        team.close()
    for one in found:
        torch.testing.assert_close(one.weights, whole.weights)
        torch.testing.assert_close(one.biases, whole.biases)
        assert torch.equal(one.weights, found[0].weights)
        assert torch.equal(one.biases, found[0].biases)


@pytest.mark.parametrize("outputs", [1, 3])
def test_gradient_of_the_logarithm_of_squared_errors_equals_autograd(outputs):
    architecture = Architecture(
        width=12, depth=3, octaves=2, partition=Partition.whole(2), out_dim=outputs
    )
    generator = torch.Generator().manual_seed(0)
    backward = TargetBackward(architecture, ALONE, 50, LOSSES["log-squared-error"])
    weights = (torch.randn(architecture.weight_count, generator=generator) / 4).requires_grad_()
    biases = (torch.randn(architecture.bias_count, generator=generator) / 4).requires_grad_()
    features = torch.randn((50, architecture.encoded_dim), generator=generator)
    values = torch.rand((50, outputs), generator=generator)
    target = split_weights(architecture, weights, biases)
    found = backward(split_weights(architecture, weights, biases), features[None], values[None])
    error = mse_loss(target_forward(architecture, target.of_cell(0), features), values)
    (error + LEAST_SQUARED_ERROR).log().backward()
    torch.testing.assert_close(found.weights, weights.grad)
    torch.testing.assert_close(found.biases[0], biases.grad)


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_several_signals_are_those_of_their_logarithms(weighted):
    """Two signals of two cells each, which have nothing to do with each other."""
    architecture = Architecture(
        width=9, depth=2, octaves=1, partition=Partition.whole(2), out_dim=3
    )
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([[0.3, 0.7], [0.6, 0.4]])
    weights = (torch.randn(4 * architecture.weight_count, generator=generator) / 4).requires_grad_()
    biases = (torch.randn((4, architecture.bias_count), generator=generator) / 4).requires_grad_()
    features = torch.randn((4, 50, architecture.encoded_dim), generator=generator)
    values = torch.rand((4, 50, 3), generator=generator)
    values[2:] *= 30
    importance = 3 * torch.rand((4, 50, 1), generator=generator) if weighted else None
    backward = TargetBackward(architecture, shares, 50, LOSSES["log-squared-error"])
    networks = split_weights(architecture, weights, biases)
    found = backward(networks, features, values, importance)
    loss = torch.zeros(())
    for signal in range(2):
        mean = torch.zeros(())
        for cell, share in enumerate(shares[signal]):
            own = 2 * signal + cell
            outputs = target_forward(architecture, networks.of_cell(own), features[own])
            squared = (outputs - values[own]).square()
            if importance is not None:
                squared = squared * importance[own]
            mean = mean + share * squared.mean()
        loss = loss + (mean + LEAST_SQUARED_ERROR).log()
    loss.backward()
    torch.testing.assert_close(found.weights, weights.grad)
    torch.testing.assert_close(found.biases, biases.grad)


def test_no_error_at_all_has_no_gradient():
    architecture = Architecture(width=4, depth=1, octaves=0, partition=Partition.whole(2))
    backward = TargetBackward(architecture, ALONE, 5, LOSSES["log-squared-error"])
    zeros = torch.zeros(architecture.weight_count), torch.zeros(architecture.bias_count)
    weights, biases = zeros
    network = split_weights(architecture, weights, biases)
    found = backward(network, torch.ones(1, 5, 2), torch.zeros(1, 5, 1))
    assert not found.weights.any()
    assert not found.biases.any()


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("fixed", [0, 120, 200])
@pytest.mark.parametrize("bits", [3, 16])
def test_rounding_gradient_equals_autograd(fixed, bits, graded):
    numbers = torch.randn(200, generator=torch.Generator().manual_seed(1)) * 3
    toward = torch.randn(200, generator=torch.Generator().manual_seed(2))
    delta, rate_weight = 0.5, 0.3
    finer = torch.tensor([1.0] * 100 + [2.0] * 75 + [4.0] * 25)
    rounded = Rounded.of(numbers, delta, bits, torch.arange(200) < fixed, finer if graded else None)
    level = 2 ** (bits - 1) - 1

    numbers.requires_grad_()
    scaled = numbers / delta
    shift = scaled.round() - scaled
    if graded:
        shift = (scaled * finer).round() / finer - scaled
    shift[fixed:] = 0
    levels = (scaled + shift.detach()).clamp(-level, level)
    loss = (levels * delta * toward).sum() + rate_weight * laplace_bits(levels)
    loss.backward()

    torch.testing.assert_close(rounded.levels, levels.detach())
    torch.testing.assert_close(rounded.values, levels.detach() * delta)
    torch.testing.assert_close(rounded.gradient(toward, rate_weight / delta), numbers.grad)
    assert (rounded.levels.abs() == level).any() == (bits == 3)


def test_exact_numbers_pass_gradients_on_as_a_copy():
    numbers, toward = torch.ones(3), torch.arange(3.0)
    found = Rounded.exact(numbers).gradient(toward, 0.0)
    assert torch.equal(found, toward)
    assert found.data_ptr() != toward.data_ptr()
