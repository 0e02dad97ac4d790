import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.decoder import generate_weights
from doh3d.hypernetwork.philox import Stream, random_signs, random_words
from doh3d.hypernetwork.projection import (
    HadamardProjection,
    make_projection,
    walsh_hadamard_exact,
)
from doh3d.hypernetwork.transform import WalshHadamard, hadamard_factors

KINDS = ("hadamard", "dense")


def sylvester(size):
    """Walsh-Hadamard matrix straight from its definition: (-1)^popcount(i & j)."""
    return np.array([[(-1) ** (i & j).bit_count() for j in range(size)] for i in range(size)])


def slow_hadamard(latent, sizes, seed):
    """The projection as docs/format.md words it, one row at a time."""
    n = len(latent)
    block = 1
    while block < n:
        block *= 2
    matrix = sylvester(block)
    out = []
    size = sum(sizes)
    blocks = -(-size // block)
    d1 = random_signs(seed, 0, Stream.INPUT_SIGNS, 0, blocks * block).astype(int)
    d2 = random_signs(seed, 0, Stream.OUTPUT_SIGNS, 0, size).astype(int)
    keys = random_words(seed, 0, Stream.PERMUTATION, 0, blocks * block).tolist()
    for p in range(size):
        k, i = divmod(p, block)
        order = sorted(range(block), key=lambda j, k=k: (keys[k * block + j], j))
        flipped = d1[k * block : k * block + n] * latent
        out.append(int(d2[p] * (matrix[order[i]][:n] @ flipped)))
    return out


def slow_dense(latent, sizes, seed):
    out = []
    for layer, size in enumerate(sizes):
        signs = random_signs(seed, layer, Stream.DENSE_SIGNS, 0, size * len(latent)).astype(int)
        out += [int(row @ latent) for row in signs.reshape(size, len(latent))]
    return out


@given(
    st.lists(st.integers(-32767, 32767), min_size=1, max_size=40),
    st.lists(st.integers(1, 90), min_size=1, max_size=3),
    st.integers(0, 65535),
)
@settings(max_examples=40, deadline=None)
def test_exact_projections_equal_their_definitions(latent, sizes, seed):
    z = torch.tensor(latent)
    hadamard = make_projection("hadamard", len(latent), sizes, seed)
    dense = make_projection("dense", len(latent), sizes, seed)
    assert hadamard.project(z).tolist() == slow_hadamard(np.array(latent), sizes, seed)
    assert dense.project(z).tolist() == slow_dense(np.array(latent), sizes, seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3, 100, 1500])
def test_float_and_exact_paths_agree(kind, n):
    projection = make_projection(kind, n, [600, 1024, 32], 3)
    z = torch.from_numpy(np.random.default_rng(n).integers(-31, 32, n))
    assert torch.equal(projection.project(z.float()), projection.project(z).float())


@pytest.mark.parametrize("size", [1, 2, 8, 64, 128, 4096])
def test_walsh_hadamard_is_the_sylvester_matrix_and_its_own_inverse(size):
    rows = torch.from_numpy(np.random.default_rng(0).integers(-99, 99, (3, size)))
    fast = walsh_hadamard_exact(rows)
    if size <= 128:
        assert torch.equal(fast, rows @ torch.from_numpy(sylvester(size)))
    assert torch.equal(walsh_hadamard_exact(fast), size * rows)
    factors = hadamard_factors(size, torch.float64, "cpu")
    floats = torch.zeros(rows.shape, dtype=torch.float64)
    transform = WalshHadamard(floats, factors)
    for sign in (1, -1):
        floats.copy_(sign * rows)
        assert torch.equal(transform(), sign * fast.double())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 10, 64, 100])
