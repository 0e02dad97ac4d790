"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from doh3d.limits import DEFAULT_LIMITS, Limits

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
AllowLargeOption = Annotated[
    bool,
    typer.Option(
        "--allow-large",
        help="Decode files beyond the default limits, up to the format's own (docs/security.md).",
    ),
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
