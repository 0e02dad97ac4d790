"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
ResolutionOption = Annotated[
    int, typer.Option(help="Cells along the domain's longest side when extracting, 8 to 1024.")
]
