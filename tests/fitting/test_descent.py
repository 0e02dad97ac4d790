import math

import pytest
import torch

from doh3d.fitting.curvature import (
    BASIS_INTERVAL,
    WeightCurvature,
    orthonormal,
    orthonormal_by_blocks,
)
from doh3d.fitting.descent import LatentDescent, WeightDescent
from doh3d.hypernetwork.projection import make_projection

SHAPES = [(6, 5), (6, 6), (1, 6)]
SIZES = [rows * columns for rows, columns in SHAPES]
COUNT = sum(SIZES)
CPU = torch.device("cpu")


def learn(curvature, gradient):
    """Give a gradient to a curvature, whose bases follow as in a step."""
    curvature.see(gradient)
    if curvature.updates % BASIS_INTERVAL == 0:
        curvature.follow()
    curvature.learn(gradient)


def free(count, fixed=0):
    """1 for each number that may move, which the first `fixed` may not."""
    return (torch.arange(count) >= fixed).float()


def learned_curvature(updates=30):
    """Curvature of gradients whose matrices have structure: sharp rows and columns."""
    generator = torch.Generator().manual_seed(0)
    curvature = WeightCurvature(SHAPES, CPU)
    mixing = [
        (torch.randn((r, r), generator=generator), torch.randn((c, c), generator=generator))
        for r, c in SHAPES
    ]
    for _ in range(updates):
        learn(
            curvature,
            torch.cat(
                [
                    (left @ torch.randn(shape, generator=generator) @ right).reshape(-1)
                    for (left, right), shape in zip(mixing, SHAPES, strict=True)
                ]
            ),
        )
    return curvature


def dense(apply, count):
    return torch.stack([apply(unit).clone() for unit in torch.eye(count)], dim=1)


def test_the_metric_is_symmetric_positive_and_has_the_trace_it_says():
    curvature = learned_curvature()
    metric = dense(curvature.multiply, COUNT)
    torch.testing.assert_close(metric, metric.T, atol=1e-4, rtol=1e-4)
    assert float(torch.linalg.eigvalsh(metric).min()) > 0
    assert float(curvature.trace()) == pytest.approx(float(metric.trace()), rel=1e-4)


def test_solving_undoes_multiplying():
    curvature = learned_curvature()
    damping = torch.tensor(0.5)
    weights = torch.randn(COUNT, generator=torch.Generator().manual_seed(1))
    there = curvature.multiply(weights) * 3.0 + damping * weights
    torch.testing.assert_close(curvature.solve(there, 3.0, damping), weights, atol=1e-4, rtol=1e-3)


def test_the_metric_tells_sharp_directions_from_flat_ones():
    curvature = WeightCurvature([(4, 3)], CPU)
    generator = torch.Generator().manual_seed(0)
    # In a basis that no single weight shows.
    turn = torch.linalg.qr(torch.randn((4, 4), generator=generator)).Q
    for _ in range(50):
        noise = torch.randn((4, 3), generator=generator)
        learn(curvature, (turn @ (torch.tensor([[10.0], [1.0], [1.0], [1.0]]) * noise)).ravel())
    sharp = torch.outer(turn[:, 0], torch.ones(3)).ravel()
    flat = torch.outer(turn[:, 1], torch.ones(3)).ravel()
    steepness = [float(x.dot(curvature.multiply(x))) for x in (sharp, flat)]
    assert steepness[0] > 4 * steepness[1]


@pytest.mark.parametrize("fixed", [0, 5])
def test_the_direction_comes_to_the_metrics_inverse_times_the_momentum(fixed):
    n = 12
    projection = make_projection("hadamard", n, SIZES, seed=3)
    curvature = learned_curvature()
    descent = LatentDescent(projection, curvature, n, CPU)
    matrix = dense(projection.project, n)
    metric = matrix.T @ dense(curvature.multiply, COUNT) @ matrix
    metric += 0.01 * curvature.trace() * torch.eye(n)
    gradient = torch.randn(n, generator=torch.Generator().manual_seed(2))
    latent = torch.randn(n, generator=torch.Generator().manual_seed(4))
    start = latent.clone()
    # The momentum of a gradient that never changes is that gradient.
    for _ in range(20):
        descent.step(latent, gradient, 1e-9, free(n, fixed))
    rest = slice(fixed, None)
    wanted = torch.linalg.solve(metric[rest, rest], gradient[rest])
    torch.testing.assert_close(descent.direction[rest], wanted, rtol=1e-2, atol=1e-3)
    assert torch.equal(latent[:fixed], start[:fixed])
    assert not descent.direction[:fixed].any()


