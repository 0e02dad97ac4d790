"""`doh3d eval`: a shape against its original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.commands.options import (
    AllowLargeOption,
    DeviceOption,
    JsonOption,
    ResolutionOption,
    limits_for,
)
from doh3d.console import print_json, print_tables, spinner

EXAMPLES = (
    "Examples:  doh3d eval bunny.doh --reference bunny.ply  |  "
    "doh3d eval decimated.ply --reference bunny.ply --protocol grid --grid 160 --json"
)


def evaluate(
    shape: Annotated[Path, typer.Argument(help="A .doh file, or a mesh.")],
    reference: Annotated[Path, typer.Option("--reference", "-r", help="The original mesh.")],
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
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a .doh file, or a mesh, against the original mesh."""
    with spinner("measuring"):
        result = doh3d.evaluate(
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
        sections = {"evaluation": report}
        if sampled is not None:
            floor = sampled.pop("floor")
            sections |= {"from point to point": sampled, "the reference against itself": floor}
        print_tables(f"{shape} against {reference}", sections)
