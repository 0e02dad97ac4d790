"""`doh3d view` and `doh3d render` as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.mark.usefixtures("require_open3d")
def test_render_reports_what_it_has_drawn(run, tmp_path, torus_files):
    pytest.importorskip("matplotlib")
    mesh, code = torus_files
    target = tmp_path / "both.png"
    arguments = ["render", code, mesh, "-o", target, "--resolution", 32, "--renderer", "raycast"]
    status, out, err = run(*arguments, "--size", "600x300", "--heatmap", "--range", 0.3, "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    with Image.open(target) as picture:
        assert picture.size == (report["width"], report["height"]) == (600, 300)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    (shape,) = report["shapes"]
    assert shape["bytes"] == code.stat().st_size
    assert shape["iou"] > 0.9
    assert (shape["protocol"], shape["iou_of"]) == ("bbox", "field")
    assert report["reference"]["bytes"] == mesh.stat().st_size
    assert report["range_percent"] == 0.3
    assert report["renderer"] == "raycast"
    # Colours in the reconstruction's half only, and in the legend.
    coloured = np.ptp(pixels[:150], axis=2) > 40
    assert not coloured[:, :300].any()
    assert coloured[:, 300:].any()
    assert os.listdir(tmp_path) == ["both.png"]


@pytest.mark.usefixtures("require_open3d")
def test_one_number_is_the_side_of_each_shape(run, tmp_path, torus_files):
    _, code = torus_files
    target = tmp_path / "a.PNG"
    arguments = ["render", code, code, code, "-o", target, "--size", "90", "--resolution", 16]
    status, out, err = run(*arguments, "--renderer", "raycast")
    assert (status, err) == (0, "")
    assert "270 x 90" in out
    assert out.count("\n") == 1


@pytest.mark.usefixtures("require_open3d")
def test_many_shapes_share_the_largest_picture(run, tmp_path, torus_files, monkeypatch):
    monkeypatch.setattr("doh3d.view.picture.MAX_SIDE", 300)
    _, code = torus_files
    arguments = ["render", code, code, code, "-o", tmp_path / "a.png", "--resolution", 16]
    status, out, _ = run(*arguments, "--renderer", "raycast")
    assert status == 0
    assert "300 x 100" in out


@pytest.mark.slow
@pytest.mark.usefixtures("require_driver")
def test_render_prints_nothing_else(tmp_path, torus_files):
    mesh, code = torus_files
    command = [sys.executable, "-m", "doh3d", "render", code, mesh, "-o", tmp_path / "a.png"]
    result = subprocess.run(
        [*command, "--resolution", "32", "--size", "100", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(result.stdout)["renderer"] == "open3d"
    assert result.stderr == ""


# As it was drawn when this was written; `dhash` says what the bits are.
BUNNY = "10081c060c0c180c301034163632260236131613070706030c060c0c0c040004"


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["raycast", "open3d"])
def test_the_bunny_and_its_reconstruction_look_as_ever(
    run, tmp_path, request, bunny_files, dhash, renderer
):
    request.getfixturevalue("require_driver" if renderer == "open3d" else "require_open3d")
    mesh, code = bunny_files
    target = tmp_path / "bunny.png"
    view = ["--up", "z", "--resolution", 128, "--size", "800x400", "--renderer", renderer]
    assert run("render", code, mesh, "-o", target, *view, "--azimuth", -70)[0] == 0
    found = dhash(target).ravel()
    expected = np.unpackbits(np.frombuffer(bytes.fromhex(BUNNY), dtype=np.uint8)).astype(bool)
    assert (found != expected).sum() <= 10, np.packbits(found).tobytes().hex()
    # From elsewhere it is another picture.
    assert run("render", code, mesh, "-o", target, *view, "--azimuth", 20)[0] == 0
    assert (dhash(target).ravel() != expected).sum() > 30


BAD = {
    "no file": ([], "argument files is missing"),
    "no .doh file": (["{mesh}"], "not a .doh file"),
    "two meshes": (["{code}", "{mesh}", "{mesh}"], "are no .doh files"),
    "a missing file": (["no.doh"], "no.doh"),
    "resolution": (["{code}", "--resolution", "4"], "8 to 1024"),
    "elevation": (["{code}", "--elevation", "99"], "elevation is 99.0; it must be -90 to 90"),
    "up": (["{code}", "--up", "up"], "one of x, y, z"),
    "a heatmap of nothing": (["{code}", "--heatmap"], "--heatmap needs the original mesh"),
    "device": (["{code}", "--device", "tpu"], "auto, cpu, cuda, mps"),
}
BAD_RENDER = {
    "size": (["{code}", "--size", "3x"], "size is '3x'; it must be like 1200x600"),
    "too small": (["{code}", "--size", "9"], "size is 9 x 9; 1 shape needs more room"),
    "too large": (["{code}", "--size", "99999"], "at most 4096"),
    "renderer": (["{code}", "--renderer", "vtk"], "renderer is 'vtk'"),
    "range": (["{code}", "{mesh}", "--heatmap", "--range", "0"], "range is 0.0"),
    "a range of nothing": (["{code}", "{mesh}", "--range", "1"], "--range is for --heatmap"),
    "no PNG": (["{code}", "-o", "{folder}/a.jpg"], "PNG"),
    "no such folder": (["{code}", "-o", "{folder}/no/a.png"], "does not exist"),
}


@pytest.mark.parametrize(
    ("command", "case"),
    [("render", case) for case in BAD | BAD_RENDER] + [("view", case) for case in BAD],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    run, tmp_path, torus_files, monkeypatch, command, case
):
    # So that the line is about the input where there is no screen.
    monkeypatch.setattr("doh3d.view.viewer.check_screen", lambda: None)
    arguments, named = (BAD | BAD_RENDER)[case]
    mesh, code = torus_files
    arguments = [each.format(mesh=mesh, code=code, folder=tmp_path) for each in arguments]
    if command == "render" and "-o" not in arguments:
        arguments += ["-o", str(tmp_path / "a.png")]
    status, out, err = run(command, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("doh3d: error: ")
    assert named in err
    assert os.listdir(tmp_path) == []


def test_screenshots_need_a_folder(run, tmp_path, torus_files):
    status, _, err = run("view", torus_files[1], "--screenshots", tmp_path / "no")
    assert status == 2
    assert "is no folder" in err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
@pytest.mark.parametrize(
    ("display", "why"), [("", "DISPLAY is not set"), (":4999", "nothing answers at DISPLAY=:4999")]
)
def test_without_a_screen_view_says_so(run, torus_files, monkeypatch, display, why):
    monkeypatch.setenv("DISPLAY", display)
    status, out, err = run("view", torus_files[1])
    assert (status, out) == (2, "")
    assert why in err
    assert "doh3d render" in err
    assert err.count("\n") == 1
