"""Build the site: docs/, with commands, API, figures' tables and the top's pages put beside it.

Commands and API are generated from the code at every build, so that they cannot fall behind it.
Warnings, such as of a link that leads nowhere, are errors.

usage: python scripts/build_docs.py [FOLDER]    (build/docs unless given)
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import typer
from sphinx.cmd.build import build_main
from typer.cli import get_docs_for_click

import doh3d
from doh3d.cli import app
from doh3d.view.camera import Camera
from doh3d.view.page import write_page

ROOT = Path(__file__).parents[1]
# Pages of the repository's top, by their name in the site.
TOP = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}

NAVIGATION = {
    "Using it": [
        "quickstart",
        "commands",
        "api",
        "fields",
        "meshes",
        "collections",
        "images",
        "volumes",
        "viewing",
        "browser",
        "interop",
    ],
    "How good, how fast": ["results", "speed"],
    "Inside": [
        "how-it-works",
        "map",
        "format",
        "implementers",
        "security",
        "notebook",
        "contributing",
        "changelog",
    ],
}

# The public names by what one does with them; every one is in some group.
API = {
    "Shapes": ["compress", "CompressedShape", "load", "OccupancyField", "fit_many", "FitProgress"],
    "What fields give": ["RayHits", "FieldSlice"],
    "Meshes": ["load_mesh", "register_trimesh"],
    "Voxel grids": ["VoxelGrid", "load_volume", "save_volume"],
    "Measuring": ["evaluate", "Evaluation", "evaluate_volume", "VolumeEvaluation"],
    "Collections": ["ShapeSet"],
    "Images": [
        "compress_image",
        "CompressedImage",
        "load_image",
        "ImageField",
        "evaluate_image",
        "ImageEvaluation",
    ],
    "Limits and errors": [
        "Limits",
        "Doh3dError",
        "MeshError",
        "ImageError",
        "VolumeError",
        "FormatError",
        "ConfigError",
        "TargetError",
    ],
}


def main() -> int:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        put_together(source)
        # The whole site each time, since it takes seconds, and nothing stays that has gone.
        shutil.rmtree(output, ignore_errors=True)
        options = ["-b", "html", "-d", f"{folder}/doctrees", "-q", "-W", "--keep-going"]
        status = build_main([*options, str(source), str(output)])
        put_live_pages(output)
        return status


def put_live_pages(output: Path) -> None:
    """Put the page that docs/browser.md shows beside it."""
    (output / "live").mkdir(exist_ok=True)
    camera = Camera(azimuth_deg=-70, up="z")
    write_page(
        [ROOT / "docs" / "bunny.doh"],
        output / "live" / "bunny.html",
        title="The Stanford bunny",
        camera=camera,
    )


def put_together(source: Path) -> None:
    shutil.copytree(ROOT / "docs", source)
    shutil.copytree(ROOT / "results", source / "results")
    for name, top in TOP.items():
        shutil.copy(ROOT / top, source / name)
    (source / "commands.md").write_text(commands_page(), encoding="utf-8")
    (source / "api.md").write_text(api_page(), encoding="utf-8")
    for page in source.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        # In the repository results/ lies beside docs/, in the site below it.
        text = text.replace("](../results/", "](results/").replace("](docs/", "](")
        page.write_text(text, encoding="utf-8")
    pages = {page for part in NAVIGATION.values() for page in part}
    missing = {page.stem for page in source.glob("*.md")} - pages - {"index"}
    # A page without a place is found all the same.
    parts = NAVIGATION | ({"More": sorted(missing)} if missing else {})
    index = source / "index.md"
    trees = "".join(toctree(caption, part) for caption, part in parts.items())
    index.write_text(index.read_text(encoding="utf-8") + trees, encoding="utf-8")


def toctree(caption: str, pages: list[str]) -> str:
    listed = "\n".join(pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def commands_page() -> str:
    """Give the commands as typer documents them, examples set apart, a line each."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="doh3d")
    text = text.replace("# `doh3d`\n", "# Commands\n", 1)

    def examples(match: re.Match[str]) -> str:
        lines = "\n".join(f"$ {each.strip()}" for each in match[1].split("  |  "))
        return f"**Examples**:\n\n```console\n{lines}\n```"

    return re.sub(r"^Examples?:  (.*)$", examples, text, flags=re.MULTILINE)


def api_page() -> str:
    grouped = [name for names in API.values() for name in names]
    if sorted([*grouped, "__version__"]) != sorted(doh3d.__all__):
        sys.exit("scripts/build_docs.py: API does not name the public names, each once")
    lines = [
        "# Python",
        "",
        "`import doh3d` loads none of torch, trimesh or Open3D: what is used loads them.",
    ]
    for title, names in API.items():
        lines += ["", f"## {title}", ""]
        for name in names:
            lines += ["```{eval-rst}", *directive(name), "```", ""]
    return "\n".join(lines)


def directive(name: str) -> list[str]:
    thing = getattr(doh3d, name)
    if not isinstance(thing, type):
        return [f".. autofunction:: doh3d.{name}"]
    kind = "exception" if issubclass(thing, Exception) else "class"
    members = [] if kind == "exception" else ["   :members:", "   :inherited-members:"]
    return [f".. auto{kind}:: doh3d.{name}", *members]


if __name__ == "__main__":
    sys.exit(main())
