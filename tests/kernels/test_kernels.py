"""What is compiled against torch's operations, which serve other devices."""

import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from doh3d.fitting.batches import Batch
from doh3d.fitting.compiled_passes import CompiledPasses
from doh3d.fitting.curvature import WeightCurvature
from doh3d.fitting.descent import LatentDescent
from doh3d.fitting.losses import LOSSES
from doh3d.fitting.workspace import TorchPasses
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.projection import make_projection
from doh3d.hypernetwork.target import split_weights
from doh3d.hypernetwork.transform import CompiledTransform, TorchTransform
from doh3d.kernels.gather import gather_rows
from doh3d.kernels.products import multiply

CPU = torch.device("cpu")


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("columns", [8, 16, 24, 32, 40, 48, 56, 64, 72, 128])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_that_of_its_matrices(columns, turned):
    generator = np.random.default_rng(columns)
    # Small integers, so that all sums are exact; a frame of other numbers, which must stay.
    a, b, i = (
        generator.integers(-9, 10, shape).astype(np.float32)
        for shape in ((8, 21), (21, columns), (8, columns))
    )
    given = np.ascontiguousarray(a.T) if turned else a
    strides = (1, 8) if turned else (21, 1)
    c = np.full((10, columns + 3), 0.5, np.float32)
    multiply(
        given.ravel(), 0, *strides, b.ravel(), 0, columns, i.ravel(), 0, columns,
        c.ravel(), columns + 3, columns + 3, 8, columns, 21,
    )  # fmt: skip
    assert np.array_equal(c[1:9, :columns], i + a @ b)
    c[1:9, :columns] = 0.5
    assert (c == 0.5).all()


def test_a_product_adds_to_its_own_start():
    a, b = np.ones(4 * 8, np.float32), np.arange(64, dtype=np.float32)
    c = np.ones(32, np.float32)
    multiply(a, 0, 8, 1, b, 0, 8, c, 0, 8, c, 0, 8, 4, 8, 8)
    assert np.array_equal(c.reshape(4, 8), 1 + b.reshape(8, 8).sum(axis=0) + np.zeros((4, 1)))


@pytest.mark.parametrize("many", [1, 3])
@pytest.mark.parametrize("n", [1, 5, 30, 64, 100, 700])
def test_a_transform_is_torchs(n, many):
    projection = make_projection("hadamard", n, [40, 7, 130], 3)
    if many > 1:
        projection = projection.for_many(many)
    own = projection.floats()
    assert type(own) is CompiledTransform
    other = TorchTransform(own.input_signs, own.output_signs, own.gather, own.shape)
    latents = normal(*((many, n) if many > 1 else (n,)))
    weights = normal(177 * many)
    torch.testing.assert_close(own.project(latents), other.project(latents), rtol=0, atol=2e-4)
    torch.testing.assert_close(own.transpose(weights), other.transpose(weights), rtol=0, atol=2e-4)
    # Over what both have left in the memory that they share.
    torch.testing.assert_close(own.project(latents), other.project(latents), rtol=0, atol=2e-4)


SIZES = [(5, 1, 1, 1, 3), (12, 2, 3, 2, 130), (52, 3, 1, 1, 200), (32, 3, 1, 3, 64)]


