"""Meshes whose vertices lie where tangent planes meet."""

import numpy as np
import pytest
import trimesh

from doh3d.errors import ConfigError
from doh3d.geometry.export import save_mesh
from doh3d.geometry.formats import read_mesh


def test_edges_and_corners_come_back(octahedron, exact):
    rounded, sharp = (octahedron.to_mesh(32, method=m) for m in ("marching-cubes", "dual"))
    assert np.array_equal(rounded.faces, sharp.faces)
    assert sharp.is_watertight
    volume = exact(octahedron).volume
    lost = [volume - mesh.volume for mesh in (rounded, sharp)]
    assert abs(lost[1]) < 0.1 * lost[0]
    local = octahedron.code.transform.to_normalized(sharp.vertices)
    # A cell is 0.0625: marching cubes cuts corners off by up to that.
    assert np.abs(local).max() > 0.69
    assert np.quantile(np.abs(np.abs(local).sum(axis=1) - 0.7), 0.9) < 1e-4


@pytest.mark.parametrize("levels", [0, 2])
def test_no_triangle_turns_over_and_none_leaves(bunnylike, levels):
    field = bunnylike(levels)
    plain, sharp = field.to_mesh(24), field.to_mesh(24, method="dual")
    assert sharp.is_watertight
    assert sharp.is_winding_consistent
    assert sharp.volume == pytest.approx(plain.volume, rel=0.1)
    assert np.linalg.norm(sharp.vertices - plain.vertices, axis=1).max() < 2.01 * 2 / 24


@pytest.mark.parametrize("ending", [".ply", ".glb"])
def test_exported_normals_are_the_fields(single, tmp_path, ending):
    mesh = single.to_mesh(16, normals=True)
    save_mesh(mesh, tmp_path / f"mesh{ending}")
    back = trimesh.load_mesh(tmp_path / f"mesh{ending}", process=False)
    np.testing.assert_allclose(back.vertex_normals, single.normals(mesh.vertices), atol=1e-5)
    assert len(read_mesh(tmp_path / f"mesh{ending}").faces) == len(mesh.faces)
    assert len(single.to_mesh(16).export(None, "ply")) < (tmp_path / f"mesh{ending}").stat().st_size


def test_an_unknown_method_is_refused(single):
    with pytest.raises(
        ConfigError, match="method is 'cubes'; it must be one of marching-cubes, dual"
    ):
        single.to_mesh(16, method="cubes")


def test_an_empty_field_has_an_empty_mesh(empty):
    assert len(empty.to_mesh(16, method="dual", normals=True).faces) == 0
