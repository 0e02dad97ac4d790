"""`doh3d render`: a picture of .doh files beside their original."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from doh3d.commands.options import (
    AllowLargeOption,
    AzimuthOption,
    DeviceOption,
    ElevationOption,
    ForceOption,
    JsonOption,
    ResolutionOption,
    UpOption,
    limits_for,
    output_for,
)
from doh3d.console import print_json, spinner
from doh3d.errors import ConfigError

EXAMPLES = (
    "Examples:  doh3d render bunny.doh bunny.ply -o bunny.png  |  "
    "doh3d render small.doh large.doh bunny.ply -o both.png --heatmap --size 1600x600"
)

# Pixels of each shape's square unless a size is given.
_SIDE = 600


def render(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="One or more .doh files, and the mesh or grid to compare them with, if any.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The PNG to write.",
            show_default="the first file's name, beside it",
        ),
    ] = None,
    force: ForceOption = False,
    size: Annotated[
        str | None,
        typer.Option(
            help="WIDTHxHEIGHT of the picture in pixels, or one number for each shape.",
            show_default=f"{_SIDE}, less for many shapes",
        ),
    ] = None,
    heatmap: Annotated[
        bool, typer.Option("--heatmap", help="Colours tell the distance to the original mesh.")
    ] = False,
    range_percent: Annotated[
        float | None,
        typer.Option(
            "--range",
            help="Where the heatmap's colours end, in % of the original's longest side.",
            show_default="follows the distances",
        ),
    ] = None,
    resolution: ResolutionOption = 256,
    azimuth: AzimuthOption = 20.0,
    elevation: ElevationOption = 15.0,
    up: UpOption = "y",
    renderer: Annotated[
        str, typer.Option(help="open3d, or raycast: the same without a graphics driver.")
    ] = "open3d",
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw .doh files and their original side by side into a PNG; no screen is needed."""
    from doh3d.files import check_output
    from doh3d.view.camera import Camera
    from doh3d.view.picture import MAX_SIDE, check_renderer, draw_picture

    started = time.perf_counter()
    output = output_for(files[0], output, ".png", force=force)
    check_output(output)
    if output.suffix.lower() != ".png":
        raise ConfigError(f"{output}: pictures are written as PNG; name a .png")
    camera = Camera(azimuth, elevation, up)  # type: ignore[arg-type]
    check_renderer(renderer)
    if range_percent is not None and not heatmap:
        raise ConfigError("--range is for --heatmap; leave it out, or add that")
    if range_percent is not None and not 0 < range_percent <= 100:
        raise ConfigError(f"range is {range_percent}; it must be more than 0, at most 100 percent")
    side = None if size is None else _parse_size(size)
    with spinner("drawing"):
        # Loaded only here, with the spinner to look at: it takes seconds.
        from doh3d.view.comparison import Heat, load_comparison
        from doh3d.view.heatmap import SignedDistance

        comparison = load_comparison(files, device, limits=limits_for(allow_large))
        if heatmap and comparison.reference is None:
            raise ConfigError("--heatmap needs the original mesh; name it beside the .doh files")
        count = len(comparison.reconstructions) + (comparison.reference is not None)
        if side is None:
            side = min(_SIDE, MAX_SIDE // count)
        width, height = side if isinstance(side, tuple) else (side * count, side)
        meshes = comparison.extract(resolution)
        heat = None
        if heatmap:
            assert comparison.reference is not None
            heat = Heat.of(SignedDistance(comparison.reference.mesh), meshes, range_percent)
        draw_picture(
            comparison.panels(meshes, heat),
            output,
            size=(width, height),
            camera=camera,
            range_percent=None if heat is None else heat.range_percent,
            renderer=renderer,  # type: ignore[arg-type]
        )
    seconds = time.perf_counter() - started
    if as_json:
        shapes = [
            each.to_dict() | {"resolution": resolution, "faces": len(mesh.faces)}
            for each, mesh in zip(comparison.reconstructions, meshes, strict=True)
        ]
        reference = comparison.reference
        print_json(
            {
                "output": str(output),
                "width": width,
                "height": height,
                "renderer": renderer,
                "shapes": shapes,
                "reference": reference and {"file": str(reference.path), "bytes": reference.bytes},
                "range_percent": None if heat is None else heat.range_percent,
                "seconds": seconds,
            }
        )
        return
    print(f"{output}: {width} x {height}, {comparison.title}, {seconds:.1f} s")


def _parse_size(text: str) -> tuple[int, int] | int:
    """Width and height, or the side of each shape's square."""
    found = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text, re.ASCII)
    if found is None:
        raise ConfigError(f"size is {text!r}; it must be like 1200x600, or one number such as 600")
    width, height = found.groups()
    return int(width) if height is None else (int(width), int(height))
