"""Files that nobody's encoder wrote; scripts/mutate_files.py runs many more of them."""

import importlib.util
import math
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from doh3d.codec.container import parse, parse_signal, serialize
from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.errors import FormatError
from doh3d.field import OccupancyField
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.limits import DEFAULT_LIMITS, Limits

ROOT = Path(__file__).parents[2]
CORPUS = sorted((ROOT / "tests" / "fuzz_corpus").glob("*.hex"))


@pytest.fixture(scope="module")
def mutation():
    """The module ``scripts/mutate_files.py``."""
    spec = importlib.util.spec_from_file_location("mutate_files", ROOT / "scripts/mutate_files.py")
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for the annotations' names.
    sys.modules["mutate_files"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutate_files"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_is_read(path):
    data = bytes.fromhex(path.read_text())
    assert serialize(parse_signal(data, DEFAULT_LIMITS, SignalCode)) == data


def test_mutated_files_are_refused_or_decoded(mutation, monkeypatch):
    # The time is the script's to judge, on a machine of its own.
    monkeypatch.setattr(mutation, "MAX_SECONDS", math.inf)
    tallies = mutation.run(seed=12345, first=0, count=600)
    assert [failure for tally in tallies.values() for failure in tally.failures] == []
    assert all(tally.refused > 0 for tally in tallies.values())
    for kind in ("flip+", "splice+", "extremes+"):
        assert tallies[kind].accepted > 0


def test_inputs_depend_on_seed_and_index_only(mutation):
    seeds = mutation.seed_files()
    assert len(seeds) == len(CORPUS) + len(list((ROOT / "tests" / "golden").rglob("*.hex")))
    inputs = [mutation.make_input(seeds, 1, index) for index in range(50)]
    assert inputs == [mutation.make_input(seeds, 1, index) for index in range(50)]
    assert inputs != [mutation.make_input(seeds, 2, index) for index in range(50)]


def test_a_mutation_that_fails_is_reported(mutation, monkeypatch):
    def broken(data, limits, kind):
        raise ZeroDivisionError

    monkeypatch.setattr(mutation, "parse_signal", broken)
    tallies = mutation.run(seed=0, first=0, count=5)
    failures = [failure for tally in tallies.values() for failure in tally.failures]
    assert len(failures) == 5
    assert "ZeroDivisionError" in failures[0]


def overflowing_code(double=False):
    """A network whose weights and biases are as large as a file can make them."""
    architecture = Architecture(width=40, depth=4, octaves=2)
    model = SymbolModel(Family.FIXED_LENGTH, 16)
    rng = np.random.default_rng(0)
    biases = rng.choice([-32767, 32767], architecture.bias_count)
    return ShapeCode(
        architecture=architecture,
        dense_projection=False,
        seed=5,
        transform=NormalizingTransform((0.0, 1.0, 0.0), 5e-324 if double else 1.0),
        extents=(31, 31, 31),
        latent=ParameterGroup(rng.choice([-32767, 32767], 100), 255, model),
        biases=ParameterGroup(biases, 255, model),
    )


def test_networks_that_overflow_give_a_finite_closed_mesh():
    field = OccupancyField(parse(serialize(overflowing_code())), "cpu", limits=Limits.of_format())
    points = np.random.default_rng(1).uniform(*field.bounds, (500, 3))
    logits = field.logits(points)
    assert np.isnan(logits).any()
    assert np.isposinf(logits).any()
    assert np.isneginf(logits).any()
    assert not field.occupancy(points)[np.isnan(logits)].any()
    mesh = field.to_mesh(16)
    assert len(mesh.faces) > 0
    assert np.isfinite(mesh.vertices).all()
    assert mesh.is_watertight


def test_the_smallest_scale_neither_warns_nor_fails():
    field = OccupancyField(overflowing_code(double=True), "cpu")
    points = np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1e308, -1e308, 0.0]])
    logits = field.logits(points)
    assert (logits[1:] == -np.inf).all()


def test_writing_takes_time_in_proportion_to_the_length(monkeypatch):
    # Quotients of integers this long would take seconds.
    architecture = Architecture(width=1, depth=1, octaves=0)
    model = SymbolModel(Family.FIXED_LENGTH, 16)
    levels = np.random.default_rng(0).integers(-32767, 32768, 2**17)
    code = ShapeCode(
        architecture=architecture,
        dense_projection=False,
        seed=0,
        transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
        extents=(0, 0, 0),
        latent=ParameterGroup(levels, 0, model),
        biases=ParameterGroup(np.zeros(2, np.int64), 0, model),
    )
    assert np.array_equal(parse(serialize(code)).latent.values, levels)


@pytest.mark.parametrize("extra", [1, 4, 100])
def test_streams_as_long_as_the_file_may_be_are_refused(extra):
    data = bytes.fromhex((ROOT / "tests/golden/hadamard.hex").read_text())
    body = data[:-4] + bytes(2**20 - len(data) + extra)
    data = body + struct.pack("<I", zlib.crc32(body))
    with pytest.raises(FormatError, match="larger than 1048576 bytes"):
        parse(data)
    with pytest.raises(FormatError, match="goes on after its last value"):
        parse(data, Limits.of_format())
