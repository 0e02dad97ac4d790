"""What is taken from a file by default, what only when asked to, and what never."""

import re
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest

import doh3d
from doh3d.cli import main
from doh3d.codec.container import parse, read_code, serialize
from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.inspection import describe_file
from doh3d.codec.shape_code import ShapeCode, shape_box
from doh3d.codec.signal_code import ParameterGroup
from doh3d.errors import ConfigError, FormatError
from doh3d.field import OccupancyField
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import balanced_partition
from doh3d.limits import (
    DEFAULT_LIMITS,
    MAX_FILE_BYTES,
    MAX_LATENTS,
    MAX_LEVELS,
    MAX_RESOLUTION,
    MAX_WEIGHTS,
    Limits,
)
from doh3d.options import MAX_BYTES
from doh3d.signals.shape_plan import latent_for_bytes, plan_for_shape

HOW = "more with --allow-large, or limits=Limits.of_format()"
LARGEST_NETWORK = Architecture(width=256, depth=15, octaves=15)


def network_of_cells(cells, **shape):
    box = shape_box((31, 31, 31), ())
    partition = balanced_partition(*box, None, cells.bit_length() - 1)
    return Architecture(**shape, partition=partition)


def code_of(n=1, architecture=None, *, dense=False, family=Family.GAUSSIAN, raw=False):
    """A code of zeros."""
    architecture = architecture or Architecture(width=1, depth=1, octaves=0)
    latent = ParameterGroup(np.zeros(n, dtype=np.int64), 100, SymbolModel(family, 2))
    if raw:
        latent = ParameterGroup(np.zeros(n, np.float32), 0, SymbolModel(Family.RAW_FLOAT32, 0))
    biases = np.zeros(architecture.bias_count, dtype=np.int64)
    return ShapeCode(
        architecture=architecture,
        dense_projection=dense,
        seed=0,
        transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
        extents=(31, 31, 31),
        latent=latent,
        biases=ParameterGroup(biases, 100, SymbolModel(family, 2)),
    )


