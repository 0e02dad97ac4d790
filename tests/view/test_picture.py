from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from doh3d.errors import ConfigError
from doh3d.view import offscreen
from doh3d.view.camera import Camera
from doh3d.view.picture import Layout, draw_picture, legend
from doh3d.view.stage import Panel, set_stage


def draw(path, meshes, captions=None, *, colours=None, renderer="raycast", camera=None, **options):
    captions = captions or [()] * len(meshes)
    panels = [Panel(*each, colours) for each in zip(meshes, captions, strict=True)]
    draw_picture(panels, path, renderer=renderer, camera=camera, **options)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def covered(pixels):
    return (pixels < 250).any(axis=2)


@pytest.mark.usefixtures("require_open3d")
class TestRayCasting:
    def test_each_panel_shows_its_mesh_in_the_same_place(self, tmp_path):
        path = tmp_path / "all.png"
        ball, cube = trimesh.creation.icosphere(4), trimesh.creation.box((1, 1, 1))
        picture = draw(path, [ball, ball, cube], size=(900, 300))
        assert picture.shape == (300, 900, 3)
        left, middle, right = (covered(picture[:, x : x + 300]) for x in (0, 300, 600))
        np.testing.assert_array_equal(left, middle)
        # The ball fills its panel but for the margin, round and centred.
        rows, columns = np.flatnonzero(left.any(axis=1)), np.flatnonzero(left.any(axis=0))
        assert 250 <= np.ptp(columns) <= 280
        assert abs(np.ptp(rows) - np.ptp(columns)) <= 4
        assert columns.mean() == pytest.approx(150, abs=2)
        # The cube is drawn at the ball's scale: at most 1.5 against 3.14 of its area.
        assert 0.3 < right.sum() / left.sum() < 0.5
        assert [path] == list(tmp_path.iterdir())

    def test_shapes_are_shaded_on_white_with_a_caption_below(self, tmp_path):
        ball = trimesh.creation.icosphere(4)
        picture = draw(tmp_path / "one.png", [ball], [("a sphere", "b")], size=(300, 340))
        assert (picture[[0, -1]] == 255).all()
        drawn = covered(picture)
        rows = np.flatnonzero(drawn.any(axis=1))
        # White lines between the ball, the first line and the second.
        assert (np.diff(rows) > 1).sum() == 2
        assert (picture[rows[-1] - 12 :] < 160).any(), "the caption"
        # The light comes from the upper left: the lower right is darker.
        assert picture[90, 90].sum() > picture[210, 210].sum() + 150

    @pytest.mark.parametrize(
        ("up", "azimuth", "elevation", "wide", "high"),
        [
            # Of a box of 1 x 2 x 4, what is seen along each axis.
            ("y", 0, 0, 1, 2),
            ("y", 90, 0, 4, 2),
            ("z", 0, 0, 2, 4),
            ("z", 90, 0, 1, 4),
            ("x", 0, 0, 4, 1),
            ("y", 0, 90, 1, 4),
            ("y", 0, -90, 1, 4),
        ],
    )
    def test_the_view_is_the_one_asked_for(self, tmp_path, up, azimuth, elevation, wide, high):
        box, camera = trimesh.creation.box((1, 2, 4)), Camera(azimuth, elevation, up)
        shape = covered(draw(tmp_path / "box.png", [box], size=(300, 300), camera=camera))
        rows, columns = shape.any(axis=1).sum(), shape.any(axis=0).sum()
        assert columns / rows == pytest.approx(wide / high, rel=0.05)

    def test_a_right_handed_view(self, tmp_path):
        # Seen along -z with y up, x is to the right: the bump at +x shows there.
        body = trimesh.creation.box((2, 1, 1))
        bump = trimesh.creation.box((0.5, 1, 1)).apply_translation([0.75, 1, 0])
        both = trimesh.util.concatenate([body, bump])
        shape = covered(draw(tmp_path / "a.png", [both], size=(300, 300), camera=Camera(0, 0)))
        top = shape[np.flatnonzero(shape.any(axis=1))[5]]
        assert np.flatnonzero(top).mean() > 200

    def test_place_and_unit_do_not_matter_and_an_empty_mesh_leaves_its_panel_white(self, tmp_path):
        ball, empty = trimesh.creation.icosphere(3), trimesh.Trimesh()
        near = draw(tmp_path / "near.png", [ball, empty], size=(400, 200))
        assert (near[:, 200:] == 255).all()
        ball.apply_scale(1024).apply_translation([2**20, 0, 0])
        far = draw(tmp_path / "far.png", [ball, empty], size=(400, 200))
        assert (np.abs(far - near) <= 3).all()

    def test_colours_stay_close_to_themselves_under_light(self, tmp_path):
        ball = trimesh.creation.icosphere(4)
        red = np.tile([0.8, 0.1, 0.1], (len(ball.vertices), 1))
        camera = Camera(0, 0)
        picture = draw(tmp_path / "red.png", [ball], colours=red, size=(300, 300), camera=camera)
        brightest = picture[100:200, 100:200].max(axis=(0, 1))
        np.testing.assert_allclose(brightest, [204, 25, 25], atol=6)

    def test_the_inside_of_an_open_shape_is_lit_too(self, tmp_path):
        ball = trimesh.creation.icosphere(4)
        # Only what faces away is left: the camera looks into a bowl.
        bowl = trimesh.Trimesh(ball.vertices, ball.faces[ball.face_normals[:, 2] < 0])
        picture = draw(tmp_path / "bowl.png", [bowl], size=(300, 300), camera=Camera(0, 0))
        assert picture[150, 150].min() > 120


