"""`doh3d decompress`: a .doh file to a mesh."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.commands.options import (
    AllowLargeOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    ResolutionOption,
    limits_for,
    output_for,
)
from doh3d.console import print_json, spinner
from doh3d.errors import ConfigError

EXAMPLES = (
    "Examples:  doh3d decompress bunny.doh -o back.ply  |  "
    "doh3d decompress bunny.doh -o fine.glb --resolution 512"
)


def decompress(
    file: Annotated[Path, typer.Argument(help="A .doh file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The mesh to write: .ply .obj .stl .off .glb",
            show_default="the file's name with .ply, beside it",
        ),
    ] = None,
    force: ForceOption = False,
    resolution: ResolutionOption = 256,
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Extract a closed mesh from a .doh file, in the original's units."""
    from doh3d.geometry.export import check_mesh_output, save_mesh

    output = output_for(file, output, ".ply", force=force)
    check_mesh_output(output)
    started = time.perf_counter()
    with spinner(f"extracting at {resolution}"):
        mesh = doh3d.load(file, device, limits=limits_for(allow_large)).to_mesh(resolution)
        if len(mesh.faces) == 0:
            raise ConfigError(
                f"{file}: nothing to extract at resolution {resolution}; try a higher one"
            )
        save_mesh(mesh, output)
    report = {
        "output": str(output),
        "bytes": output.stat().st_size,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "resolution": resolution,
        "seconds": time.perf_counter() - started,
    }
    if as_json:
        print_json(report)
    else:
        print(
            f"{output}: {report['vertices']} vertices, {report['faces']} faces, "
            f"{report['seconds']:.1f} s"
        )
