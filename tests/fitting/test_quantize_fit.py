from dataclasses import replace

import numpy as np
import pytest
import torch

from doh3d.codec.container import serialize
from doh3d.codec.entropy import choose_model
from doh3d.codec.quantization import grade_factors
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup
from doh3d.fitting.config import FitConfig
from doh3d.fitting.parameters import Parameters
from doh3d.fitting.quantize_fit import encode_within, quantize_fit, trimmed
from doh3d.fitting.results import FitResult
from doh3d.fitting.size_control import SizeControl
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.signals.shape import shape_config

COUNT = 1200
FACTORS = grade_factors(COUNT).astype(np.int64)


def graded_code(spread=6.0):
    generator = np.random.default_rng(0)
    values = np.rint(generator.laplace(0, spread, COUNT) / FACTORS).astype(np.int64) * FACTORS
    architecture = Architecture(width=12, depth=2, octaves=2)
    biases = np.rint(generator.normal(0, 3, architecture.bias_count)).astype(np.int64)
    return ShapeCode(
        architecture=architecture,
        dense_projection=False,
        seed=0,
        transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
        extents=(31, 31, 31),
        latent=ParameterGroup(values, 100, choose_model(values, graded=True)),
        biases=ParameterGroup(biases, 90, choose_model(biases)),
    )


@pytest.mark.parametrize("saved", [1, 3, 10])
def test_trimming_moves_few_of_the_finest_levels_by_one_step(monkeypatch, saved):
    code = graded_code()
    size = len(serialize(code)) - saved
    moved_to = []

    def watched(changed):
        moved_to.append(changed.latent.values)
        return serialize(changed)

    monkeypatch.setattr("doh3d.fitting.quantize_fit.serialize", watched)
    data = trimmed(code, size)
    assert size - 1 <= len(data) <= size
    before, after = code.latent.values, moved_to[-1]
    moved = np.flatnonzero(before != after)
    assert len(moved)
    assert np.array_equal(np.abs(before - after)[moved], FACTORS[moved])
    assert (np.abs(after) < np.abs(before))[moved].all()
    # The finest go first, and few bytes need no others; the coarsest never go.
    assert FACTORS[moved].max() == (1 if saved < 5 else 2)
    assert (np.abs(before - after)[(FACTORS == 1) & (before != 0)].all()) == (saved > 5)


def test_what_cannot_be_trimmed_enough_is_all_trimmed():
    code = graded_code()
    assert 10 < len(trimmed(code, 10)) < len(serialize(code))


def test_a_fit_that_is_a_little_too_long_keeps_its_step():
    code = graded_code()
    config = FitConfig(latent=COUNT, bits=10, architecture=code.architecture, bias_step=2.0**-6)

    class Signal:
        def code(self, config, latent, biases):
            return replace(code, latent=latent, biases=biases)

    result = FitResult(
        latent=(code.latent.values * code.latent.step).astype(np.float32),
        biases=np.zeros(code.architecture.bias_count, dtype=np.float32),
        latent_step_index=100,
        learning_rate=0.4,
    )

    def size_and_excess(most):
        data, excess = encode_within(result, config, Signal(), most)
        return None if data is None else len(data), excess

    whole, excess = size_and_excess(10_000)
    assert excess == pytest.approx(whole / 10_000 - 1)
    for saved in (0, 1, 5):
        size, excess = size_and_excess(whole - saved)
        assert size == pytest.approx(whole - saved, abs=1)
        assert excess == pytest.approx(whole / (whole - saved) - 1)
    # Coarser steps for all are the last resort.
    assert size_and_excess(int(0.9 * whole))[0] < 0.9 * whole
    assert size_and_excess(100)[0] is None


def long_numbers(config):
    """Parameters and a result whose latent has a number of 100 times the coarsest step, in one."""
    device = torch.device("cpu")
    sizes = SizeControl(config, 1, device)
    parameters = Parameters(config, sizes, 1, device)
    parameters.latents[0] = -100 * sizes.deltas
    latent, biases = parameters.numbers()[0]
    return parameters, FitResult(latent, biases, config.training_step_index, 0.4)


@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("clipped", [True, False])
def test_only_bits_that_are_asked_for_cut_long_numbers_off(graded, clipped):
    code = graded_code()
    network = code.architecture
    config = FitConfig(latent=COUNT, bits=6, clipped=clipped, architecture=network, graded=graded)

    class Signal:
        def code(self, config, latent, biases):
            return replace(code, latent=latent, biases=biases)

    parameters, result = long_numbers(config)
    latents, _ = parameters.all_rounded()
    longest = 31 if clipped else 100
    assert latents.levels[0].item() == -longest
    # What is cut off learns nothing.
    learnt = latents.gradient(torch.ones(COUNT), 0.0)
    assert learnt[0].item() == (not clipped)
    written = quantize_fit(result, config, Signal()).latent.values
    assert written[0] == -longest * (4 if graded else 1)


def test_bits_are_asked_for_or_not():
    assert shape_config(latent=COUNT, bits=6).range_bits == 6
    assert shape_config(latent=COUNT, quantizer="ptq").range_bits == 6
    assert shape_config(latent=COUNT).range_bits == 14
    assert shape_config(latent=COUNT, bits=6).training_step == (
        shape_config(latent=COUNT).training_step
    )
