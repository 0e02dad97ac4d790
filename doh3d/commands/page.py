"""`doh3d page`: .doh files as one page for any browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doh3d.commands.options import (
    AzimuthOption,
    ElevationOption,
    ForceOption,
    JsonOption,
    ResolutionOption,
    UpOption,
    check_doh_files,
    output_for,
)
from doh3d.console import print_json

EXAMPLES = (
    "Examples:  doh3d page bunny.doh -o bunny.html  |  "
    'doh3d page small.doh large.doh -o both.html --up z --title "Two sizes"'
)


def page(
    files: Annotated[
        list[Path],
        typer.Argument(help="One or more .doh files of shapes or images.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The HTML file to write.",
            show_default="the first file's name, beside it",
        ),
    ] = None,
    force: ForceOption = False,
    title: Annotated[
        str | None, typer.Option(help="Of the page.", show_default="the first file's name")
    ] = None,
    azimuth: AzimuthOption = 20.0,
    elevation: ElevationOption = 15.0,
    up: UpOption = "y",
    resolution: ResolutionOption = 128,
    as_json: JsonOption = False,
) -> None:
    """Make one HTML page that holds .doh files, decodes them in the browser and shows them.

    The page needs nothing else, and no network: it may be mailed, or put on any server.
    """
    from doh3d.view.camera import Camera
    from doh3d.view.page import write_page

    camera = Camera(azimuth, elevation, up)  # type: ignore[arg-type]
    check_doh_files(files)
    output = output_for(files[0], output, ".html", force=force)
    written = write_page(
        files,
        output,
        title=title,
        camera=camera,
        resolution=resolution,
    )
    if as_json:
        print_json(written.to_dict())
    else:
        count = f"{written.files} file{'s' * (written.files != 1)}"
        print(f"{output}: {count}, {written.bytes:,} bytes")
