"""What the container leaves to a kind of signal, on a kind that it has never heard of."""

import struct
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from doh3d.codec.container import parse, parse_signal, section_sizes, serialize
from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.image_code import ImageCode
from doh3d.codec.kinds import KINDS
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.errors import ConfigError, FormatError
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.limits import DEFAULT_LIMITS

BOX = (-1.0,) * 3, (1.0,) * 3
SIGNED = 1 << 4


@dataclass(frozen=True, kw_only=True)
class GridCode(SignalCode):
    """A grid of samples that lies somewhere in space."""

    number: ClassVar[int] = 2
    held: ClassVar[str] = "a grid"
    decoded_by: ClassVar[str] = "grids"
    own_features: ClassVar[int] = SIGNED
    standard_activation: ClassVar[str] = "sine"
    standard_layers: ClassVar[tuple[int, int]] = (1, 0)

    sides: tuple[int, int, int]
    signed: bool
    scale: float

    def check_signal(self):
        if self.scale <= 0:
            raise ConfigError(f"scale is {self.scale}; it must be above 0")

    def pack_fields(self):
        return SIGNED * self.signed, bytes(self.sides), struct.pack("<d", self.scale)

    @classmethod
    def network_of_features(cls, features):
        return {"out_dim": 2 if features & SIGNED else 1}

    @classmethod
    def read_fields(cls, reader, features, limits):
        sides = reader.unpack("<3B")
        (scale,) = reader.unpack("<d")
        limits.check_pixels(*sides[:2])
        fields = {"sides": sides, "signed": bool(features & SIGNED), "scale": scale}
        return fields, BOX


@pytest.fixture(autouse=True)
def a_third_kind(monkeypatch):
    monkeypatch.setitem(KINDS, GridCode.number, GridCode)


def grid_code(*, signed, cuts=()):
    architecture = Architecture(
        width=2, depth=1, octaves=0, out_dim=1 + signed, partition=Partition(*BOX, cuts)
    )
    model = SymbolModel(Family.GAUSSIAN, 40)
    return GridCode(
        architecture=architecture,
        dense_projection=True,
        seed=3,
        latent=ParameterGroup(np.arange(-3, 4), 150, model),
        biases=ParameterGroup(np.arange(architecture.bias_count), 150, model),
        sides=(4, 5, 6),
        signed=signed,
        scale=0.1,
    )


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("cuts", [(), ((1, 20),)])
def test_another_kind_is_written_and_read(signed, cuts):
    code = grid_code(signed=signed, cuts=cuts)
    data = serialize(code)
    # The kind, with features: its own, cells, a dense projection, and models and activation of its
    # own, beside a seed.
    features = SIGNED * signed | 1 << 6 if cuts else SIGNED * signed
    features |= 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11
    assert data[4:7] == bytes([5, features & 127 | 128, features >> 7])
    # After the 17 bytes that this has of what every kind has; the cuts come last.
    assert data[17:28] == bytes([4, 5, 6]) + struct.pack("<d", 0.1)
    sizes = section_sizes(code)
    assert sizes["header"] == 20 + 2 * bool(cuts)
    assert sizes["transform"] == 8
    assert sum(sizes.values()) == len(data)
    read = parse_signal(data, DEFAULT_LIMITS, GridCode)
    assert replace(read, latent=None, biases=None) == replace(code, latent=None, biases=None)
    assert serialize(read) == data


def test_another_kind_is_checked_by_itself():
    with pytest.raises(ConfigError, match="scale is -1; it must be above 0"):
        serialize(replace(grid_code(signed=True), scale=-1))
    data = serialize(grid_code(signed=True))
    with pytest.raises(FormatError, match="holds a grid; use grids"):
        parse(data)
    data = serialize(replace(grid_code(signed=True), sides=(200, 201, 1)))
    with pytest.raises(FormatError, match="200 x 201 pixels"):
        parse_signal(data, replace(DEFAULT_LIMITS, pixels=40000), SignalCode)


def test_every_kind_is_found_by_its_number():
    assert [KINDS.get(number) for number in range(4)] == [ShapeCode, ImageCode, GridCode, None]
