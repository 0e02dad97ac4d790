"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from doh3d.errors import ConfigError
from doh3d.limits import DEFAULT_LIMITS, Limits

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
AllowLargeOption = Annotated[
    bool,
    typer.Option(
        "--allow-large",
        help="Decode files beyond the default limits, up to the format's own (docs/security.md).",
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Without --output: write over a file that is there.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
ResolutionOption = Annotated[
    int, typer.Option(help="Cells along the domain's longest side when extracting, 8 to 1024.")
]
AzimuthOption = Annotated[
    float,
    typer.Option(help="Angle of the camera around the vertical axis, in degrees."),
]
ElevationOption = Annotated[
    float, typer.Option(help="Angle of the camera above the horizon, -90 to 90 degrees.")
]
UpOption = Annotated[str, typer.Option(help="The vertical axis: x, y or z.")]


def limits_for(allow_large: bool) -> Limits:
    """Limits that --allow-large stands for."""
    return Limits.of_format() if allow_large else DEFAULT_LIMITS


def output_for(source: Path, output: Path | None, suffix: str, *, force: bool) -> Path:
    """Return the file to write: `output`, or the source's name with another ending beside it.

    Raises
    ------
    ConfigError
        If it is the source itself; or, `output` not being given, it is there and `force` is not.
    """
    if output is None:
        # What has no name is no file, as whoever reads it will say.
        output = source.with_suffix(suffix) if source.name else source / f"out{suffix}"
        if output == source:
            raise ConfigError(
                f"{source}: ends in {suffix} as the file to write would; name that with --output"
            )
        if os.path.lexists(output) and not force:
            raise ConfigError(
                f"{output}: is there already; name another file with --output, or write over it "
                "with --force"
            )
    if source.exists() and output.exists() and output.samefile(source):
        raise ConfigError(f"{output}: is the input itself; name another file to write")
    return output
