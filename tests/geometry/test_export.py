"""Mesh files out: what is written is what was there, wherever and however large it is."""

import numpy as np
import pytest
import trimesh

from doh3d.geometry.export import save_mesh
from doh3d.geometry.formats import read_mesh

FLOAT32 = (".stl", ".glb")


@pytest.mark.parametrize("extension", [".ply", ".obj", ".off", ".stl", ".glb"])
@pytest.mark.parametrize(
    ("scale", "shift"),
    [(1, 0), (1e-12, 0), (1e-30, 0), (1e12, 0), (1, 1e9), (1e-3, 500), (1e60, 0)],
)
def test_place_and_size_survive(tmp_path, caplog, extension, scale, shift):
    mesh = trimesh.creation.icosphere(subdivisions=2)
    mesh.vertices = mesh.vertices * scale + shift
    path = tmp_path / f"out{extension}"
    too_coarse = extension in FLOAT32 and (shift > 0 or scale > 1e38)
    save_mesh(mesh, path)
    assert ("cannot hold" in caplog.text) == too_coarse
    if too_coarse:
        return
    back = read_mesh(path)
    tolerance = 1e-4 * mesh.extents.max()
    corners, found = mesh.vertices[mesh.faces], back.vertices[back.faces]
    np.testing.assert_allclose(found, corners, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shift", [0, 1e9])
def test_normals_are_written_far_from_the_origin_too(tmp_path, shift):
    mesh = trimesh.creation.icosphere(subdivisions=2)
    moved = trimesh.Trimesh(
        mesh.vertices + shift, mesh.faces, vertex_normals=-mesh.vertices, process=False
    )
    save_mesh(moved, tmp_path / "out.ply")
    back = trimesh.load(tmp_path / "out.ply", process=False)
    np.testing.assert_array_equal(back.faces, mesh.faces)
    np.testing.assert_allclose(back.vertices, moved.vertices, rtol=0, atol=1e-6)
    np.testing.assert_allclose(back.vertex_normals, -mesh.vertices, rtol=0, atol=1e-6)
