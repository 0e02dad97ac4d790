import dataclasses

import numpy as np
import pytest
import torch

from doh3d.codec.container import parse
from doh3d.fitting.config import FitConfig
from doh3d.hypernetwork.architecture import Architecture
from doh3d.signals.shape import prepare
from peers.networks import PEERS, DirectWeights, fit_peer

TARGET = 700
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prepared():
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=3, radius=2.0)
    return prepare(ball)


@pytest.fixture(scope="module")
def config():
    return FitConfig(
        latent=800,
        architecture=Architecture(width=16, depth=2, octaves=2),
        steps=150,
        batch_size=1024,
        pool_size=20_000,
    )


def ball_iou(field):
    points = np.random.default_rng(0).uniform(-2.1, 2.1, (20_000, 3))
    inside = np.linalg.norm(points, axis=1) < 2.0
    found = field.occupancy(points)
    return (inside & found).sum() / (inside | found).sum()


@pytest.mark.parametrize("peer", PEERS)
def test_each_peer_writes_real_bytes_of_the_best_two_of_its_networks(peer, prepared, config):
    ranked = []

    def rank(field):
        ranked.append(ball_iou(field))
        return ranked[-1]

    fits = list(fit_peer(peer, prepared, config, TARGET, rank, device=CPU))
    assert len(ranked) == (8 if peer == "mlp" else 5)
    assert len({fit.variant for fit in fits}) == 2
    assert all(0.5 * TARGET < len(fit.data) < 1.3 * TARGET for fit in fits)
    assert max(ball_iou(fit.field) for fit in fits) > 0.9


def test_the_networks_that_rank_highest_are_fitted_in_full(prepared, config):
    ranks = iter([0.1, 0.5, 0.2, 0.9, 0.3])
    quick = dataclasses.replace(config, steps=20)
    fits = fit_peer("coin", prepared, quick, TARGET, lambda field: next(ranks), device=CPU)
    assert [fit.variant.split(",")[0] for fit in fits] == ["depth 4", "depth 2"]


def test_coin_spends_two_bytes_on_each_parameter(prepared, config):
    for fit in fit_peer("coin", prepared, config, TARGET, ball_iou, device=CPU):
        architecture = fit.field.code.architecture
        assert len(fit.data) == 28 + 2 * (architecture.weight_count + architecture.bias_count)
        assert len(fit.data) <= TARGET


def test_doh_as_published_is_dense_and_fixed_length(prepared, config):
    fit = next(fit_peer("doh_published", prepared, config, TARGET, ball_iou, device=CPU))
    code = parse(fit.data)
    assert code.dense_projection
    assert code.latent.model.family.name == "FIXED_LENGTH"
    numbers = len(code.latent.values) + len(code.biases.values)
    assert len(fit.data) == pytest.approx(31 + numbers, abs=2)


def test_a_direct_network_is_its_weights(prepared, config):
    # Unit variance whatever their number, so that one step size and rate serve every width.
    latent = torch.randn(4000, generator=torch.Generator().manual_seed(0)) / 4000**0.5
    assert float(DirectWeights().project(latent).var()) == pytest.approx(1.0, rel=0.1)
    mlp = dataclasses.replace(config, steps=60)
    fit = next(fit_peer("mlp", prepared, mlp, TARGET, ball_iou, device=CPU))
    code = parse(fit.data)
    first = code.architecture.layer_sizes[0]
    gain = code.architecture.layer_gains[0]
    factors = code.architecture.feature_factors
    count = len(code.latent.values)
    expected = code.latent.values[:first] * code.latent.step * count**0.5 * gain
    found = fit.field.weights.matrices[0].numpy()
    expected = expected.reshape(found.shape) * factors
    np.testing.assert_allclose(found, expected, rtol=1e-5)
