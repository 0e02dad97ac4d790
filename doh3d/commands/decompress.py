"""`doh3d decompress`: a .doh file to a mesh, or files to a voxel grid."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

import doh3d
from doh3d.commands.grids import GridChoice, write_grid
from doh3d.commands.loading import loading
from doh3d.commands.options import (
    AllowLargeOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    check_doh_files,
    limits_for,
    output_for,
)
from doh3d.console import print_json, spinner
from doh3d.errors import ConfigError

EXAMPLES = (
    "Examples:  doh3d decompress bunny.doh -o back.ply  |  "
    "doh3d decompress bunny.doh -o fine.glb --resolution 512  |  "
    "doh3d decompress part.doh -o part.ply --method dual --normals  |  "
    "doh3d decompress liver.doh -o mask.nii.gz  |  "
    "doh3d decompress liver.doh spleen.doh -o labels.nii.gz --like scan.nii.gz"
)


def decompress(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="A .doh file; several for one label map.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The mesh to write: .ply .obj .stl .off .glb; or the voxel grid: .nii .nii.gz "
            ".nrrd .npy .npz",
            show_default="the file's name with .ply, beside it",
        ),
    ] = None,
    force: ForceOption = False,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Cells along the domain's longest side when extracting, 8 to 1024.",
            show_default="256; of a voxel grid the file's own",
        ),
    ] = None,
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
    like: Annotated[
        Path | None, typer.Option(help="Of a voxel grid: on the lattice of this one.")
    ] = None,
    spacing: Annotated[
        float | None, typer.Option(help="Of a voxel grid: the side of cubic voxels.")
    ] = None,
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Extract a closed mesh from a .doh file, in the original's units; or evaluate a voxel grid.

    A grid lies on the lattice that the file was made from, unless --like, --spacing or --resolution
    says another. Of several files a voxel that two have inside goes to the one whose logit is
    larger there.
    """
    from doh3d.geometry.export import check_mesh_output, check_normals_output, save_mesh
    from doh3d.geometry.lattice import as_method
    from doh3d.volumes.files import volume_ending

    check_doh_files(files)
    file = files[0]
    output = output_for(file, output, ".ply", force=force)
    started = time.perf_counter()
    if volume_ending(output):
        from doh3d.volumes.writing import check_volume_output

        choice = GridChoice(like, spacing, resolution)
        check_volume_output(output)
        if normals or as_method(method) != "marching-cubes":
            what = "--normals" if normals else "--method"
            raise ConfigError(f"{output}: is a voxel grid; {what} is for a mesh, such as out.ply")
        with spinner("evaluating"):
            fields = [doh3d.load(each, device, limits=limits_for(allow_large)) for each in files]
            report = write_grid(files, output, choice, fields)
        _print_grid(report | {"seconds": time.perf_counter() - started}, as_json)
        return
    if len(files) > 1 or like is not None or spacing is not None:
        what = "several files" if len(files) > 1 else "--like and --spacing"
        raise ConfigError(f"{output}: is a mesh; {what} are for a voxel grid, such as out.nii.gz")
    check_mesh_output(output)
    if normals:
        check_normals_output(output)
    extraction = as_method(method)
    resolution = 256 if resolution is None else resolution
    with spinner(f"extracting at {resolution}"):
        with loading():
            load = doh3d.load
        field = load(file, device, limits=limits_for(allow_large))
        mesh = field.to_mesh(resolution, method=extraction, normals=normals)
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


def _print_grid(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    sides = " x ".join(map(str, report["shape"]))
    spacing = " x ".join(f"{side:g}" for side in report["spacing"])
    labels = f", {len(report['labels'])} labels" if "labels" in report else ""
    print(
        f"{report['output']}: {sides} voxels of {spacing}, {report['voxels']} inside{labels}, "
        f"{report['bytes']} bytes, {report['seconds']:.1f} s"
    )
