"""`doh3d eval`: a shape against its original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.commands.loading import loading
from doh3d.commands.options import (
    AllowLargeOption,
    DeviceOption,
    JsonOption,
    LabelOption,
    ResolutionOption,
    ThresholdOption,
    limits_for,
)
from doh3d.console import print_json, print_tables, spinner
from doh3d.errors import ConfigError

EXAMPLES = (
    "Examples:  doh3d eval bunny.doh --reference bunny.ply  |  "
    "doh3d eval decimated.ply --reference bunny.ply --protocol grid --grid 160 --json  |  "
    "doh3d eval liver.doh --reference labels.nii.gz"
)


# Options that only one kind of reference has, and one that only files have.
_OF_MESHES = ("protocol", "grid", "points", "surface", "resolution", "seed")
_OF_GRIDS = ("label", "threshold")
_OF_FILES = ("resolution",)


def evaluate(
    context: typer.Context,
    shape: Annotated[Path, typer.Argument(help="A .doh file, or a mesh.")],
    reference: Annotated[
        Path, typer.Option("--reference", "-r", help="The original: a mesh, or a voxel grid.")
    ],
    protocol: Annotated[str, typer.Option(help="bbox, occnet or grid.")] = "bbox",
    grid: Annotated[
        int | None, typer.Option(help="Points along a side, with --protocol grid.")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Points for IoU.", show_default="2097152; occnet 100000")
    ] = None,
    surface: Annotated[
        str,
        typer.Option(
            help="Distances between the surfaces: exact; or beside these, from samples to samples "
            "as published, occnet or necgs."
        ),
    ] = "exact",
    resolution: ResolutionOption = 256,
    seed: Annotated[int, typer.Option(help="Of the sampled points.")] = 0,
    label: LabelOption = None,
    threshold: ThresholdOption = None,
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a .doh file, or a mesh, against the original mesh.

    Against a voxel grid: Dice, IoU, 95% Hausdorff and mean surface distance at the voxels' centres,
    in the grid's units. Of a label map it is the label that the file says, unless --label is given.

    The surface's chamfer_l1 is the mean distance between the surfaces, in half the reference's
    longest side: 0 is best. f_score and normal_consistency are best at 1. docs/results.md has more.

    draco_bytes is the size of the whole reference in Draco, at 11 bits a coordinate and level 10:
    of nearly the mesh itself, not of what would be as good as the .doh file. It needs the extra
    `peers`.
    """
    from doh3d.files import is_doh_file
    from doh3d.volumes.files import volume_ending

    if volume_ending(reference) is not None:
        _refuse(context, _OF_MESHES, f"meshes; {reference} is a voxel grid")
        _evaluate_grid(shape, reference, label, threshold, device, allow_large, as_json)
        return
    _refuse(context, _OF_GRIDS, f"voxel grids; {reference} is none")
    is_file = is_doh_file(shape)
    if not is_file and shape.is_file():
        _refuse(context, _OF_FILES, f".doh files; {shape} is none")
    with spinner("measuring"):
        with loading():
            measure = doh3d.evaluate
            if is_file:
                # Loads torch, which decodes it.
                doh3d.load  # noqa: B018
        result = measure(
            shape,
            reference,
            protocol=protocol,  # type: ignore[arg-type]
            grid=grid,
            points=points,
            resolution=resolution,
            seed=seed,
            surface=surface,  # type: ignore[arg-type]
            device=device,
            limits=limits_for(allow_large),
        )
    for warning in result.warnings:
        print(f"doh3d: warning: {reference}: {warning}", file=sys.stderr)
    report = result.to_dict()
    if as_json:
        print_json({"file": str(shape), "reference": str(reference)} | report)
    else:
        del report["warnings"]
        sampled = report.pop("point_to_point")
        draco = {name: report.pop(name) for name in ("draco_bytes", "draco_ratio")}
        sections = {"evaluation": report, "the whole reference in Draco, 11 bits, level 10": draco}
        if sampled is not None:
            floor = sampled.pop("floor")
            sections |= {"from point to point": sampled, "the reference against itself": floor}
        print_tables(f"{shape} against {reference}", sections)


def _refuse(context: typer.Context, options: tuple[str, ...], what: str) -> None:
    """Raise ConfigError where one of these options was given, which are for something else."""
    for name in options:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ConfigError(f"--{name} is for {what}")


def _evaluate_grid(
    shape: Path,
    reference: Path,
    label: int | None,
    threshold: float | None,
    device: str,
    allow_large: bool,
    as_json: bool,
) -> None:
    with spinner("measuring"):
        result = doh3d.evaluate_volume(
            shape,
            reference,
            label=label,
            threshold=threshold,
            device=device,
            limits=limits_for(allow_large),
        )
    report = result.to_dict()
    if as_json:
        print_json({"file": str(shape), "reference": str(reference)} | report)
    else:
        print_tables(f"{shape} against {reference}", {"at the voxels' centres": report})