def test_the_transpose_is_the_projections_own(kind, n):
    projection = make_projection(kind, n, [40, 7, 130], 3)
    matrix = torch.stack([projection.project(unit) for unit in torch.eye(n)], dim=1)
    values = torch.randn(177, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(projection.transpose(values), matrix.T @ values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["relu", "smooth", "sine"])
@pytest.mark.parametrize("n", [700, 4000])
def test_random_latents_give_each_layer_its_usual_initialisation(kind, activation, n):
    sine = activation == "sine"
    architecture = Architecture(
        width=32, depth=3, octaves=0 if sine else 3, activation=activation, omega=30 * sine
    )
    # The rules as their papers word them: He's variance, and SIREN's uniform bounds.
    fan_ins = [fan_in for _, fan_in in architecture.layer_shapes]
    if sine:
        bounds = [1 / fan_ins[0]] + [math.sqrt(6 / fan_in) / 30 for fan_in in fan_ins[1:]]
        variances = [bound**2 / 3 for bound in bounds]
    else:
        # The mean over columns of the first layer of smooth networks too.
        variances = [2 / fan_in for fan_in in fan_ins[:-1]] + [1 / fan_ins[-1]]
    draws: list[list[torch.Tensor]] = [[] for _ in fan_ins]
    for seed in range(20):
        z = torch.randn(n, generator=torch.Generator().manual_seed(seed)) / math.sqrt(n)
        projection = make_projection(kind, n, architecture.layer_sizes, seed)
        weights = generate_weights(
            architecture, projection, z, torch.zeros(architecture.bias_count)
        )
        for drawn, matrix in zip(draws, weights.matrices, strict=True):
            drawn.append(matrix.reshape(-1))
    for drawn, variance in zip(draws, variances, strict=True):
        values = torch.cat(drawn).double().numpy()
        # Four standard errors, the latents' own norms varying by 2 / n about the mean.
        error = math.sqrt(2 / len(values) + 2 / n / 20)
        assert abs(values.var() / variance - 1) < 4 * error
        assert abs(values.mean()) < 4 * math.sqrt(variance / len(values))


def test_long_latents_of_16_bits_neither_overflow_nor_fill_memory():
    n, sizes = 65536, [100_000, 100_000]
    z = torch.full((n,), 32767)
    tracemalloc.start()
    projection = HadamardProjection(n, sizes, 0)
    aligned = projection.project(z)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # numpy's share is traced; torch holds no more than the sums and their butterflies.
    assert peak < 60e6
    # A sum of n random signs is far below n, and an overflow would break the parity.
    assert int((aligned % 2).abs().max()) == 0
    assert 0 < int(aligned.abs().max()) < 10 * 256 * 32767
    # All latents aligned with one row: the largest sum possible, n * 32767 > 2^31 - 1.
    row = random_signs(0, 0, Stream.INPUT_SIGNS, 0, n)
    extreme = projection.project(z * torch.from_numpy(row))
    assert int(extreme[:65536].abs().max()) == n * 32767


def test_unknown_and_oversized_projections_are_refused():
    with pytest.raises(ConfigError, match="hadamard, dense"):
        make_projection("gaussian", 4, [4], 0)
    with pytest.raises(ConfigError, match="hadamard"):
        make_projection("dense", 2**20, [2**11], 0).project(torch.zeros(2**20))


@pytest.mark.parametrize("kind", ["hadamard", "dense"])
@pytest.mark.parametrize("n", [1, 20, 64])
def test_many_latents_are_projected_as_each(kind, n):
    sizes, count = [70, 1, 130], 3
    projection = make_projection(kind, n, sizes, seed=5)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((count, n), generator=generator)
    values = torch.randn((count, sum(sizes)), generator=generator)

    def by_layer(rows):
        return torch.cat([layer.reshape(-1) for layer in rows.split(sizes, dim=1)])

    # Twice, before and after the single projection has made what it keeps.
    for _ in range(2):
        many = projection.for_many(count)
        found, back = many.project(latents), many.transpose(by_layer(values))
        each = torch.stack([projection.project(latent) for latent in latents])
        torch.testing.assert_close(found, by_layer(each))
        each = torch.stack([projection.transpose(row) for row in values])
        torch.testing.assert_close(back, each)
