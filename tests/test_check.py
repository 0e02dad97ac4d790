"""`doh3d check`, and that place, size and turns of a mesh do not matter."""

import json
import sys

import numpy as np
import pytest
import trimesh

import doh3d
from doh3d.cli import main
from doh3d.evaluation.evaluate import field_iou
from doh3d.geometry import inspection


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["doh3d", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    output = capsys.readouterr()
    return caught.value.code, output.out, output.err


@pytest.fixture
def open_box(tmp_path, monkeypatch):
    """A box without a face; its volume is sampled, here in an eighth of the points."""
    monkeypatch.setattr(inspection, "_CELLS", inspection._CELLS // 2)
    box = trimesh.creation.box((10, 20, 30))
    path = tmp_path / "box.off"
    trimesh.Trimesh(box.vertices, box.faces[1:], process=False).export(path)
    return path


def test_table(monkeypatch, capsys, open_box):
    status, out, err = run(monkeypatch, capsys, "check", open_box)
    assert (status, err) == (0, "")
    for words in ("open_edges", "watertight", "10 20 30", "open surface"):
        assert words in out


def test_json(monkeypatch, capsys, open_box):
    status, out, _ = run(monkeypatch, capsys, "check", open_box, "--json")
    report = json.loads(out)
    assert status == 0
    assert report["usable"] is True
    assert report["contents"]["open_edges"] == 3
    assert report["shape"]["size"] == [10, 20, 30]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_unusable(monkeypatch, capsys, tmp_path, options):
    path = tmp_path / "flat.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    status, out, err = run(monkeypatch, capsys, "check", path, *options)
    assert status == 2
    assert err.startswith(f"doh3d: error: {path}: the mesh encloses no volume")
    assert err.count("\n") == 1
    if options:
        assert json.loads(out)["usable"] is False
    else:
        assert out == ""


TURN = trimesh.transformations.rotation_matrix(np.pi / 2, (0, 0, 1))


@pytest.fixture(scope="module")
def fit():
    """Fit a lopsided shape after a change; return the field and its IoU with the mesh."""

    def fit_after(change):
        mesh = trimesh.creation.box((1.8, 1.0, 0.6))
        mesh = trimesh.util.concatenate(
            [mesh, trimesh.creation.box((0.6, 0.6, 1.4)).apply_translation((0.6, 0.2, 0.5))]
        )
        change(mesh)
        shape = doh3d.compress(mesh, preset="fast", latent=200, width=16, depth=2, device="cpu")
        field = shape.field("cpu")
        return mesh, field, field_iou(mesh, field, points=2**15).iou

    return fit_after


@pytest.fixture(scope="module")
def plain(fit):
    """IoU of the shape as it is."""
    return fit(lambda mesh: None)[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda mesh: mesh.apply_scale(1e-6),
        lambda mesh: mesh.apply_scale(1e9),
        lambda mesh: mesh.apply_translation((1e5, -2e5, 3e5)),
        lambda mesh: mesh.apply_transform(TURN),
    ],
    ids=["tiny", "huge", "far", "turned"],
)
def test_place_size_and_turns_do_not_matter(fit, plain, change):
    _, _, changed = fit(change)
    assert plain > 0.9
    assert changed == pytest.approx(plain, abs=0.02)


@pytest.mark.slow
def test_millimetres_come_back_as_millimetres(fit):
    mesh, field, _ = fit(lambda mesh: mesh.apply_scale(1000).apply_translation((250, 0, 40)))
    back = field.to_mesh(48)
    np.testing.assert_allclose(back.bounds, mesh.bounds, atol=0.04 * 1800)
    assert field.bounds[1, 0] > 1000
