import numpy as np
import pytest
import torch
import trimesh

from doh3d.errors import MeshError
from doh3d.geometry.inputs import to_trimesh


def pairs(box):
    vertices, faces = np.array(box.vertices), np.array(box.faces)
    return {
        "numpy": (vertices, faces),
        "float32 and int32": (vertices.astype(np.float32), faces.astype(np.int32)),
        "a list of lists": [vertices.tolist(), faces.tolist()],
        "torch": (torch.from_numpy(vertices).requires_grad_(), torch.from_numpy(faces)),
        "whole numbers": (np.round(vertices * 10).astype(np.int16), faces.astype(np.uint8)),
    }


@pytest.mark.parametrize(
    "form", ["numpy", "float32 and int32", "a list of lists", "torch", "whole numbers"]
)
def test_pairs_of_arrays_become_the_same_mesh(box, form):
    mesh = to_trimesh(pairs(box)[form])
    assert mesh.vertices.dtype == np.float64
    assert mesh.faces.dtype == np.int64
    scale = 10 if form == "whole numbers" else 1
    np.testing.assert_allclose(mesh.vertices, scale * np.asarray(box.vertices), rtol=1e-6)
    np.testing.assert_array_equal(mesh.faces, box.faces)


def test_bfloat16_vertices_are_taken():
    corners = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0.5, 0]], dtype=torch.bfloat16)
    mesh = to_trimesh((corners, torch.tensor([[0, 1, 2]])))
    np.testing.assert_array_equal(mesh.vertices, corners.float().numpy())


def test_what_is_given_is_not_changed(box):
    vertices, faces = np.array(box.vertices), np.array(box.faces)
    mesh = to_trimesh((vertices, faces))
    mesh.vertices += 1
    np.testing.assert_array_equal(vertices, box.vertices)
    assert to_trimesh(box) is box


def test_a_scene_is_joined_where_its_transforms_put_its_parts(box):
    scene = trimesh.Scene()
    scene.add_geometry(box)
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    mesh = to_trimesh(scene)
    assert len(mesh.faces) == 2 * len(box.faces)
    assert mesh.extents[0] == pytest.approx(5 + 1.8)


def test_open3d_meshes_of_both_kinds(box):
    open3d = pytest.importorskip("open3d")
    legacy = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(box.vertices), open3d.utility.Vector3iVector(box.faces)
    )
    tensors = open3d.t.geometry.TriangleMesh.from_legacy(legacy)
    for mesh in (to_trimesh(legacy), to_trimesh(tensors)):
        np.testing.assert_allclose(mesh.vertices, box.vertices, rtol=1e-6)
        np.testing.assert_array_equal(mesh.faces, box.faces)
    assert len(to_trimesh(open3d.t.geometry.TriangleMesh()).faces) == 0


@pytest.mark.parametrize(
    ("mesh", "said"),
    [
        (7, "is of type int; a path, a trimesh or Open3D mesh"),
        (([[0, 0, 0]],), "is of type tuple"),
        (([[0, 0]], [[0, 0, 0]]), r"vertices have shape \(1, 2\); it must be \(N, 3\)"),
        (([[0, 0, 0]], [0, 0, 0]), r"faces have shape \(3,\); it must be \(N, 3\)"),
        (([[0, 0, 0]], [[0.0, 0.0, 0.0]]), "faces are of type float64; they must be integers"),
        (([["a", "b", "c"]], [[0, 0, 0]]), "vertices are of type <U1; they must be numbers"),
        (([[0, 0, 0], [0, 0]], [[0, 0, 0]]), "vertices are no array"),
        (trimesh.Scene(), "the scene has no part with faces"),
    ],
)
def test_anything_else_is_refused_by_name(mesh, said):
    with pytest.raises(MeshError, match=said):
        to_trimesh(mesh)
