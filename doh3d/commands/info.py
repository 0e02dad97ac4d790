"""`doh3d info`: what a .doh file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doh3d.commands.options import AllowLargeOption, JsonOption, check_doh_files, limits_for
from doh3d.console import print_json, print_tables

EXAMPLES = "Example:  doh3d info bunny.doh --json | jq .sizes"


def info(
    file: Annotated[Path, typer.Argument(help="A .doh file.")],
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a .doh file holds, and the size of every part."""
    from doh3d.codec.inspection import describe_file

    check_doh_files([file])
    report = describe_file(file, limits_for(allow_large))
    if as_json:
        print_json(report)
    else:
        print_tables(str(file), report)