@pytest.mark.usefixtures("require_driver")
class TestOpen3D:
    def test_it_draws_what_ray_casting_draws(self, tmp_path):
        cube = trimesh.creation.box((1, 1.5, 2))
        meshes = [trimesh.creation.torus(1, 0.4), cube, trimesh.creation.icosphere(3)]
        options = {"size": (600, 220), "captions": [("torus",), ("box",), ("ball",)]}
        one = draw(tmp_path / "a.png", meshes, renderer="open3d", **options)
        other = draw(tmp_path / "b.png", meshes, renderer="raycast", **options)
        assert covered(one).any()
        assert np.abs(one - other).mean() < 0.5
        assert (np.abs(one - other) > 30).mean() < 0.005

    def test_without_a_driver_one_line_names_the_packages(self, tmp_path, monkeypatch):
        for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
            monkeypatch.setenv(name, "/nonexistent")
        with pytest.raises(ConfigError, match=r"no graphics driver .* libvulkan1 mesa-v") as error:
            draw(tmp_path / "box.png", [trimesh.creation.box()], renderer="open3d")
        assert "\n" not in str(error.value)
        assert "--renderer raycast" in str(error.value)
        assert not list(tmp_path.iterdir())


def test_a_renderer_that_hangs_is_given_up(monkeypatch):
    stage = set_stage([Panel(trimesh.creation.box(), ())], Camera(), 1.0)

    def hang(command, *, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ConfigError, match=r"has not drawn 90 x 60 pixels in 7 s; .* raycast"):
        offscreen.render(stage, (90, 60), time_limit_s=7)


@pytest.mark.parametrize("renderer", ["raycast", "open3d"])
def test_without_open3d_one_line_says_what_to_install(tmp_path, monkeypatch, renderer):
    monkeypatch.setitem(sys.modules, "open3d", None)
    # The process of its own finds none either.
    failed = subprocess.CompletedProcess([], 1, b"ModuleNotFoundError: No module named 'open3d'")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: failed)
    with pytest.raises(ConfigError, match=r'"doh3d\[view\]".* libusb-1\.0-0 ') as error:
        draw(tmp_path / "box.png", [trimesh.creation.box()], renderer=renderer)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "returncode", "reason"),
    [
        (b"FEngine\nreason: no Vulkan\nmore", -6, "no Vulkan"),
        (b"a\nOSError: libGL.so.1: not there\n", 1, "OSError: libGL.so.1: not there"),
        (b"", -11, "it died of SIGSEGV"),
        (b"\xff", 3, "it ended with status 3"),
    ],
)
def test_what_a_graphics_process_died_of(output, returncode, reason):
    done = subprocess.CompletedProcess([], returncode, output)
    assert offscreen.failure_reason(done) == reason


@pytest.mark.parametrize(
    ("meshes", "options", "message"),
    [
        ([], {}, "nothing to draw"),
        ([None], {}, "no faces"),
        (["box"], {"size": (10, 500)}, "size is 10 x 500; 1 shape needs more room"),
        (["box"] * 3, {"size": (90, 500)}, "size is 90 x 500; 3 shapes need more room"),
        (["box"], {"size": (9000, 500)}, "at most 4096 pixels"),
        (["box"], {"renderer": "vtk"}, "renderer is 'vtk'; it must be open3d or raycast"),
    ],
)
def test_bad_arguments_are_named(tmp_path, meshes, options, message):
    made = [trimesh.creation.box() if mesh else trimesh.Trimesh() for mesh in meshes]
    with pytest.raises(ConfigError, match=message):
        draw(tmp_path / "no.png", made, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 91), "elevation is 91; it must be -90 to 90"),
        ((0, float("nan")), "elevation is nan"),
        ((float("inf"), 0), "azimuth is inf"),
        ((0, 0, "w"), "up is 'w'; it must be one of x, y, z"),
    ],
)
def test_a_camera_checks_itself(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Camera(*arguments)


def test_long_captions_are_shortened_to_their_panel():
    box = trimesh.creation.box()
    panels = [Panel(box, ("n" * 300 + ".doh", "b")), Panel(box, ())]
    layout = Layout.within((400, 300), panels)
    blank = np.full((*layout.drawing_size[::-1], 3), 255, dtype=np.uint8)
    picture = np.asarray(layout.compose(blank).convert("L"))
    columns = np.flatnonzero((picture < 200).any(axis=0))
    assert columns.min() >= 0
    assert 150 < columns.max() < 200


def test_a_legend_is_symmetric_and_white_in_its_middle():
    pytest.importorskip("matplotlib")
    bar = np.asarray(legend((600, 60), 0.5, 14)).astype(int)[12]
    coloured = np.flatnonzero((bar < 250).any(axis=1))
    assert abs((coloured[0] + coloured[-1]) / 2 - 299.5) <= 1
    blue, middle, red = bar[coloured[5]], bar[300], bar[coloured[-6]]
    assert blue[2] > blue[0] + 60
    assert red[0] > red[2] + 60
    assert middle.min() > 235
