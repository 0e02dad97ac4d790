"""Meshes, files and screens that many tests share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trimesh
import typer
from hypothesis import HealthCheck, settings
from PIL import Image

import doh3d
from doh3d import cli
from doh3d.geometry.voxels import VoxelGrid, VoxelLattice

if TYPE_CHECKING:
    from doh3d.fitting.plan import Preset

_FAST = {"preset": "fast", "width": 16, "depth": 2, "device": "cpu"}


# Where other processes take their share, an example takes any time: no test asserts one.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def usual_fast() -> Iterator[Preset]:
    """Make fits with the preset `fast` short in this process; `fast` as it is.

    Of a ball, a torus or a box 300 steps of a third of the points make a file as good as `fast`
    does, in a quarter of the time: of `torus_files` the IoU is 0.993 either way.
    """
    # Loaded only here: the process that shares out the tests needs no torch.
    from doh3d.fitting.plan import Preset
    from doh3d.signals import image_plan, shape_plan

    usual = shape_plan.PRESETS["fast"]
    with pytest.MonkeyPatch.context() as patch:
        brief = Preset(steps=300, batch_size=1024, pool_size=20_000)
        patch.setitem(shape_plan.PRESETS, "fast", brief)
        brief = Preset(steps=150, batch_size=512, pool_size=2**20)
        patch.setitem(image_plan.PRESETS, "fast", brief)
        yield usual


@pytest.fixture
def usual_fits(usual_fast: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit with the preset `fast` as it is: for what is less simple than a torus."""
    from doh3d.signals import shape_plan

    monkeypatch.setitem(shape_plan.PRESETS, "fast", usual_fast)


@pytest.fixture(scope="session", autouse=True)
def few_trials() -> Iterator[dict[str, tuple[int, int]]]:
    """Look for mirror planes on few points, which finds those of simple solids; the usual numbers.

    Nearly a fifth of the time of a short fit goes by without this.
    """
    from doh3d.geometry import symmetry

    usual = {name: getattr(symmetry, name) for name in ("_MIRROR_TRIALS", "_CLEAR_TRIALS")}
    with pytest.MonkeyPatch.context() as patch:
        for name in usual:
            patch.setattr(symmetry, name, (2**11, 2**12))
        yield usual