@pytest.mark.parametrize(("start", "end"), [(5.0, 1.0), (0.2, 1.0), (-3.0, 0.0), (0.0, 0.0)])
def test_a_rescaled_start_has_the_length_that_solves_best(start, end, monkeypatch):
    monkeypatch.setattr("doh3d.fitting.descent._ITERATIONS", 1)
    n = 12
    projection, curvature = make_projection("hadamard", n, SIZES, seed=3), learned_curvature()
    descent = LatentDescent(projection, curvature, n, CPU)
    best = torch.randn(n, generator=torch.Generator().manual_seed(2))
    damping = 0.01 * curvature.trace()
    wanted = projection.transpose(curvature.multiply(projection.project(best))) + damping * best
    expected = LatentDescent(projection, curvature, n, CPU)
    expected.direction.copy_(end * best)
    expected.step(torch.ones(n), wanted, 1e-9, free(n))
    descent.direction.copy_(start * best)
    descent.rescales.fill_(True)
    descent.step(torch.ones(n), wanted, 1e-9, free(n))
    torch.testing.assert_close(descent.direction, expected.direction, rtol=1e-3, atol=1e-3)


def test_weights_of_their_own_are_solved_exactly():
    class Scaled:
        def project(self, latent):
            return latent * math.sqrt(COUNT)

        transpose = project

    curvature = learned_curvature()
    gradient = torch.randn(COUNT, generator=torch.Generator().manual_seed(5))
    iterated = LatentDescent(Scaled(), curvature, COUNT, CPU)
    exact = WeightDescent(Scaled(), curvature, COUNT, CPU)
    for _ in range(60):
        iterated.step(torch.ones(COUNT), gradient, 1e-9, free(COUNT))
    exact.step(torch.ones(COUNT), gradient, 1e-9, free(COUNT))
    torch.testing.assert_close(exact.direction, iterated.direction, rtol=2e-2, atol=1e-3)


def test_a_step_is_never_longer_than_a_tenth_of_the_latent():
    n = 12
    descent = LatentDescent(
        make_projection("hadamard", n, SIZES, seed=3), learned_curvature(), n, CPU
    )
    latent = torch.ones(n)
    descent.step(latent, torch.ones(n), 1e6, free(n))
    assert float((latent - 1).norm()) == pytest.approx(0.1 * math.sqrt(n), rel=1e-4)


def test_no_gradient_moves_nothing():
    n = 12
    descent = LatentDescent(
        make_projection("hadamard", n, SIZES, seed=3), learned_curvature(), n, CPU
    )
    latent = torch.ones(n)
    descent.step(latent, torch.zeros(n), 0.1, free(n))
    assert torch.equal(latent, torch.ones(n))


@pytest.mark.parametrize("kind", ["hadamard", "dense"])
@pytest.mark.parametrize("fixed", [0, 4])
def test_a_descent_of_many_is_the_descent_of_each(kind, fixed):
    n, count = 12, 3
    # Square, so that one gradient already fixes the bases.
    shapes = [(6, 6), (5, 5)]
    sizes = [36, 25]
    projection = make_projection(kind, n, sizes, seed=3)
    together = WeightCurvature(shapes, CPU, count)
    descent = LatentDescent(projection.for_many(count), together, n, CPU, count)
    alone = [WeightCurvature(shapes, CPU) for _ in range(count)]
    descents = [LatentDescent(projection, curvature, n, CPU) for curvature in alone]
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((count, n), generator=generator)
    each = [latent.clone() for latent in latents]
    for _ in range(12):
        gradients = torch.randn((count, sum(sizes)), generator=generator)
        of_latents = torch.randn((count, n), generator=generator)
        learn(together, torch.cat([part.reshape(-1) for part in gradients.split(sizes, dim=1)]))
        descent.step(latents, of_latents, 0.1, free(n, fixed))
        for k in range(count):
            learn(alone[k], gradients[k])
            descents[k].step(each[k], of_latents[k], 0.1, free(n, fixed))
    torch.testing.assert_close(latents, torch.stack(each), rtol=1e-3, atol=1e-4)
    traces = torch.stack([curvature.trace() for curvature in alone])
    torch.testing.assert_close(together.trace()[:, 0], traces)


