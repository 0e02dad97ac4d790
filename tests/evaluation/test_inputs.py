"""Whatever `compress` takes and makes can be measured."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

import doh3d
from doh3d.errors import ConfigError, MeshError
from doh3d.geometry.reading import read_shape
from doh3d.signals.shape import prepare

QUICK = {"resolution": 32, "points": 4096, "device": "cpu"}


@pytest.fixture(scope="module")
def ball():
    return trimesh.creation.icosphere(subdivisions=3, radius=40.0)


@pytest.fixture(scope="module")
def compressed(ball):
    return doh3d.compress(ball, preset="fast", latent=60, width=8, depth=1, device="cpu")


@pytest.fixture(scope="module")
def files(ball, compressed, tmp_path_factory):
    """The ball and what it was compressed to, in files."""
    folder = tmp_path_factory.mktemp("files")
    ball.export(folder / "ball.ply")
    compressed.save(folder / "ball.doh")
    return folder


@pytest.fixture(scope="module")
def pixels():
    y, x = np.mgrid[:24, :32]
    return np.stack([x * 8, y * 10, (x + y) * 4], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def image(pixels):
    return doh3d.compress_image(pixels, latent=60, preset="fast", device="cpu")


def measures(evaluation):
    """What does not depend on where shape and reference lie."""
    ours = ("bytes", "seconds", "reference_bytes", "ratio", "draco_bytes", "draco_ratio")
    return {name: value for name, value in evaluation.to_dict().items() if name not in ours}


@pytest.fixture(scope="module")
def of_files(files):
    """What files measure: the decoded ball, and the ball against a smaller one in either role."""
    path = files / "ball.ply"
    smaller = shrunk(trimesh.load_mesh(path))
    return {
        "decoded": doh3d.evaluate(files / "ball.doh", path, **QUICK),
        "shape": doh3d.evaluate(path, smaller, points=4096),
        "reference": doh3d.evaluate(smaller, path, points=4096),
    }


def shrunk(mesh):
    """Nearly the ball: a size and a quality that a mix-up of the two would change."""
    return trimesh.Trimesh(mesh.vertices * 0.9, mesh.faces)


@pytest.mark.parametrize("kind", ["path", "text", "compressed", "field"])
def test_a_decoded_shape_measures_the_same_in_every_form(files, of_files, compressed, kind):
    reference = files / "ball.ply"
    shape = {
        "path": files / "ball.doh",
        "text": str(files / "ball.doh"),
        "compressed": compressed,
        "field": compressed.field("cpu"),
    }[kind]
    found = doh3d.evaluate(shape, reference, **QUICK)
    assert measures(found) == measures(of_files["decoded"])
    assert found.iou > 0.8
    assert found.resolution == 32
    assert found.seconds > 0
    size, reference_bytes = len(compressed.data), reference.stat().st_size
    assert found.reference_bytes == reference_bytes
    if kind == "field":
        assert (found.bytes, found.ratio, found.draco_ratio) == (None, None, None)
    else:
        assert (found.bytes, found.ratio) == (size, reference_bytes / size)
        assert found.draco_ratio == (found.draco_bytes and found.draco_bytes / size)


@pytest.mark.parametrize(
    "kind",
    [
        "path",
        "trimesh",
        pytest.param("scene", marks=pytest.mark.slow),
        "pair",
        pytest.param("reading", marks=pytest.mark.slow),
        "prepared",
        pytest.param("open3d", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("role", ["shape", "reference"])
def test_a_mesh_measures_the_same_in_every_form(files, of_files, kind, role):
    path = files / "ball.ply"
    mesh = trimesh.load_mesh(path)
    arrays = np.array(mesh.vertices), np.array(mesh.faces)
    if kind == "open3d":
        open3d = pytest.importorskip("open3d")
        form = open3d.geometry.TriangleMesh(
            open3d.utility.Vector3dVector(arrays[0]), open3d.utility.Vector3iVector(arrays[1])
        )
    else:
        form = {
            "path": lambda: path,
            "trimesh": lambda: mesh,
            "scene": lambda: trimesh.Scene(mesh),
            "pair": lambda: arrays,
            "reading": lambda: read_shape(path),
            "prepared": lambda: prepare(path),
        }[kind]()
    smaller = shrunk(mesh)
    pair = (form, smaller) if role == "shape" else (smaller, form)
    found = doh3d.evaluate(*pair, points=4096)
    assert measures(found) == measures(of_files[role])
    assert 0.6 < found.iou < 0.8
    assert (found.seconds, found.resolution) == (0.0, None)
    size = path.stat().st_size if kind == "path" else None
    assert (found.bytes, found.reference_bytes) == (
        (size, None) if role == "shape" else (None, size)
    )
    assert (found.ratio, found.draco_ratio) == (
        None,
        found.draco_bytes / size if found.bytes and found.draco_bytes else None,
    )


def test_a_shape_of_a_data_set_is_compressed_too(compressed, ball):
    from doh3d.dataset.shape_set import Shape

    found = doh3d.evaluate(Shape("ball", compressed.data, {}), ball, **QUICK)
    assert found.bytes == len(compressed.data)
    assert measures(found) == measures(doh3d.evaluate(compressed, ball, **QUICK))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (7, "shape is of type int; a path, a trimesh or Open3D mesh"),
        (b"\xd0OH", "shape is of type bytes"),
        (([[0, 0]], [[0, 0, 0]]), r"shape: vertices have shape \(1, 2\)"),
        (([[0, 0, 0]], [[0, 0, 1]]), "shape: face 0 uses vertex 1, but there are 1"),
        (trimesh.Trimesh(), "shape: the mesh has no vertices"),
        ("none.ply", "none.ply: no such file"),
    ],
)
@pytest.mark.parametrize("role", ["shape", "reference"])
def test_what_is_no_shape_is_refused_by_its_role(ball, role, shape, said):
    pair = (shape, ball) if role == "shape" else (ball, shape)
    with pytest.raises(MeshError, match=said.replace("shape", role, 1)) as refused:
        doh3d.evaluate(*pair, points=4096)
    assert "\n" not in str(refused.value)


def test_a_field_is_no_reference(ball, compressed, files):
    for reference in (compressed, compressed.field("cpu")):
        with pytest.raises(MeshError, match=f"reference is of type {type(reference).__name__}"):
            doh3d.evaluate(ball, reference)
    with pytest.raises(MeshError, match=r"ball\.doh: is a \.doh file, not a mesh"):
        doh3d.evaluate(ball, files / "ball.doh")


def test_an_image_is_no_shape(ball, image):
    for shape in (image, image.field("cpu")):
        said = f"shape is of type {type(shape).__name__}, an image; measure it with evaluate_image"
        with pytest.raises(ConfigError, match=said):
            doh3d.evaluate(shape, ball)


@pytest.mark.parametrize("kind", ["path", "text", "compressed", "field"])
@pytest.mark.parametrize("of", ["path", "pixels"])
def test_an_image_measures_the_same_in_every_form(tmp_path, image, pixels, kind, of):
    from doh3d.evaluation.image import psnr
    from doh3d.images.files import save_pixels

    image.save(tmp_path / "a.doh")
    save_pixels(pixels, tmp_path / "a.png")
    form = {
        "path": tmp_path / "a.doh",
        "text": str(tmp_path / "a.doh"),
        "compressed": image,
        "field": image.field("cpu"),
    }[kind]
    reference = pixels if of == "pixels" else tmp_path / "a.png"
    found = doh3d.evaluate_image(form, reference, device="cpu")
    assert found.psnr_db == psnr(pixels, image.field("cpu").pixels())
    assert (found.width, found.height, found.channels) == (32, 24, 3)
    size = None if kind == "field" else len(image.data)
    assert (found.bytes, found.bpp) == (size, size and 8 * size / (24 * 32))


def test_grey_pixels_need_no_third_axis(pixels):
    grey = pixels[:, :, 0]
    image = doh3d.compress_image(grey, latent=20, preset="fast", device="cpu")
    assert doh3d.evaluate_image(image, grey, device="cpu").channels == 1


@pytest.mark.parametrize(
    ("shape", "of_image"), [(7, True), ("compressed", True), (Path("none.doh"), False)]
)
def test_what_is_no_image_is_refused(request, pixels, shape, of_image):
    if shape == "compressed":
        shape = request.getfixturevalue("compressed")
    said = f"image is of type {type(shape).__name__}; a path" if of_image else r"none\.doh: cannot"
    with pytest.raises(ConfigError, match=said):
        doh3d.evaluate_image(shape, pixels)


@pytest.mark.parametrize(
    ("reference", "error", "said"),
    [
        (np.zeros((4, 4)), doh3d.ImageError, "pixels are float64 of shape"),
        (None, doh3d.ImageError, "they must be uint8"),
        (
            np.zeros((4, 4), np.uint8),
            ConfigError,
            "the image holds 32 x 24 pixels of 3 channels, but the reference has 4 x 4 pixels of 1",
        ),
        (Path("none.png"), ConfigError, r"none\.png: cannot be read"),
    ],
)
def test_what_an_image_cannot_be_compared_with_is_named(image, reference, error, said):
    with pytest.raises(error, match=said):
        doh3d.evaluate_image(image, reference, device="cpu")
