"""The rules of who may import whom, and what importing costs."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import doh3d

PACKAGE = Path(__file__).parents[1] / "doh3d"

# The layout: every layer, from the bottom up, with the layers that it may import, at the head of
# a module or in a function. A layer is a folder or a module.
BOTTOM = {"errors", "limits", "files", "devices", "thread_team", "open3d_import", "late_module"}
DECODING = BOTTOM | {"geometry", "hypernetwork", "codec"}
LAYERS = {
    "errors": set(),
    "interrupts": set(),
    "late_module": set(),
    "interop": set(),
    "limits": {"errors"},
    "files": {"errors"},
    "devices": {"errors"},
    "open3d_import": {"errors"},
    "thread_team": {"errors", "devices"},
    "kernels": set(),
    "geometry": BOTTOM,
    "hypernetwork": BOTTOM | {"kernels"},
    "codec": BOTTOM | {"geometry", "hypernetwork"},
    # What draws a mesh and nothing else, and what a field shows of itself in other programs.
    "drawing": BOTTOM | {"geometry"},
    "interop/open3d_mesh": BOTTOM | {"geometry"},
    "interop/notebook": BOTTOM | {"drawing"},
    "operations": DECODING,
    "field_lattice": DECODING,
    "field": DECODING | {"field_lattice", "operations", "interop/open3d_mesh", "interop/notebook"},
    "volumes": BOTTOM | {"geometry"},
    "images": DECODING | {"field"},
    "evaluation": DECODING | {"field", "volumes", "images"},
    "options": {"errors", "hypernetwork"},
    "fitting": BOTTOM | {"options", "kernels", "hypernetwork", "codec"},
    "signals": DECODING | {"options", "field", "volumes", "images", "evaluation", "fitting"},
    "api": DECODING
    | {"options", "field", "volumes", "images", "evaluation", "fitting", "signals"}
    | {"interop/notebook"},
}
WHOLE = set(LAYERS) - {"drawing", "interop/open3d_mesh", "interop/notebook"}
LAYERS |= {
    "interop/trimesh_formats": WHOLE,
    "sweep": WHOLE,
    "dataset": WHOLE,
    "view": WHOLE - {"fitting", "signals"} | {"drawing", "sweep", "dataset"},
    "console": {"errors"},
    "commands": WHOLE | {"sweep", "dataset", "view", "drawing", "console"},
    "cli": {"errors", "interrupts", "commands"},
    "__main__": {"cli"},
    "__init__": {"errors"},
}
# Modules that belong to another layer than their folder.
ELSEWHERE = {
    f"view/{name}": "drawing" for name in ("camera", "shading", "stage", "raycast", "thumbnail")
}

WITHOUT_TORCH = [
    "codec",
    "geometry",
    "evaluation",
    "sweep",
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


def imported(module):
    """Absolute names that a module imports anywhere in its text but under TYPE_CHECKING."""
    names = set()

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            # A public name of the package, which comes from where it lives.
            names.update({f"doh3d.{node.attr}"} if node.value.id == "doh3d" else ())
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse((PACKAGE / module).read_text()))
    return names


def under(module, folders):
    return any(module == folder or module.startswith(f"{folder}/") for folder in folders)


def layer_of(module):
    """Find the layer of a module, given by its path in the package."""
    parts = Path(module).with_suffix("").parts
    places = ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
    found = [ELSEWHERE.get(place, place) for place in places]
    return next((layer for layer in found if layer in LAYERS), None)


def path_of(name):
    """Find the module that an absolute name is, or is in; None outside the package."""
    first, *parts = name.split(".")
    if first != "doh3d":
        return None
    if parts and parts[0] in doh3d._HOMES:
        # The package's public names are imported when they are used.
        return path_of(doh3d._HOMES[parts[0]])
    for end in range(len(parts), 0, -1):
        place = PACKAGE.joinpath(*parts[:end])
        if place.with_suffix(".py").exists():
            return place.with_suffix(".py").relative_to(PACKAGE).as_posix()
        if place.is_dir():
            return place.relative_to(PACKAGE).joinpath("__init__.py").as_posix()
    return None


def misplaced(module, names):
    """Say which of the names that a module imports are not for its layer."""
    layer = layer_of(module)
    if layer is None:
        return [f"doh3d/{module} belongs to no layer"]
    found = []
    for name in sorted(names):
        path = path_of(name)
        if path is None:
            continue
        other = layer_of(path)
        if other != layer and other not in LAYERS[layer]:
            found.append(f"doh3d/{module} imports {name}: {layer} must not need {other}")
    return found


@pytest.mark.parametrize("module", modules())
def test_each_layer_imports_what_lies_below_it(module):
    assert misplaced(module, imported(module)) == []


def test_the_layers_lie_one_above_the_other():
    below = set()
    for layer, needed in LAYERS.items():
        assert needed <= below, f"{layer} needs {needed - below}, which lie above it"
        below.add(layer)


@pytest.mark.parametrize(
    ("module", "name", "said"),
    [
        ("field.py", "doh3d.view.comparison", "field must not need view"),
        ("codec/container.py", "doh3d.field", "codec must not need field"),
        ("evaluation/image.py", "doh3d.compress", "evaluation must not need api"),
        ("evaluation/image.py", "doh3d.fitting.compress.compress", "must not need fitting"),
        ("files.py", "doh3d.limits.Limits", "files must not need limits"),
        ("interop/notebook.py", "doh3d.field", "interop/notebook must not need field"),
        ("elsewhere/new.py", "doh3d.errors", "belongs to no layer"),
    ],
)
def test_what_is_misplaced_is_named(module, name, said):
    (line,) = misplaced(module, {name})
    assert line.startswith(f"doh3d/{module} ")
    assert line.endswith(said)


@pytest.mark.parametrize("module", modules())
def test_what_is_heavy_or_apart_is_imported_where_it_is_used(module):
    names = imported(module)

    def uses(package):
        return any(name == package or name.startswith(f"{package}.") for name in names)

    if under(module, WITHOUT_TORCH) and module not in WITH_TORCH:
        assert not uses("torch"), "container, coder and geometry work without torch"
    if not under(module, ["view", "open3d_import.py"]):
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
        "compress a.ply -o a.doh",
        "eval a.doh -r a.ply",
        "batch a.ply -o set --workers 1",
        "image compress a.png -o a.doh",
        *(
            pytest.param(command, marks=pytest.mark.slow)
            for command in (
                "check a.ply",
                "decompress a.doh -o a.ply",
                "view a.doh a.ply",
                "render a.doh a.ply -o a.png --heatmap",
                "sweep a.ply -o swept",
                "report . -o report.html",
                "batch-export set -o meshes --workers 1",
                "image decompress a.doh -o a.png",
                "image eval a.doh -r a.png",
            )
        ),
    ],
)
def test_what_takes_seconds_to_load_is_loaded_with_a_sign_of_it(command, tmp_path):
    for name in ("a.ply", "a.doh", "a.png"):
        (tmp_path / name).touch()
    (tmp_path / "a.ply").write_text("ply")
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


def test_what_a_command_loads_is_not_searched_for_garbage():
    code = """