@pytest.fixture(scope="session", autouse=True)
def coarse_surveys() -> Iterator[dict[str, int]]:
    """Survey what meshes enclose on an eighth of the points; the usual numbers of cells.

    Every fit of a mesh makes a survey, for the sake of its warnings.
    """
    from doh3d.geometry import survey

    usual = {name: getattr(survey, name) for name in ("_FEW_CELLS", "_CELLS")}
    with pytest.MonkeyPatch.context() as patch:
        for name, cells in usual.items():
            patch.setattr(survey, name, cells // 2)
        yield usual


@pytest.fixture
def usual_surveys(coarse_surveys: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Survey on as many points as in use."""
    from doh3d.geometry import survey

    for name, cells in coarse_surveys.items():
        monkeypatch.setattr(survey, name, cells)


@pytest.fixture(scope="session", autouse=True)
def commands_built_once() -> Iterator[None]:
    """Make the tree of commands for the first command that runs, not anew for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", cache(typer.main.get_command))
        yield


@pytest.fixture
def no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compress without looking for shorter triangles: it takes longer than a short fit."""
    monkeypatch.setattr("doh3d.api.compress.cheaper_triangles", lambda *_: None)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; its exit status, output and error output."""

    def run_command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["doh3d", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run_command


@pytest.fixture(scope="session")
def meshes_folder() -> Path:
    """The folder of small example meshes."""
    return Path(__file__).parents[1] / "meshes"


@pytest.fixture
def sphere() -> trimesh.Trimesh:
    """A ball of radius 0.9: normalised coordinates."""
    return trimesh.creation.icosphere(subdivisions=4, radius=0.9)


@pytest.fixture
def torus() -> trimesh.Trimesh:
    """A torus of longest side 1.8: normalised coordinates."""
    return trimesh.creation.torus(0.65, 0.25, major_sections=64, minor_sections=32)


@pytest.fixture
def box() -> trimesh.Trimesh:
    """A box of 1.8 x 1.2 x 0.6: normalised coordinates."""
    return trimesh.creation.box((1.8, 1.2, 0.6))


@pytest.fixture(scope="session")
def crossed() -> Callable[[np.ndarray], np.ndarray]:
    """Which cells have corners of both signs: (x, y, z) bool of (x + 1, y + 1, z + 1) values."""

    def of_values(values: np.ndarray) -> np.ndarray:
        corners = np.lib.stride_tricks.sliding_window_view(values > 0, (2, 2, 2))
        return corners.any(axis=(3, 4, 5)) & ~corners.all(axis=(3, 4, 5))

    return of_values


@pytest.fixture(scope="session")
def require_open3d() -> None:
    try:
        import open3d  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"Open3D cannot be imported: {error}")


@pytest.fixture(scope="session")
def require_driver(require_open3d: None) -> None:
    """Skip where Open3D's off-screen renderer finds no graphics driver."""
    from doh3d.view.camera import Camera
    from doh3d.view.offscreen import render
    from doh3d.view.stage import Panel, set_stage

    stage = set_stage([Panel(trimesh.creation.box(), ())], Camera(), 1.0)
    try:
        render(stage, (64, 64), time_limit_s=120)
    except doh3d.ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def torus_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A torus in millimetres, off the origin, and its .doh file."""
    folder = tmp_path_factory.mktemp("torus")
    mesh = trimesh.creation.torus(65.0, 25.0, major_sections=48, minor_sections=24)
    mesh.apply_translation([1000, 0, -50])
    mesh.export(folder / "torus.ply")
    doh3d.compress(folder / "torus.ply", latent=200, **_FAST).save(folder / "torus.doh")
    return folder / "torus.ply", folder / "torus.doh"


@pytest.fixture(scope="session")
def bunny_files(tmp_path_factory: pytest.TempPathFactory, usual_fast: Preset) -> tuple[Path, Path]:
    """The Stanford bunny, holes and all, and its .doh file."""
    from doh3d.signals import shape_plan

    folder = tmp_path_factory.mktemp("bunny")
    mesh = Path(str(resources.files("pymeshfix") / "examples/StanfordBunny.ply"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shape_plan.PRESETS, "fast", usual_fast)
        # Good enough to look the same whichever way the fit's last digits go.
        doh3d.compress(mesh, latent=800, preset="fast", device="cpu").save(folder / "bunny.doh")
    return mesh, folder / "bunny.doh"


@pytest.fixture(scope="session")
def dhash():
    """The difference hash of a picture: 256 bits, which of two neighbouring blocks is lighter."""

    def of_picture(path: Path) -> np.ndarray:
        with Image.open(path) as picture:
            grey = picture.convert("L").resize((17, 16), Image.Resampling.BOX)
        values = np.asarray(grey).astype(int)
        # Neither the white around a shape nor a rounding error is a difference.
        return np.diff(values, axis=1) > 2

    return of_picture


def _ball(shape, centre, radius):
    """Voxels within a radius of a centre, both in voxels."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return ((index - centre) ** 2).sum(axis=-1) <= radius**2


@pytest.fixture(scope="session")
def two_balls():
    """A label map, (24, 20, 16) uint8: a ball of label 2, and one of label 7 that meets it."""
    labels = np.zeros((24, 20, 16), dtype=np.uint8)
    labels[_ball(labels.shape, (8, 10, 8), 5.5)] = 2
    labels[_ball(labels.shape, (17, 10, 8), 4.5)] = 7
    return labels


@pytest.fixture(scope="session")
def affine():
    """Left-handed, of three spacings, far from the origin; exact in float32."""
    matrix = np.diag([-1.5, 2.0, 3.0, 1.0])
    matrix[:3, 3] = 71.65625, -255.5, 540.25
    return matrix


@pytest.fixture(scope="session")
def ball_file(two_balls, affine, tmp_path_factory):
    """The grid of label 2 and its `.doh` file."""
    grid = VoxelGrid(two_balls == 2, VoxelLattice.of(two_balls.shape, affine), 2, "ball")
    path = tmp_path_factory.mktemp("ball") / "ball.doh"
    doh3d.compress(grid, latent=200, **_FAST).save(path)
    return grid, path