TOO_LARGE = {
    "latent": (
        code_of(2**17 + 1),
        f"the latent has 131073 numbers; at most 131072 are decoded ({HOW})",
    ),
    "latent of the format": (code_of(MAX_LATENTS), "the latent has 1048576 numbers"),
    # None of them too large by itself.
    "cells": (
        code_of(architecture=network_of_cells(64, width=41, depth=3, octaves=3)),
        f"the network has 272896 weights; at most 262144 are decoded ({HOW})",
    ),
    "network": (
        code_of(architecture=LARGEST_NETWORK),
        f"the network has 941568 weights; at most 262144 are decoded ({HOW})",
    ),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_large_files_are_decoded_only_when_asked_to(tmp_path, name):
    code, message = TOO_LARGE[name]
    path = tmp_path / "large.doh"
    path.write_bytes(serialize(code))
    for read in (read_code, describe_file, doh3d.load):
        with pytest.raises(FormatError, match=re.escape(f"large.doh: {message}")):
            read(path)
    assert len(read_code(path, Limits.of_format()).latent.values) == len(code.latent.values)
    assert describe_file(path, Limits.of_format())["latent"]["count"] == len(code.latent.values)


def test_the_command_line_says_how_and_does_so(tmp_path, monkeypatch, capsys):
    path = tmp_path / "large.doh"
    path.write_bytes(serialize(TOO_LARGE["latent"][0]))
    monkeypatch.setattr(sys, "argv", ["doh3d", "info", str(path), "--json"])
    with pytest.raises(SystemExit) as failed:
        main()
    assert failed.value.code == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    assert HOW in found.err
    monkeypatch.setattr(sys, "argv", ["doh3d", "info", str(path), "--json", "--allow-large"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    assert '"count": 131073' in capsys.readouterr().out


def test_the_defaults_hold_what_the_plan_makes():
    # The longest latent that a size can ask for, and one that codes in far fewer bits.
    latent = latent_for_bytes(MAX_BYTES)
    plan = plan_for_shape(latent)
    assert DEFAULT_LIMITS.file_bytes >= MAX_BYTES
    assert plan.levels > 0
    DEFAULT_LIMITS.check_header(
        round(1.4 * latent), 2**plan.levels * plan.architecture.weight_count
    )


def test_no_file_of_the_format_is_larger_than_its_maximum():
    bits_each = 24 + 12 + 16
    most_values = MAX_LATENTS + LARGEST_NETWORK.bias_count
    assert most_values * bits_each / 8 < 0.99 * MAX_FILE_BYTES
    assert LARGEST_NETWORK.weight_count == MAX_WEIGHTS
    # The defaults' own limits agree as well: the latent decides, not the size.
    assert (DEFAULT_LIMITS.latents + LARGEST_NETWORK.bias_count) * bits_each / 8 < (
        0.99 * DEFAULT_LIMITS.file_bytes
    )


@pytest.mark.parametrize(
    ("latents", "weights", "file_bytes"),
    [
        (MAX_LATENTS, MAX_WEIGHTS, MAX_FILE_BYTES),
        (DEFAULT_LIMITS.latents, DEFAULT_LIMITS.weights, DEFAULT_LIMITS.file_bytes),
    ],
)
def test_nor_are_files_with_the_biases_of_many_cells(latents, weights, file_bytes):
    networks = [
        Architecture(width=width, depth=depth, octaves=0)
        for width in range(1, 257)
        for depth in range(1, 16)
    ]
    cells = 2**MAX_LEVELS
    biases = max(
        cells * each.bias_count for each in networks if cells * each.weight_count <= weights
    )
    # More than a single network can have.
    assert biases > LARGEST_NETWORK.bias_count
    assert (latents + biases) * (24 + 12 + 16) / 8 < 0.99 * file_bytes


@pytest.mark.parametrize(
    ("limits", "size", "how"),
    [(DEFAULT_LIMITS, 2**20, f" ({HOW})"), (Limits.of_format(), 2**23, "")],
)
def test_no_more_of_a_huge_file_is_read(tmp_path, limits, size, how):
    path = tmp_path / "huge.doh"
    path.write_bytes(b"\xd0OH\x01")
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(FormatError, match=re.escape(f"huge.doh: larger than {size} bytes{how}")):
        read_code(path, limits)


def test_limits_above_the_formats_have_no_effect():
    boundless = Limits(10**12, 10**12, 10**12)
    data = serialize(code_of())
    # After magic, version, kind and two bytes of features.
    n = 7
    changed = data[:n] + b"\x81\x80\x40" + data[n + 1 : -4]
    with pytest.raises(FormatError, match="latent has 1048577 numbers; 1 to 1048576"):
        parse(with_checksum(changed), boundless)
    with pytest.raises(FormatError, match=r"larger than 8388608 bytes$"):
        boundless.check_file_bytes(2**23 + 1)


def with_checksum(body):
    return body + zlib.crc32(body).to_bytes(4, "little")


def noisy_field(limits=DEFAULT_LIMITS, width=16):
    """A small file whose field changes its sign everywhere."""
    rng = np.random.default_rng(0)
    code = code_of(50, Architecture(width=width, depth=2, octaves=9))
    latent = ParameterGroup(rng.integers(-99, 100, 50), 140, SymbolModel(Family.GAUSSIAN, 60))
    biases = ParameterGroup(
        np.zeros(2 * width + 1, np.int64), 100, SymbolModel(Family.GAUSSIAN, 60)
    )
    code = replace(code, latent=latent, biases=biases)
    return OccupancyField(code, "cpu", limits=limits)


def test_noise_is_not_extracted_unless_asked_to():
    few = Limits(surface_cells=2)
    with pytest.raises(ConfigError, match=r"crosses \d+ cells or more at resolution 16; at most 5"):
        noisy_field(few).to_mesh(16)
    mesh = noisy_field(Limits.of_format()).to_mesh(16)
    assert mesh.is_watertight
    assert len(mesh.faces) > 4 * 16**2


def test_extraction_takes_no_more_work_than_the_file_is_worth():
    little = Limits(extraction_work=1)
    with pytest.raises(ConfigError, match=r"resolution 16 takes more than 2\.6e\+07 multiplicat"):
        noisy_field(little, width=200).to_mesh(16)
    assert len(noisy_field(width=200).to_mesh(16).faces)
    work = 16**2 * 2**11 * 50
    little.check_work(work, 50, 16)
    with pytest.raises(ConfigError):
        little.check_work(work + 16**2 + 1, 50, 16)
    # Even if every node were evaluated, and every block bounded, of the largest network.
    everything = MAX_RESOLUTION**3 * (1 + 10 * 8 / 7 / 4**3) * MAX_WEIGHTS
    Limits.of_format().check_work(int(everything), 1, MAX_RESOLUTION)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hadamard", "cells", "dense", "dense raw", "dense short"])
def test_the_largest_files_decode_in_little_memory(tmp_path, kind):
    largest = Architecture(width=121, depth=15, octaves=15)
    assert largest.weight_count < DEFAULT_LIMITS.weights < 1.3 * largest.weight_count
    cells = network_of_cells(64, width=16, depth=15, octaves=2)
    assert cells.weight_count < DEFAULT_LIMITS.weights < 1.1 * cells.weight_count
    code = {
        "hadamard": code_of(2**17, largest),
        "cells": code_of(2**17, cells),
        "dense": code_of(2**17, Architecture(width=256, depth=1, octaves=0), dense=True),
        "dense raw": code_of(2**27 // largest.weight_count, largest, dense=True, raw=True),
        "dense short": code_of(1, largest, dense=True),
    }[kind]
    path = tmp_path / "large.doh"
    path.write_bytes(serialize(code))
    script = (
        "import resource, sys, torch, doh3d\n"
        "torch.set_num_threads(1)\n"
        "doh3d.load(sys.argv[1], 'cpu')\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "most = pages * resource.getpagesize() + 200 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "doh3d.load(sys.argv[2], 'cpu')\n"
    )
    small = tmp_path / "small.doh"
    small.write_bytes(serialize(code_of()))
    subprocess.run([sys.executable, "-c", script, str(small), str(path)], check=True)