import gc
from doh3d.commands.loading import loading
with loading():
    enabled = gc.isenabled()
    loaded = [[] for _ in range(10_000)]
made = [[] for _ in range(100)]
print(enabled, gc.isenabled(), gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 10_000)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "True", "True", "True"]


def test_where_nobody_collects_garbage_nobody_does_after_loading():
    # Once in another process, since what is loaded here would be frozen.
    code = """
import gc
from doh3d.commands.loading import loading
gc.disable()
with loading():
    pass
print(gc.isenabled())
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False"]


@pytest.mark.slow
def test_eval_loads_torch_where_nobody_looks_for_garbage(torus_files):
    code = """
import sys
from doh3d import cli
from doh3d.commands import evaluate

class Loading:
    def __enter__(self):
        print("torch" in sys.modules)
    def __exit__(self, *_):
        print("torch" in sys.modules)

evaluate.loading = Loading
cli.main()
"""
    mesh, file = torus_files
    options = ["--points", "256", "--resolution", "16"]
    result = subprocess.run(
        [sys.executable, "-c", code, "eval", str(file), "-r", str(mesh), *options],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split()[:2] == ["False", "True"]


@pytest.mark.slow
def test_what_a_command_loads_goes_when_it_ends():
    code = """
import numpy as np
from doh3d.commands.loading import loading
def command():
    with loading():
        import doh3d.signals.grid
        from doh3d.geometry.reading import read_shape
    # Some of the modules keep these variables, and libigl counts what is left of its own.
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    reading = read_shape((corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])))
    assert reading.inside([[0.1, 0.1, 0.1]]).all()
command()
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["picture", "viewer", "comparison"])
def test_what_draws_is_loaded_where_it_draws(module):
    loaded = loaded_after(f"import doh3d.view.{module}")
    assert not {"open3d", "matplotlib", "PIL.ImageDraw", "plotly"} & loaded


def test_every_public_name_is_there():
    assert set(doh3d.__all__) == set(dir(doh3d))
    for name in doh3d.__all__:
        assert getattr(doh3d, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'decompose'"):
        doh3d.decompose  # noqa: B018


def annotated(name):
    """A public name, and the methods and properties of a public class."""
    found = getattr(doh3d, name)
    if callable(found):
        yield found
    if inspect.isclass(found):
        for attribute, value in inspect.getmembers(found):
            function = value.fget if isinstance(value, property) else value
            function = getattr(function, "__func__", function)
            if inspect.isfunction(function) and not attribute.startswith("_"):
                yield function


@pytest.mark.parametrize("name", doh3d.__all__)
def test_annotations_can_be_read_though_what_they_name_is_loaded_late(name):
    for found in annotated(name):
        hints = get_type_hints(found)
        assert inspect.isclass(found) or "return" in hints, found
