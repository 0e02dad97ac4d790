"""What the benchmarks measure: `.doh` files, given or made once and kept."""

import sys
from pathlib import Path

import pytest
import torch

import doh3d

# References are scripts too.
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

MESHES = Path(__file__).parents[1] / "meshes"
DEFAULTS = [MESHES / "torus.obj", MESHES / "two_bodies.off"]


def pytest_addoption(parser):
    parser.addoption(
        "--doh", action="append", type=Path, default=[], help="a .doh file; may be repeated"
    )
    parser.addoption("--mesh", type=Path, default=DEFAULTS[0], help="what samples are drawn from")
    parser.addoption(
        "--resolutions", default="128,256", help="cells along the longest side, with commas"
    )


def pytest_generate_tests(metafunc):
    if "mesh_file" in metafunc.fixturenames:
        files = [metafunc.config.getoption("mesh")]
        metafunc.parametrize("mesh_file", files, ids=lambda path: path.stem)
    if "resolution" in metafunc.fixturenames:
        text = metafunc.config.getoption("resolutions")
        metafunc.parametrize("resolution", [int(part) for part in text.split(",")])
    if "doh_file" in metafunc.fixturenames:
        files = metafunc.config.getoption("doh") or DEFAULTS
        metafunc.parametrize("doh_file", files, ids=lambda path: path.stem, indirect=True)


@pytest.fixture(scope="session")
def doh_file(request):
    """Take a `.doh` file as it is; compress a mesh to one, which the cache keeps."""
    if request.param.suffix == ".doh":
        return request.param
    path = request.config.cache.mkdir("doh") / f"{request.param.stem}.doh"
    if not path.exists():
        doh3d.compress(request.param, max_bytes=1000, preset="fast").save(path)
    return path


@pytest.fixture(autouse=True)
def one_thread():
    """Both sides on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
