"""Meshes whose vertices lie where tangent planes meet."""

import numpy as np
import pytest
import trimesh

from doh3d.errors import ConfigError
from doh3d.geometry.export import save_mesh
from doh3d.geometry.formats import read_mesh
from self_intersections import crossings


def test_edges_and_corners_come_back(octahedron, exact):
    rounded, sharp = (octahedron.to_mesh(32, method=m) for m in ("marching-cubes", "dual"))
    assert np.array_equal(rounded.faces, sharp.faces)
    assert sharp.is_watertight
    volume = exact(octahedron).volume
    lost = [volume - mesh.volume for mesh in (rounded, sharp)]
    assert abs(lost[1]) < 0.2 * lost[0]
    local = octahedron.code.transform.to_normalized(sharp.vertices)
    # A cell is 0.0625: marching cubes cuts corners off by up to that.
    assert np.abs(local).max() > 0.69
    assert np.quantile(np.abs(np.abs(local).sum(axis=1) - 0.7), 0.9) < 1e-4


@pytest.mark.parametrize("resolution", [10, 12, 16])
def test_coarse_meshes_have_their_edges_too(octahedron, exact, resolution):
    # An octahedron is 7 to 11 cells across there. At an edge corners of triangles come together.
    rounded, sharp = (octahedron.to_mesh(resolution, method=m) for m in ("marching-cubes", "dual"))
    volume = exact(octahedron).volume
    assert abs(volume - sharp.volume) < 0.1 * abs(volume - rounded.volume)
    local = octahedron.code.transform.to_normalized(sharp.vertices)
    assert np.quantile(np.abs(np.abs(local).sum(axis=1) - 0.7), 0.99) < 1e-5


@pytest.mark.parametrize("resolution", [12, 24])
def test_the_sides_of_a_thin_wall_do_not_go_through_each_other(plate, resolution):
    # A fifth of a cell thick, and a third: the nearest surface may be that of the other side.
    thin = plate(0.03, 0.013, frame=(-8209, 6256, -8606))
    mesh = thin.to_mesh(resolution, method="dual")
    assert crossings(mesh) == 0
    local = thin.code.transform.to_normalized(mesh.vertices)
    assert np.abs(local[:, 0] - 0.013).max() < 0.015 + 1e-6


@pytest.mark.parametrize("resolution", [12, 16, 32])
def test_where_the_domain_ends_the_mesh_ends_flat(beyond, resolution):
    transform = beyond.code.transform
    plain, sharp = (
        transform.to_normalized(beyond.to_mesh(resolution, method=m).vertices)
        for m in ("marching-cubes", "dual")
    )
    for axis in range(3):
        heights = np.abs(plain[:, axis])
        closing = heights > heights.max() - 1e-6
        assert closing.any()
        np.testing.assert_allclose(sharp[closing], plain[closing], rtol=0, atol=1e-6)


@pytest.mark.parametrize("levels", [0, 2])
def test_no_triangle_turns_over_and_none_leaves(bunnylike, levels):
    field = bunnylike(levels)
    plain, sharp = field.to_mesh(24), field.to_mesh(24, method="dual")
    assert sharp.is_watertight
    assert sharp.is_winding_consistent
    assert sharp.volume == pytest.approx(plain.volume, rel=0.1)
    assert np.linalg.norm(sharp.vertices - plain.vertices, axis=1).max() < 2.01 * 2 / 24


def test_exported_normals_are_the_fields(single, tmp_path):
    mesh = single.to_mesh(16, normals=True)
    expected = single.normals(mesh.vertices).astype("<f4")
    # trimesh writes them, and leaves them out when it reads.
    save_mesh(mesh, tmp_path / "mesh.ply")
    rows = trimesh.load_mesh(tmp_path / "mesh.ply", process=False).metadata["_ply_raw"]["vertex"]
    found = np.stack([rows["data"][name].ravel() for name in ("nx", "ny", "nz")], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    save_mesh(mesh, tmp_path / "mesh.glb")
    data = (tmp_path / "mesh.glb").read_bytes()
    assert b'"NORMAL"' in data
    assert expected.tobytes() in data
    for ending in (".ply", ".glb"):
        assert len(read_mesh(tmp_path / f"mesh{ending}").faces) == len(mesh.faces)
    assert b"nx" not in single.to_mesh(16).export(file_type="ply")


def test_an_unknown_method_is_refused(single):
    with pytest.raises(
        ConfigError, match="method is 'cubes'; it must be one of marching-cubes, dual"
    ):
        single.to_mesh(16, method="cubes")


def test_an_empty_field_has_an_empty_mesh(empty):
    assert len(empty.to_mesh(16, method="dual", normals=True).faces) == 0


@pytest.mark.parametrize("resolution", [16, 32])
def test_meshes_are_closed_and_hardly_cross_themselves(octahedron, resolution):
    # What the count is of: two boxes, one of them half in the other.
    boxes = [trimesh.creation.box(), trimesh.creation.box()]
    boxes[1].apply_translation([0.5, 0.25, 0.125])
    assert crossings(boxes[0]) == 0
    assert crossings(trimesh.util.concatenate(boxes)) > 8
    plain, dual = (octahedron.to_mesh(resolution, method=m) for m in ("marching-cubes", "dual"))
    assert plain.is_watertight
    assert dual.is_watertight
    assert crossings(plain) == 0
    # Near a corner a vertex may move past those around it, which hangs on rounding, and so on the
    # processor: 3 pairs of 728 triangles were seen, and 3 of 2,816.
    assert crossings(dual) <= max(3, 0.002 * len(dual.faces))
