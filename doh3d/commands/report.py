"""`doh3d report`: one page about sweeps, collections or evaluations."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from doh3d.commands.options import JsonOption, check_page_name
from doh3d.console import count_progress, print_json

EXAMPLES = (
    "Examples:  doh3d report sweep -o report.html  |  "
    "doh3d report shapes -o report.html --reference meshes/ --up z  |  "
    "doh3d report evaluations -o report.html --no-pictures"
)


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A folder of doh3d sweep or doh3d batch, one that holds several of these, or "
            "one of JSON files of doh3d eval --json.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")],
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            "-r",
            help="The original mesh, or a folder of them; where they were unless given.",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE.tsv with columns bytes and iou, to draw beside sweeps."),
    ] = None,
    up: Annotated[str, typer.Option(help="The shapes' upright axis: x, y or z.")] = "y",
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    pictures: Annotated[
        bool, typer.Option(help="Show shapes, in pictures and in 3D; needs Open3D.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Make one HTML page with figures, tables, pictures and shapes to turn.

    The page needs nothing else, and no network. Shapes are shown beside their originals, with a
    slider over the sizes of their files.
    """
    started = time.perf_counter()
    check_page_name(output)
    with count_progress("reading", "drawing shapes") as show:
        from doh3d.view.report import write_report

        written = write_report(
            folder,
            output,
            reference=reference,
            baselines=baseline or [],
            up=up,  # type: ignore[arg-type]
            pictures=pictures,
            title=title,
            progress=show,
        )
    for note in written.notes:
        print(f"doh3d: warning: {note}", file=sys.stderr)
    if as_json:
        print_json(written.to_dict() | {"seconds": time.perf_counter() - started})
    else:
        seconds = time.perf_counter() - started
        print(
            f"{output}: {', '.join(written.sections)}; {_counted(written.rows, 'row')}, "
            f"{_counted(written.shapes, 'shape')}, {written.bytes / 1e6:.1f} MB, {seconds:.1f} s"
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
