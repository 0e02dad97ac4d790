"""`doh3d batch-export`: a dataset back to meshes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from doh3d.commands.batch import SOME_FAILED
from doh3d.commands.engines import ENGINE, EngineOptions
from doh3d.commands.options import (
    AllowLargeOption,
    DeviceOption,
    JsonOption,
    ResolutionOption,
    limits_for,
    with_groups,
)
from doh3d.console import batch_progress, print_json
from doh3d.errors import ConfigError

EXAMPLES = (
    "Examples:  doh3d batch-export shapes -o meshes  |  "
    "doh3d batch-export shapes -o meshes --pattern 'cars/*' --format glb --resolution 128"
)


@with_groups(engine=ENGINE)
def batch_export(
    dataset: Annotated[str, typer.Argument(help="A dataset's folder, or its URL.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the files.")],
    format_: Annotated[
        str, typer.Option("--format", help="ply, obj, stl, off, glb, or doh for the files as such.")
    ] = "ply",
    pattern: Annotated[
        str | None, typer.Option(help="Only shapes whose id matches, such as 'cars/*'.")
    ] = None,
    resolution: ResolutionOption = 256,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave files that are there as they are.")
    ] = False,
    *,
    engine: EngineOptions,
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the shapes of a dataset to files, each named by its id.

    Exits with status 4 where some could not be written.
    """
    from doh3d.dataset.export import FORMATS, ExportTask, export
    from doh3d.geometry.lattice import check_resolution

    if format_ not in FORMATS:
        raise ConfigError(f"format is {format_!r}; it must be one of {', '.join(FORMATS)}")
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is not a folder; name one for the files")
    check_resolution(resolution)
    runner = engine.make(device)
    task = ExportTask(output.resolve(), format_, resolution, device, limits_for(allow_large))
    with closing(runner), batch_progress() as show:
        summary = export(
            dataset, task, runner, pattern=pattern, skip_existing=skip_existing, watch=show
        )
    if as_json:
        print_json(summary.to_dict() | {"output": str(output)})
    else:
        skipped = f", {summary.skipped} were there" if summary.skipped else ""
        print(f"{output}: {summary.written} files written{skipped}, {summary.failed} failed")
        for failure in summary.failures:
            print(f"- {failure}")
    if summary.failed:
        raise typer.Exit(SOME_FAILED)
