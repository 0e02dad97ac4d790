import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import MeshError
from doh3d.geometry import formats, ply, polygons, stl, thinning
from doh3d.geometry.distance import triangle_distance
from doh3d.geometry.formats import read_mesh
from doh3d.geometry.inspection import inspect_mesh
from doh3d.geometry.mesh import repair_mesh
from doh3d.geometry.thinning import Triangles, thin
from doh3d.options import CompressOptions
from doh3d.signals.shape import prepare


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Call a thousand triangles many, leave some hundreds, and read them in pieces."""
    for module in (formats, ply, polygons, stl, thinning):
        monkeypatch.setattr(module, "MOST_FACES", 1000)
    monkeypatch.setattr(thinning, "_FACES_LEFT", 600)
    monkeypatch.setattr(thinning, "_COARSE_CELLS", 8)
    monkeypatch.setattr(thinning, "_CHUNK", 700)


def bumpy(subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions)
    x, y, z = 3 * mesh.vertices.T
    return mesh.vertices * (1 + 0.2 * np.sin(x) * np.cos(y + z))[:, None] + 5, mesh.faces


def triangles_of(vertices, faces):
    return Triangles(len(faces), lambda part: vertices[faces[part]])


def volume(vertices, faces):
    a, b, c = np.moveaxis(vertices[faces] - vertices.sum(axis=0) / max(1, len(vertices)), 1, 0)
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def boundary(faces):
    """Count each edge forwards less backwards, where that is not 0."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    sign = np.where(edges[:, 0] < edges[:, 1], 1, -1)
    _, index = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    counts = np.bincount(index.ravel(), weights=sign)
    return counts[counts != 0]


def write_stl(path, vertices, faces):
    rows = np.zeros(len(faces), stl._TRIANGLE)
    rows["corners"] = vertices[faces]
    path.write_bytes(b"solid scan".ljust(80) + len(faces).to_bytes(4, "little") + rows.tobytes())


def write_ply(path, vertices, faces, order="<", *, size=3):
    form = "binary_little_endian" if order == "<" else "binary_big_endian"
    header = f"""ply
format {form} 1.0
element camera 1
property float fov
element vertex {len(vertices)}
property double x
property double y
property double z
property uchar red
element face {len(faces)}
property uchar quality
property list uchar int vertex_indices
end_header
"""
    rows = np.zeros(len(vertices), [("p", f"{order}f8", 3), ("red", "u1")])
    rows["p"] = vertices
    lists = np.zeros(len(faces), [("q", "u1"), ("n", "u1"), ("corners", f"{order}i4", size)])
    lists["n"], lists["corners"] = size, faces
    path.write_bytes(header.encode() + bytes(4) + rows.tobytes() + lists.tobytes())


def test_a_thinned_scan_is_closed_and_encloses_as_much():
    vertices, faces = bumpy()
    thinned = thin(triangles_of(vertices, faces))
    assert 300 < len(thinned.faces) <= 1000
    assert not boundary(thinned.faces).size
    assert volume(thinned.vertices, thinned.faces) == pytest.approx(volume(vertices, faces), 0.02)
    assert len(np.unique(thinned.faces)) == len(thinned.vertices)
    repaired = repair_mesh(thinned, "scan")
    assert repaired.mesh.volume == pytest.approx(volume(vertices, faces), 0.02)


def test_its_note_tells_how_far_what_was_given_is_from_it():
    vertices, faces = bumpy()
    thinned = thin(triangles_of(vertices, faces))
    left = thinned.vertices[thinned.faces]
    distances = np.array(
        [triangle_distance(np.tile(p, (len(left), 1)), left).min() for p in vertices]
    )
    longest = np.ptp(vertices, axis=0).max()
    (note,) = thinned.notes
    assert note.startswith(f"5120 triangles were thinned to {len(thinned.faces)} while")
    told = [float(word.rstrip("%")) / 100 for word in note.split() if word.endswith("%")]
    # The note's corners are those of triangles, so that some count more than once.
    assert told[0] == pytest.approx(distances.mean() / longest, rel=0.1)
    assert told[1] == pytest.approx(distances.max() / longest, rel=1e-2)


def best_point(corners, of_cell):
    """Come nearest to the planes of triangles, by area, where those tell; else to the mean."""
    mean = corners[of_cell].mean(axis=0)
    rows, heights = [], []
    touching = of_cell.any(axis=1)
    for triangle, times in zip(corners[touching], of_cell[touching].sum(axis=1), strict=True):
        normal = np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0])
        weight = np.sqrt(times / np.linalg.norm(normal))
        rows.append(normal * weight)
        heights.append(normal @ (triangle[0] - mean) * weight)
    # The square root of a share of the sum of squares, by the largest singular value.
    values = np.linalg.svd(np.array(rows), compute_uv=False)
    least = np.sqrt(thinning._LEAST_SHARE) * np.linalg.norm(values) / values[0]
    move = np.linalg.lstsq(np.array(rows), np.array(heights), rcond=least)[0]
    return mean + move * (np.abs(move).max() <= 1)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 12))
