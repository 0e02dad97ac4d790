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
    "doh3d decompress bunny.doh -o fine.glb --resolution 512  |  "
    "doh3d decompress part.doh -o part.ply --method dual --normals"
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
    method: Annotated[
        str,
        typer.Option(
            help="marching-cubes; or dual, with vertices where the field's tangent planes meet: "
            "sharper creases with as many triangles."
        ),
    ] = "marching-cubes",
    normals: Annotated[
        bool, typer.Option("--normals", help="Write the field's normals, into PLY and GLB.")
    ] = False,
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Extract a closed mesh from a .doh file, in the original's units."""
    from doh3d.geometry.export import check_mesh_output, check_normals_output, save_mesh
    from doh3d.geometry.lattice import as_method

    output = output_for(file, output, ".ply", force=force)
    check_mesh_output(output)
    if normals:
        check_normals_output(output)
    as_method(method)
    started = time.perf_counter()
    with spinner(f"extracting at {resolution}"):
        field = doh3d.load(file, device, limits=limits_for(allow_large))
        mesh = field.to_mesh(resolution, method=as_method(method), normals=normals)
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
