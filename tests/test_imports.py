"""The rules of who may import whom, and what importing costs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "doh3d"
DECODING = ["codec", "hypernetwork", "field.py", "images", "limits.py"]
WITHOUT_TORCH = [
    "codec",
    "geometry",
    "evaluation",
    "errors.py",
    "limits.py",
    "files.py",
    "images/files.py",
    "cli.py",
    "commands",
    "dataset",
]
# These load it when they compute.
WITH_TORCH = ["dataset/worker.py"]


def modules():
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imported(module, *, at_runtime_only=True):
    """Absolute names that a module imports anywhere in its text but under TYPE_CHECKING."""
    names = set()

    def visit(node):
        if isinstance(node, ast.If) and at_runtime_only and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse((PACKAGE / module).read_text()))
    return names


def under(module, folders):
    return any(module == folder or module.startswith(f"{folder}/") for folder in folders)


@pytest.mark.parametrize("module", modules())
def test_data_flows_one_way(module):
    names = imported(module)

    def uses(package):
        return any(name == package or name.startswith(f"{package}.") for name in names)

    if under(module, DECODING):
        assert not uses("doh3d.fitting"), "decoding must not need fitting"
        assert not uses("doh3d.evaluation")
    if under(module, WITHOUT_TORCH) and module not in WITH_TORCH:
        assert not uses("torch"), "container, coder and geometry work without torch"
    if not under(module, ["cli.py", "__main__.py", "commands", "view"]):
        assert not uses("doh3d.cli")
        assert not uses("doh3d.commands")
        # What a notebook shows of a shape is a picture.
        assert module == "interop/notebook.py" or not uses("doh3d.view")
    if not under(module, ["view", "evaluation/simplification.py", "interop/open3d_mesh.py"]):
        assert not uses("open3d"), "Open3D is for looking at things"
    if module != "dataset/ray_engine.py":
        assert not uses("ray"), "everything but its engine works without Ray"
    assert not uses("scripts")


def loaded_after(statement):
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import doh3d",
        "import doh3d.cli",
        "import doh3d.codec.inspection",
        "import doh3d.geometry.formats",
        "import doh3d.dataset.local",
    ],
)
def test_nothing_heavy_loads_until_it_is_used(statement):
    loaded = loaded_after(statement)
    heavy = {"torch", "open3d", "trimesh", "scipy", "igl", "pyarrow", "fsspec", "ray"}
    assert not (heavy | {"manifold3d"}) & loaded


# What a command has loaded when it first shows on a terminal that it goes on.
FIRST_SIGN = """
import os, sys, rich.console, rich.progress
from doh3d.cli import main
from doh3d.view import viewer

def stop(*_, **__):
    os.write(1, " ".join(sys.modules).encode())
    os._exit(0)

rich.console.Console.status = rich.progress.Progress.start = stop
# A window needs a screen; whether there is one is not the question here.
viewer.check_screen = lambda: None
main()
"""


@pytest.mark.parametrize(
    "command",
    [
        "check a.ply",
        "compress a.ply -o a.doh",
        "decompress a.doh -o a.ply",
        "eval a.doh -r a.ply",
        "view a.doh a.ply",
        "render a.doh a.ply -o a.png --heatmap",
        "sweep a.ply -o swept",
        "report . -o report.html",
        "batch a.ply -o set --workers 1",
        "batch-export set -o meshes --workers 1",
        "image compress a.png -o a.doh",
        "image decompress a.doh -o a.png",
        "image eval a.doh -r a.png",
    ],
)
def test_what_takes_seconds_to_load_is_loaded_with_a_sign_of_it(command, tmp_path):
    for name in ("a.ply", "a.doh", "a.png"):
        (tmp_path / name).touch()
    result = subprocess.run(
        [sys.executable, "-c", FIRST_SIGN, *command.split()],
        cwd=tmp_path,
        env=os.environ | {"FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rich.console" in result.stdout.split()
    assert not {"torch", "open3d", "ray", "trimesh"} & set(result.stdout.split())


@pytest.mark.parametrize("module", ["picture", "viewer", "comparison"])
def test_what_draws_is_loaded_where_it_draws(module):
    loaded = loaded_after(f"import doh3d.view.{module}")
    assert not {"open3d", "matplotlib", "PIL.ImageDraw", "plotly"} & loaded


def test_every_public_name_is_there():
    import doh3d

    assert set(doh3d.__all__) == set(dir(doh3d))
    for name in doh3d.__all__:
        assert getattr(doh3d, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'decompose'"):
        doh3d.decompose  # noqa: B018
