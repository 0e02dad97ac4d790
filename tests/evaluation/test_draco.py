from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh

from doh3d.errors import ConfigError, MeshError
from doh3d.evaluation.draco import draco_bytes


@pytest.fixture
def sphere():
    return trimesh.creation.icosphere(subdivisions=4)


def test_size_is_that_of_the_encoded_positions_and_faces(sphere):
    dracopy = pytest.importorskip("DracoPy")
    size = draco_bytes(sphere)
    assert 1000 < size < 6 * len(sphere.vertices)
    encoded = dracopy.encode(
        sphere.vertices.astype(np.float32),
        faces=sphere.faces.astype(np.uint32),
        quantization_bits=11,
        compression_level=10,
    )
    assert size == pytest.approx(len(encoded), rel=0.02)
    decoded = dracopy.decode(encoded)
    assert decoded.faces.shape == sphere.faces.shape


def test_fewer_bits_and_more_effort_are_smaller(sphere):
    pytest.importorskip("DracoPy")
    assert draco_bytes(sphere, quantization_bits=8) < draco_bytes(sphere)
    assert draco_bytes(sphere) < draco_bytes(sphere, compression_level=1)


def test_size_does_not_depend_on_where_the_mesh_lies(sphere):
    pytest.importorskip("DracoPy")
    far = sphere.copy().apply_translation([1e7, 0, 0])
    assert draco_bytes(far) == pytest.approx(draco_bytes(sphere), rel=0.02)


def test_without_dracopy_the_message_says_what_to_install(sphere, monkeypatch):
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(ConfigError, match=r'^DracoPy is not installed.*"doh3d\[peers\]"$'):
        draco_bytes(sphere)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization_bits": 0}, "quantization_bits is 0; it must be 1 to 30"),
        ({"quantization_bits": 31}, "quantization_bits is 31"),
        ({"compression_level": 11}, "compression_level is 11; it must be 0 to 10"),
    ],
)
def test_bad_arguments_are_named(sphere, arguments, message):
    with pytest.raises(ConfigError, match=message):
        draco_bytes(sphere, **arguments)


def test_a_mesh_without_faces_is_refused():
    with pytest.raises(MeshError, match="no faces"):
        draco_bytes(trimesh.Trimesh())
