import sys

import numpy as np
import pytest
import torch
import trimesh

import doh3d
from doh3d.interop.open3d_mesh import to_open3d


def test_a_field_becomes_an_open3d_mesh_and_is_compressed_as_one(compressed, quick):
    open3d = pytest.importorskip("open3d")
    field = compressed.field()
    converted = field.to_open3d(16)
    mesh = field.to_mesh(16)
    assert isinstance(converted, open3d.t.geometry.TriangleMesh)
    np.testing.assert_allclose(converted.vertex.positions.numpy(), mesh.vertices, rtol=1e-6)
    np.testing.assert_array_equal(converted.triangle.indices.numpy(), mesh.faces)
    # As its ray casting takes it.
    open3d.t.geometry.RaycastingScene().add_triangles(converted)
    again = doh3d.compress(converted, **quick)
    pair = (converted.vertex.positions.numpy(), mesh.faces)
    assert again.data == doh3d.compress(pair, **quick).data


def test_places_that_float32_cannot_hold_are_kept(box):
    pytest.importorskip("open3d")
    box.apply_translation([1e9, 0, 0])
    positions = to_open3d(box).vertex.positions.numpy()
    np.testing.assert_array_equal(positions, box.vertices)
    assert len(to_open3d(trimesh.Trimesh()).vertex.positions) == 0


def test_a_field_becomes_tensors_and_is_compressed_as_them(compressed, quick):
    field = compressed.field()
    vertices, faces = field.to_tensors(16)
    mesh = field.to_mesh(16)
    assert (vertices.dtype, faces.dtype) == (torch.float64, torch.int64)
    np.testing.assert_array_equal(vertices.numpy(), mesh.vertices)
    np.testing.assert_array_equal(faces.numpy(), mesh.faces)
    assert doh3d.compress((vertices, faces), **quick).data == doh3d.compress(mesh, **quick).data


def test_without_open3d_one_line_says_what_to_install(compressed, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(doh3d.ConfigError, match=r'pip install "doh3d\[view\]"'):
        compressed.field().to_open3d(16)
