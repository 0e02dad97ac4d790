"""`doh3d view`: a window with .doh files beside their original."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from doh3d.commands.options import (
    AllowLargeOption,
    AzimuthOption,
    DeviceOption,
    ElevationOption,
    ResolutionOption,
    UpOption,
    limits_for,
)
from doh3d.console import spinner
from doh3d.errors import ConfigError

EXAMPLES = (
    "Examples:  doh3d view bunny.doh  |  doh3d view bunny.doh bunny.ply --heatmap  |  "
    "doh3d view small.doh large.doh bunny.ply --resolution 128"
)


def view(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="One or more .doh files, and the mesh or grid to compare them with, if any.",
            show_default=False,
        ),
    ],
    resolution: ResolutionOption = 256,
    heatmap: Annotated[
        bool, typer.Option("--heatmap", help="Start with colours that tell the distances.")
    ] = False,
    azimuth: AzimuthOption = 20.0,
    elevation: ElevationOption = 15.0,
    up: UpOption = "y",
    screenshots: Annotated[Path, typer.Option(help="The folder for screenshots.")] = Path("."),
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
) -> None:
    """Open a window with .doh files and their original side by side.

    Drag to turn all of them, scroll to come nearer. Keys: Space all or each alone, H heatmap of
    the distances, W wireframe, + and - resolution, S screenshot, R reset the camera, Q quit.
    Needs a screen; `doh3d render` does not.
    """
    from doh3d.view.camera import Camera
    from doh3d.view.viewer import Task, check_screen, show

    camera = Camera(azimuth, elevation, up)  # type: ignore[arg-type]
    if not screenshots.is_dir():
        raise ConfigError(f"{screenshots}: is no folder; name one for screenshots")
    check_screen()
    with ExitStack() as waiting:
        waiting.enter_context(spinner(f"extracting at {resolution}"))
        # Loaded only here, with the spinner to look at: it takes seconds.
        from doh3d.view.comparison import load_comparison

        comparison = load_comparison(files, device, limits=limits_for(allow_large))
        if heatmap and comparison.reference is None:
            raise ConfigError("--heatmap needs the original mesh; name it beside the .doh files")
        meshes = comparison.extract(resolution)
        if not any(len(mesh.faces) for mesh in meshes):
            raise ConfigError(
                f"{files[0]}: nothing to see at resolution {resolution}; try a higher one"
            )
        task = Task(comparison, meshes, resolution, camera, heatmap, screenshots)
        show(task, opened=waiting.close)
