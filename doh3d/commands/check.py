"""`doh3d check`: whether a mesh can be used, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from doh3d.commands.options import JsonOption
from doh3d.console import print_json, print_tables, spinner
from doh3d.errors import MeshError

EXAMPLES = "Examples:  doh3d check bunny.ply  |  doh3d check scan.stl --json | jq .contents"


def check(
    mesh: Annotated[Path, typer.Argument(help="PLY, OBJ, STL, OFF, GLB, glTF or 3MF.")],
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a mesh, what is repaired, and how its inside is decided.

    Nothing is fitted or written. Exits with status 2, and the reason, where no shape can be made
    of the file.

    Sizes, area and volume are in the file's units. `thickness` is the mean one, as a share of the
    longest side; `fill` is the share of the bounding box that is inside. Of what is inside,
    `unclear` is the share that is a guess, `overlap` that lies in several bodies, `undecided` that
    nothing tells, and `difference` what the repair changes: 0 is best.
    """
    from doh3d.geometry.inspection import inspect_mesh

    with spinner("looking"):
        found = inspect_mesh(mesh)
    report = found.to_dict()
    if as_json:
        print_json(report)
    if found.reason:
        raise MeshError(found.reason)
    if not as_json:
        sections: dict[str, Any] = {
            "format": found.format,
            "in the file": report["contents"],
            "shape": report["shape"] | {key: list(report["shape"][key]) for key in _TRIPLES},
        }
        print_tables(str(mesh), sections)
        for note in (*found.notes, found.inside):
            print(f"- {note}")


_TRIPLES = ("size", "centre")