def test_clustering_maps_any_closed_surface_to_a_closed_one(seed, cells):
    # Spheres that cross each other, wound either way.
    generator = np.random.default_rng(seed)
    sphere = trimesh.creation.icosphere(2)
    vertices = np.concatenate([sphere.vertices + generator.normal(size=3) for _ in range(3)])
    faces = np.concatenate(
        [sphere.faces[:, :: generator.choice([1, -1])] + k * len(sphere.vertices) for k in range(3)]
    )
    low = vertices.min(axis=0)
    lattice = thinning._lattice(low, float(np.ptp(vertices, axis=0).max()), cells)
    points, left = thinning._cluster(triangles_of(vertices, faces), lattice)
    assert not boundary(left).size
    # A slow reference: each corner moved to the point that serves its cell best.
    corners = (vertices[faces] - low) / lattice.cell
    ids = lattice.ids(corners)
    moved = np.zeros((len(faces), 3, 3))
    for cell in np.unique(ids):
        moved[ids == cell] = best_point(corners, ids == cell) * lattice.cell + low
    assert volume(points, left) == pytest.approx(
        volume(moved.reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3)), abs=1e-9
    )


def test_triangles_of_opposite_windings_cancel():
    faces = np.array([[0, 1, 2], [2, 1, 0], [3, 1, 4], [1, 4, 3], [4, 2, 1], [1, 4, 2], [0, 2, 1]])
    left = thinning._without_cancelled(faces, 5)
    turned = sorted(tuple(np.roll(face, -face.argmin()).tolist()) for face in left)
    assert turned == [(0, 2, 1), (1, 4, 2), (1, 4, 2), (1, 4, 3), (1, 4, 3)]


def test_both_formats_are_thinned_alike(tmp_path):
    vertices, faces = bumpy()
    vertices = vertices.astype(np.float32)
    write_stl(tmp_path / "a.stl", vertices, faces)
    write_ply(tmp_path / "a.ply", vertices, faces)
    write_ply(tmp_path / "b.ply", vertices, faces, ">")
    meshes = [read_mesh(tmp_path / name) for name in ("a.stl", "a.ply", "b.ply")]
    for mesh in meshes[1:]:
        np.testing.assert_array_equal(mesh.vertices, meshes[0].vertices)
        np.testing.assert_array_equal(mesh.faces, meshes[0].faces)
        assert mesh.notes == meshes[0].notes


def test_what_is_not_too_large_is_read_as_it_is(tmp_path):
    vertices, faces = bumpy(2)
    write_ply(tmp_path / "a.ply", vertices, faces)
    mesh = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.faces, faces)
    assert not mesh.notes


@pytest.mark.parametrize("write", [write_stl, write_ply])
def test_who_wants_every_triangle_is_refused_more_than_can_be_kept(write, tmp_path):
    path = tmp_path / ("a.stl" if write is write_stl else "a.ply")
    write(path, *bumpy())
    with pytest.raises(MeshError, match="5120 faces are more than 1000; simplify it first"):
        read_mesh(path, exact=True)
    with pytest.raises(MeshError, match="5120 faces are more than 1000"):
        prepare(path, exact=True)
    assert "exact" in CompressOptions(exact=True).of_kind("shape")


def test_what_is_no_triangle_is_not_thinned(tmp_path):
    vertices, faces = bumpy()
    write_ply(tmp_path / "a.ply", vertices, np.column_stack([faces, faces[:, 0]]), size=4)
    with pytest.raises(MeshError, match="5120 faces are more than 1000; simplify it first"):
        read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("cut", [1, 40_000])
def test_a_file_that_ends_early_is_refused(cut, tmp_path):
    for write, name in ((write_stl, "a.stl"), (write_ply, "a.ply")):
        write(tmp_path / name, *bumpy())
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:-cut])
        with pytest.raises(MeshError, match=f"{name}: cannot be read as"):
            read_mesh(tmp_path / name)


def test_bad_corners_are_refused(tmp_path):
    vertices, faces = bumpy()
    beyond = faces.copy()
    beyond[2000, 1] = len(vertices)
    write_ply(tmp_path / "a.ply", vertices, beyond)
    with pytest.raises(MeshError, match=rf"a\.ply: .*{len(vertices)}"):
        read_mesh(tmp_path / "a.ply")
    vertices[7] = np.nan
    write_ply(tmp_path / "b.ply", vertices, faces)
    with pytest.raises(MeshError, match="a corner is not finite; a scan of finite numbers"):
        read_mesh(tmp_path / "b.ply")
    write_ply(tmp_path / "c.ply", np.ones_like(vertices), faces)
    with pytest.raises(MeshError, match="all its corners are in one place; a surface is needed"):
        read_mesh(tmp_path / "c.ply")


def test_there_is_a_limit(monkeypatch):
    monkeypatch.setattr(thinning, "MOST_THINNED", 5000)
    with pytest.raises(ValueError, match="5120 triangles are more than 5000; simplify it first"):
        thin(triangles_of(*bumpy()))


def test_a_lattice_that_leaves_too_many_is_made_coarser(monkeypatch):
    monkeypatch.setattr(thinning, "_FACES_LEFT", 20_000)
    assert len(thin(triangles_of(*bumpy())).faces) <= 1000


def test_a_check_tells_of_the_thinning(tmp_path):
    write_stl(tmp_path / "a.stl", *bumpy())
    found = inspect_mesh(tmp_path / "a.stl")
    assert found.usable
    assert found.notes[0].startswith("5120 triangles were thinned to ")


def test_a_thinned_scan_is_prepared(tmp_path, caplog):
    write_stl(tmp_path / "a.stl", *bumpy())
    shape = prepare(tmp_path / "a.stl")
    assert "a.stl: 5120 triangles were thinned to" in caplog.text
    assert shape.mesh.is_watertight
    assert shape.mesh.volume == pytest.approx(volume(*bumpy()), 0.02)
