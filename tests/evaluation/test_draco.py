from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from doh3d.errors import ConfigError, FormatError, MeshError
from doh3d.evaluation.draco import decode_draco, draco_bytes, encode_draco


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
    size = len(encode_draco(sphere, 11))
    assert len(encode_draco(sphere, 8)) < size < len(encode_draco(sphere, 11, 1))


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
        ((0,), "quantization_bits is 0; it must be 1 to 30"),
        ((31,), "quantization_bits is 31"),
        ((11, 11), "compression_level is 11; it must be 0 to 10"),
    ],
)
def test_bad_arguments_are_named(sphere, arguments, message):
    with pytest.raises(ConfigError, match=message):
        encode_draco(sphere, *arguments)


def test_a_mesh_without_faces_is_refused():
    with pytest.raises(MeshError, match="no faces"):
        draco_bytes(trimesh.Trimesh())


@pytest.mark.parametrize("bits", [7, 11, 16])
def test_a_round_trip_moves_points_by_half_a_step_at_most(sphere, bits):
    pytest.importorskip("DracoPy")
    sphere.apply_translation([3, -2, 5])
    decoded = decode_draco(encode_draco(sphere, bits))
    assert len(decoded.faces) == len(sphere.faces)
    step = np.ptp(sphere.bounds, axis=0).max() / (2**bits - 1)
    # Vertices come back in another order: each has its own nearest.
    distance, nearest = cKDTree(sphere.vertices).query(decoded.vertices, p=np.inf)
    assert distance.max() <= step / 2 * 1.01 + 1e-6
    assert distance.max() > step / 4
    if bits > 7:
        assert len(set(nearest)) == len(sphere.vertices)
        order = np.sort(nearest[decoded.faces], axis=1)
        assert {*map(tuple, order)} == {*map(tuple, np.sort(sphere.faces, axis=1))}
        assert decoded.volume == pytest.approx(sphere.volume, rel=1e-3)


@pytest.mark.parametrize("data", [b"", b"DRACO", b"no such file", bytes(40)])
def test_what_is_no_draco_file_is_refused(data):
    pytest.importorskip("DracoPy")
    with pytest.raises(FormatError, match=r"^not a Draco file[^\n]*$"):
        decode_draco(data)


def test_a_cut_file_is_refused(sphere):
    pytest.importorskip("DracoPy")
    data = encode_draco(sphere, 9)
    with pytest.raises(FormatError, match=r"^not a Draco file"):
        decode_draco(data[: len(data) // 2])


def test_a_point_cloud_is_refused(sphere):
    dracopy = pytest.importorskip("DracoPy")
    with pytest.raises(FormatError, match="point cloud"):
        decode_draco(dracopy.encode(sphere.vertices.astype(np.float32)))


def test_decoding_without_dracopy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(ConfigError, match=r'"doh3d\[peers\]"$'):
        decode_draco(b"DRACO")
