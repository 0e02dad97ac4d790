import numpy as np
import pytest
import trimesh

from doh3d.geometry import inspection
from doh3d.geometry.inspection import inspect_mesh

pytestmark = pytest.mark.usefixtures("usual_surveys")


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Sample volumes that are not known exactly in an eighth of the points."""
    monkeypatch.setattr(inspection, "_CELLS", inspection._CELLS // 2)


def raw(vertices, faces):
    return trimesh.Trimesh(vertices, faces, process=False, validate=False)


def cube(side=1.0, at=(0.0, 0.0, 0.0)):
    return trimesh.creation.box((side, side, side)).apply_translation(at)


def inspect(folder, mesh, name="a.off"):
    path = folder / name
    mesh.export(path)
    return inspect_mesh(path)


def test_a_good_mesh(tmp_path, torus):
    found = inspect(tmp_path, torus)
    assert found.usable
    assert found.reason is None
    assert found.notes == ()
    assert found.format == "OFF"
    contents = found.contents
    assert (contents.vertices, contents.faces) == (len(torus.vertices), len(torus.faces))
    assert not contents.open_edges + contents.non_manifold_edges + contents.flipped_edges
    shape = found.shape
    assert shape.watertight
    assert (shape.bodies, shape.cavities, shape.flat_bodies) == (1, 0, 0)
    assert shape.orientation == "outwards"
    assert shape.volume == pytest.approx(torus.volume, rel=0.03)
    assert shape.area == pytest.approx(torus.area, rel=1e-6)
    assert shape.size == pytest.approx(torus.extents, rel=1e-6)
    # Of a tube of radius r the mean thickness is r.
    assert shape.thickness * 1.8 == pytest.approx(0.25, rel=0.05)
    assert "closed surface" in found.inside


def test_a_hole(tmp_path):
    box = cube()
    found = inspect(tmp_path, raw(box.vertices, box.faces[1:]))
    assert found.contents.open_edges == 3
    assert not found.shape.watertight
    assert "open surface" in found.inside


def test_a_hemisphere_is_partly_a_guess(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=3)
    found = inspect(tmp_path, raw(ball.vertices, ball.faces[ball.triangles_center[:, 2] > 0]))
    assert found.shape.unclear > 0.1
    assert any(note.startswith("look: the surface leaves open") for note in found.notes)


def test_flipped_faces_and_inside_out(tmp_path):
    box = cube()
    faces = box.faces.copy()
    faces[0] = faces[0, ::-1]
    mixed = inspect(tmp_path, raw(box.vertices, faces))
    assert mixed.contents.flipped_edges == 3
    assert mixed.contents.turned_faces == 1
    assert mixed.shape.orientation == "mixed"
    turned = inspect(tmp_path, raw(box.vertices, box.faces[:, ::-1]))
    assert turned.contents.flipped_edges == 0
    assert turned.shape.orientation == "inside out"
    assert turned.shape.volume == pytest.approx(1)


def test_bodies_and_cavities(tmp_path):
    hollow = [cube(2), raw(cube().vertices, cube().faces[:, ::-1]), cube(1, (5, 0, 0))]
    found = inspect(tmp_path, trimesh.util.concatenate(hollow))
    assert (found.shape.bodies, found.shape.cavities) == (2, 1)


def test_overlap(tmp_path):
    found = inspect(tmp_path, trimesh.util.concatenate([cube(2), cube(2, (1, 0, 0))]))
    assert found.shape.overlap == pytest.approx(1 / 3, abs=0.02)
    assert any("lies in several bodies" in note for note in found.notes)


def test_non_manifold_edge(tmp_path):
    box = cube()
    fin = raw(np.vstack([box.vertices, [[2, 2, 2]]]), np.vstack([box.faces, [[0, 1, 8]]]))
    assert inspect(tmp_path, fin).contents.non_manifold_edges == 1


def test_duplicate_degenerate_unused_and_not_finite(tmp_path):
    box = cube()
    vertices = np.vstack([box.vertices, [[np.nan] * 3], [[9.0] * 3], box.vertices[:1]])
    faces = np.vstack([box.faces, box.faces[:1], [[0, 10, 1], [0, 1, 8]]])
    contents = inspect(tmp_path, raw(vertices, faces)).contents
    assert contents.duplicate_faces == 1
    assert contents.degenerate_faces == 1
    assert contents.not_finite_faces == 1
    assert contents.unused_vertices == 1
    assert contents.joined_vertices == 1


def test_thin_walls_and_stray_parts_get_a_note(tmp_path):
    plate = inspect(tmp_path, trimesh.creation.box((1, 1, 0.004)))
    assert any("0.40% of the longest side" in note for note in plate.notes)
    stray = inspect(tmp_path, trimesh.util.concatenate([cube(), cube(1, (300, 0, 0))]))
    assert not any("bounding box" in note for note in stray.notes)
    stray = inspect(tmp_path, trimesh.util.concatenate([cube(), cube(0.1, (300, 300, 0))]))
    assert any("of its bounding box" in note for note in stray.notes)


def test_where_the_mesh_is_and_how_large(tmp_path, torus):
    far = inspect(tmp_path, torus.copy().apply_scale(1e-3).apply_translation((12345.6789, 0, 0)))
    assert far.shape.transform_bytes == 32
    assert far.shape.centre == pytest.approx((12345.6789, 0, 0), abs=1e-5)
    assert inspect(tmp_path, torus, "a.glb").shape.unit == "metre"


@pytest.mark.parametrize(
    "scale",
    [
        1e-90,
        pytest.param(1e-12, marks=pytest.mark.slow),
        pytest.param(1e12, marks=pytest.mark.slow),
        1e90,
    ],
)
def test_scale_does_not_matter(tmp_path, torus, scale):
    def found(factor):
        rows = [" ".join(["v", *map(repr, p)]) for p in (torus.vertices * factor).tolist()]
        rows += [" ".join(["f", *map(str, f)]) for f in (torus.faces + 1).tolist()]
        path = tmp_path / "torus.obj"
        path.write_text("\n".join(rows))
        return inspect_mesh(path)

    plain, scaled = found(1.0), found(scale)
    assert scaled.notes == plain.notes
    assert scaled.shape.thickness == pytest.approx(plain.shape.thickness, rel=1e-3)
    assert scaled.shape.volume == pytest.approx(plain.shape.volume * scale**3, rel=1e-3)
    assert scaled.shape.area == pytest.approx(plain.shape.area * scale**2, rel=1e-3)


def test_unusable_files_have_a_reason(tmp_path):
    flat = inspect(tmp_path, raw(np.eye(3), [[0, 1, 2]]))
    assert not flat.usable
    assert "encloses no volume" in flat.reason
    missing = inspect_mesh(tmp_path / "none.ply")
    assert missing.format == "unknown"
    assert "no such file" in missing.reason
    assert missing.to_dict()["contents"] is None
