from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh

from doh3d.errors import ConfigError, FormatError
from doh3d.evaluation.draco import encode_draco
from peers.draco import decode_draco


@pytest.fixture
def sphere():
    return trimesh.creation.icosphere(subdivisions=4)


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
