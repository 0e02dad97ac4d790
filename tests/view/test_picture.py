from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from doh3d.errors import ConfigError
from doh3d.view.picture import side_by_side


@pytest.fixture(scope="module", autouse=True)
def _open3d():
    try:
        import open3d  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"Open3D cannot be imported: {error}")


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def silhouette(panel):
    """Rows and columns that a shape covers, below the title."""
    return (panel[60:] < 250).any(axis=2)


def test_each_panel_shows_its_mesh_in_the_same_place(tmp_path):
    path = tmp_path / "both.png"
    ball, cube = trimesh.creation.icosphere(4), trimesh.creation.box((1, 1, 1))
    side_by_side([ball, ball, cube], ["a", "b", "c"], path, size=(900, 340))
    picture = pixels(path)
    assert picture.shape == (340, 900, 3)
    left, middle, right = (silhouette(picture[:, x : x + 300]) for x in (0, 300, 600))
    np.testing.assert_array_equal(left, middle)
    # The ball fills its panel but for the margin, round and centred.
    rows, columns = np.flatnonzero(left.any(axis=1)), np.flatnonzero(left.any(axis=0))
    assert 250 <= np.ptp(columns) <= 280
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 12
    assert columns.mean() == pytest.approx(150, abs=2)
    # The cube is drawn at the ball's scale: at most 1.5 against 3.14 of its area.
    assert 0.3 < right.sum() / left.sum() < 0.5
    assert [path] == list(tmp_path.iterdir())


def test_shapes_are_shaded_on_white_with_a_title(tmp_path):
    path = tmp_path / "one.png"
    side_by_side([trimesh.creation.icosphere(4)], ["a sphere"], path, size=(300, 330))
    picture = pixels(path)
    assert (picture[[0, -1]] == 255).all()
    assert (picture[:29] < 128).any(), "the title"
    # The light comes from the upper left: the lower right is darker, and nothing is burnt out.
    upper_left, lower_right = picture[110, 80].sum(), picture[250, 220].sum()
    assert upper_left > lower_right + 150
    assert picture[60:300, 60:240].max(axis=2).max() <= 255
    assert (picture[110:250, 80:220] < 250).any(axis=2).all()


@pytest.mark.parametrize(
    ("up", "azimuth_deg", "elevation_deg", "wide", "high"),
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
def test_the_view_is_the_one_asked_for(tmp_path, up, azimuth_deg, elevation_deg, wide, high):
    path = tmp_path / "box.png"
    side_by_side(
        [trimesh.creation.box((1, 2, 4))],
        [""],
        path,
        size=(300, 300),
        azimuth_deg=azimuth_deg,
        elevation_deg=elevation_deg,
        up=up,
    )
    shape = silhouette(pixels(path))
    rows, columns = shape.any(axis=1).sum(), shape.any(axis=0).sum()
    # What the height of the title hides does not change which side is longer.
    full = (pixels(path)[28:] < 250).any(axis=2)
    rows, columns = full.any(axis=1).sum(), full.any(axis=0).sum()
    assert columns / rows == pytest.approx(wide / high, rel=0.05)


def test_a_right_handed_view(tmp_path):
    path = tmp_path / "axes.png"
    # Seen along -z with y up, x is to the right: the bump at +x shows there.
    body = trimesh.creation.box((2, 1, 1))
    bump = trimesh.creation.box((0.5, 1, 1)).apply_translation([0.75, 1, 0])
    side_by_side(
        [trimesh.util.concatenate([body, bump])],
        [""],
        path,
        size=(300, 330),
        azimuth_deg=0,
        elevation_deg=0,
    )
    shape = (pixels(path)[30:] < 250).any(axis=2)
    top = shape[np.flatnonzero(shape.any(axis=1))[5]]
    assert np.flatnonzero(top).mean() > 200


def test_an_empty_mesh_leaves_its_panel_white_and_place_and_unit_do_not_matter(tmp_path):
    path, far = tmp_path / "empty.png", tmp_path / "far.png"
    ball = trimesh.creation.icosphere(3)
    side_by_side([ball, trimesh.Trimesh()], ["", ""], path, size=(400, 220))
    picture = pixels(path)
    assert (picture[:, 200:] == 255).all()
    ball.apply_scale(1024).apply_translation([2**20, 0, 0])
    side_by_side([ball, trimesh.Trimesh()], ["", ""], far, size=(400, 220))
    assert (np.abs(pixels(far) - picture) <= 3).all()


def test_without_open3d_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ConfigError, match=r'"doh3d\[view\]".* libusb-1\.0-0 ') as error:
        side_by_side([trimesh.creation.box()], ["box"], tmp_path / "box.png")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("meshes", "titles", "options", "message"),
    [
        ([], [], {}, "0 meshes and 0 titles"),
        (["box"], [], {}, "1 meshes and 0 titles"),
        ([None], ["empty"], {}, "no faces"),
        (["box"], ["box"], {"size": (10, 500)}, "size is 10 x 500"),
        (["box"], ["box"], {"elevation_deg": 91}, "elevation_deg is 91; it must be -90 to 90"),
        (["box"], ["box"], {"up": "w"}, "up is 'w'; it must be one of x, y, z"),
    ],
)
def test_bad_arguments_are_named(tmp_path, meshes, titles, options, message):
    made = [trimesh.creation.box() if mesh else trimesh.Trimesh() for mesh in meshes]
    with pytest.raises(ConfigError, match=message):
        side_by_side(made, titles, tmp_path / "no.png", **options)