@pytest.mark.parametrize("activation", ["smooth", "relu"])
@pytest.mark.parametrize(
    ("loss", "width", "depth", "outputs", "networks", "points"),
    # The cross-entropy is of one output.
    [(loss, *size) for loss in LOSSES for size in SIZES if loss != "cross-entropy" or size[2] == 1],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_passes_are_torchs(loss, activation, width, depth, outputs, networks, points, weighted):
    architecture = Architecture(
        width=width, depth=depth, octaves=2, activation=activation, out_dim=outputs
    )
    weights = split_weights(
        architecture,
        0.3 * normal(networks * architecture.weight_count),
        normal(networks, architecture.bias_count, seed=1),
    )
    features = normal(networks, points, architecture.encoded_dim, seed=2)
    values = normal(networks, points, outputs, seed=3).gt(0).float()
    importance = normal(networks, points, 1, seed=4).abs() if weighted else None
    scales = normal(networks, 1, 1, seed=5).abs()
    found = []
    for kind in (CompiledPasses, TorchPasses):
        passes = kind(architecture, LOSSES[loss], scales, (networks, points), 1)
        passes.prepare(weights)
        out, errors = torch.zeros_like(values), torch.zeros((networks, points, 1))
        alone = torch.zeros_like(values)
        gradient = split_weights(
            architecture,
            torch.zeros(networks * architecture.weight_count),
            torch.zeros(networks, architecture.bias_count),
        )
        tile = slice(0, networks), slice(0, points)
        batch = Batch(features, values, importance)
        passes.differentiate(0, *tile, batch, out, errors, gradient)
        passes.evaluate(0, *tile, features, alone)
        assert torch.equal(out, alone)
        found.append((out, errors, *gradient.whole))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert bool(found[0][1].any()) == weighted


@pytest.mark.parametrize("rescales", [False, True])
@pytest.mark.parametrize(("signals", "cells"), [(1, 1), (1, 3), (2, 2)])
def test_a_solution_is_torchs(signals, cells, rescales):
    architecture = Architecture(width=12, depth=3, octaves=1, activation="smooth")
    n, count = 150, signals * cells * architecture.weight_count
    sizes = [cells * size for size in architecture.layer_sizes]
    projection = make_projection("hadamard", n, sizes, 0)
    projection = projection if signals == 1 else projection.for_many(signals)
    curvature = WeightCurvature(architecture.layer_shapes, CPU, signals, cells)
    for step in range(5):
        gradient = normal(count, seed=step) * normal(count, seed=9).abs()
        curvature.see(gradient)
        curvature.follow()
        curvature.learn(gradient)
    own, other = (
        LatentDescent(projection, curvature, n, CPU, None if signals == 1 else signals)
        for _ in range(2)
    )
    other._compiled = None
    shape = (n,) if signals == 1 else (signals, n)
    free = (normal(n, seed=7) > -1).float()
    for descent in (own, other):
        descent.rescales.fill_(rescales)
        descent.direction.copy_(1e-3 * normal(*shape, seed=6) * free)
        descent._solve(normal(*shape, seed=5) * free, free, 0.1)
    assert own._compiled is not None
    size = other.direction.abs().max().item()
    torch.testing.assert_close(own.direction, other.direction, rtol=0, atol=1e-4 * size)
    assert not own.direction[..., free == 0].any()


def test_rows_are_gathered_from_anywhere():
    table = normal(50, 3).numpy()
    rows = np.array([49, 0, 7, 7, 3, 11, 49, 20, 1, 2, 5])
    out = np.zeros((11, 3), np.float32)
    gather_rows(rows, table, out)
    assert np.array_equal(out, table[rows])


def test_without_numba_torch_does_all(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    projection = make_projection("hadamard", 30, [40], 3)
    assert type(projection.floats()) is TorchTransform


@pytest.mark.parametrize("writable", [True, False])
def test_what_is_compiled_is_kept_where_one_can_write(tmp_path, monkeypatch, writable):
    from doh3d.kernels import compiled

    def place(function):
        """As numba looks for one, which fails where nothing can be written."""
        if not writable:
            raise RuntimeError("cannot cache function: no locator available")
        return cache_of(function)

    from numba.core import caching

    cache_of = caching.FunctionCache
    monkeypatch.setattr("numba.core.dispatcher.FunctionCache", place)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @compiled.kernel
    def add(a, b):
        return a + b

    assert add(1, 2) == 3
    kept = [path.parent.parent for path in tmp_path.rglob("*.nbi")]
    assert kept == ([Path(compiled._directory(str(tmp_path)))] if writable else [])
    assert str(tmp_path) == numba.config.CACHE_DIR