@pytest.mark.parametrize("effort", [0.1, 0.5, 2.0])
def test_effort_is_the_number_of_products(effort):
    class Counted:
        calls = 0

        def project(self, latent):
            self.calls += 1
            return latent * math.sqrt(COUNT)

        def transpose(self, values):
            return values * math.sqrt(COUNT)

    projection = Counted()
    descent = LatentDescent(projection, learned_curvature(), COUNT, CPU, effort=effort)
    descent.step(torch.ones(COUNT), torch.ones(COUNT), 1e-9, free(COUNT))
    # Five for a short latent, at least one; and the first residual's.
    assert projection.calls == 1 + max(1, round(5 * effort))


def test_a_small_first_gradient_does_not_hold_steps_short():
    descent = LatentDescent(make_projection("hadamard", 40, SIZES, 0), learned_curvature(), 40, CPU)
    latent = torch.randn(40, generator=torch.Generator().manual_seed(0))
    for step in range(5):
        gradient = torch.full((40,), 1e-6 if step == 0 else 1.0)
        before = latent.clone()
        descent.step(latent, gradient, 1.0, free(40))
    assert torch.allclose(before - latent, descent.direction, atol=1e-6)


def test_a_burst_of_gradients_makes_no_longer_steps_than_is_usual():
    """Of two latents one gets a burst; the other's steps are none of its business."""
    count, n = 2, 40
    curvature = WeightCurvature(SHAPES, CPU, count)
    generator = torch.Generator().manual_seed(0)
    projection = make_projection("hadamard", n, SIZES, 0).for_many(count)
    descent = LatentDescent(projection, curvature, n, CPU, count)
    latents = torch.randn((count, n), generator=generator)
    lengths = []
    for step in range(60):
        learn(curvature, torch.randn(count * COUNT, generator=generator))
        gradients = 1e-3 * torch.ones((count, n))
        if step == 50:
            gradients[0] *= 1000
        before, usual = latents.clone(), descent.usual.clone()
        descent.step(latents, gradients, 0.1, free(n))
        wanted = descent.momentum / (1 - 0.9 ** (step + 1))
        whole = (descent.direction * wanted).sum(dim=1, keepdim=True).sqrt()
        taken = ((before - latents) / 0.1 * wanted).sum(dim=1, keepdim=True) / whole
        if step:
            assert (taken <= 1.2 * usual * 1.01).all()
            # Only where a step is too long is it cut.
            assert torch.allclose(taken, torch.minimum(whole, 1.2 * usual), rtol=0.01)
        lengths.append(whole / descent.usual)
    lengths = torch.stack(lengths)
    assert lengths[50:, 0].max() > 20
    assert lengths[50:, 1].max() < 2


@pytest.mark.parametrize("kind", ["random", "nearly diagonal", "of rank one", "zero"])
def test_bases_by_blocks_are_those_of_qr_but_for_signs(kind):
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn((5, 9, 9), generator=generator)
    if kind == "nearly diagonal":
        scales = torch.logspace(0, -6, 9)
        matrices = torch.diag_embed(scales.expand(5, 9)) + 1e-3 * matrices * scales
    elif kind == "of rank one":
        matrices = matrices[:, :, :1] * matrices[:, :1, :]
    elif kind == "zero":
        matrices.zero_()
    found, expected = orthonormal_by_blocks(matrices), orthonormal(matrices)
    unit = torch.eye(9).expand(5, 9, 9)
    torch.testing.assert_close(found @ found.mT, unit, rtol=0, atol=1e-5)
    if kind != "of rank one":
        signs = (found * expected).sum(dim=1, keepdim=True).sign()
        torch.testing.assert_close(found * signs, expected, rtol=0, atol=1e-4)
