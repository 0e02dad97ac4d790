"""Options that several commands share."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from doh3d.errors import ConfigError
from doh3d.files import is_doh_file, other_kind
from doh3d.limits import DEFAULT_LIMITS, Limits
from doh3d.options import CompressOptions, SignalKind, options_of

_log = logging.getLogger(__name__)

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
CheckpointOption = Annotated[
    Path | None,
    typer.Option(help="Keep here what the same command goes on from when it was stopped."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
ResolutionOption = Annotated[
    int, typer.Option(help="Cells along the domain's longest side when extracting, 8 to 1024.")
]
LabelOption = Annotated[int | None, typer.Option(help="Of a label map, the voxels of this number.")]
ThresholdOption = Annotated[
    float | None, typer.Option(help="Of a voxel grid, the voxels above this value.")
]
NamesOption = Annotated[
    Path | None,
    typer.Option(help="Table of labels' names: a number and a name a line, or JSON."),
]
AzimuthOption = Annotated[
    float,
    typer.Option(help="Angle of the camera around the vertical axis, in degrees."),
]
ElevationOption = Annotated[
    float, typer.Option(help="Angle of the camera above the horizon, -90 to 90 degrees.")
]
UpOption = Annotated[str, typer.Option(help="The vertical axis: x, y or z.")]


@dataclass(frozen=True)
class Group:
    """Options of a command that stand for one argument.

    Attributes
    ----------
    parameters : list of inspect.Parameter
        As Typer takes them, by keyword only.
    make : callable
        From their values, by name, to the argument.
    """

    parameters: list[inspect.Parameter]
    make: Callable[..., Any]


def with_groups(**groups: Group) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of which some arguments are groups one that has all their options instead."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name in groups:
                parameters += groups[parameter.name].parameters
            else:
                parameters.append(parameter.replace(annotation=hints[parameter.name]))

        def run(**values: Any) -> None:
            for argument, group in groups.items():
                own = {each.name: values.pop(each.name) for each in group.parameters}
                values[argument] = group.make(**own)
            command(**values)

        # Typer looks at these.
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def compress_options(kind: SignalKind) -> Group:
    """Group the options of a compression; `CompressOptions` and `FitConfig` check their values."""
    parameters = []
    for option in options_of(kind):
        # Names to choose from are plain text here.
        type_: Any = str if option.choices else option.plain
        if option.default is None:
            type_ = type_ | None
        told = typer.Option(
            help=option.told.help, show_default=option.told.default_of(kind) or True
        )
        parameters.append(_by_keyword(option.name, Annotated[type_, told], option.default))
    return Group(parameters, CompressOptions)


def group_of(options: type[Any]) -> Group:
    """Group the fields of a dataclass whose types are annotated for Typer."""
    hints = get_type_hints(options, include_extras=True)
    parameters = [_by_keyword(own.name, hints[own.name], own.default) for own in fields(options)]
    return Group(parameters, options)


def _by_keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _stem(source: Path) -> str:
    """Name of a file without its ending, which may have two dots: .nii.gz."""
    from doh3d.volumes.files import volume_ending

    ending = volume_ending(source)
    return source.name[: -len(ending)] if ending else source.stem


def read_names_option(names: Path | None) -> dict[int, str] | None:
    """Read the table that --names stands for."""
    from doh3d.volumes.label_names import read_names

    return None if names is None else read_names(names)


def limits_for(allow_large: bool) -> Limits:
    """Limits that --allow-large stands for."""
    return Limits.of_format() if allow_large else DEFAULT_LIMITS


def check_checkpoint(checkpoint: Path | None, output: Path) -> None:
    """Raise ConfigError where the checkpoint would be the output."""
    if checkpoint is not None and checkpoint.resolve() == output.resolve():
        raise ConfigError(f"{checkpoint}: is the output; name another file for the checkpoint")


def _is_foreign(output: Path) -> bool:
    """Whether the name is that of a mesh, an image or a voxel grid."""
    from doh3d.geometry.formats import SUPPORTED
    from doh3d.volumes.files import volume_ending

    images = (".png", ".webp", ".jpg", ".jpeg")
    return output.suffix.lower() in (*SUPPORTED, *images) or volume_ending(output) is not None


def check_page_name(output: Path) -> None:
    """Raise ConfigError where a page would have, and perhaps replace, a file of another kind."""
    if _is_foreign(output) or output.suffix.lower() == ".doh":
        raise ConfigError(f"{output}: a page would have this name; let it end in .html")


def check_doh_files(files: Sequence[Path]) -> None:
    """Raise ConfigError for a file that has the name of another kind, and holds no .doh file.

    What is missing, or has any other name, is for whoever reads it.
    """
    for number, file in enumerate(files):
        if not _is_foreign(file) or is_doh_file(file) or other_kind(file) is not None:
            continue
        if number == 0 and file.exists():
            raise ConfigError(f"{file}: not a .doh file; such files are made by: compress")
        if number > 0:
            raise ConfigError(f"{file}: not a .doh file; a file to write is named with --output")


def output_for(source: Path, output: Path | None, suffix: str, *, force: bool) -> Path:
    """Return the file to write: `output`, or the source's name with another ending beside it.

    Raises
    ------
    ConfigError
        If it is the source itself; if a .doh file would have the name of a mesh, an image or a
        grid, or a page one of these or that of a .doh file; or, `output` not being given, it is
        there and `force` is not.
    """
    if output is None:
        # What has no name is no file, as whoever reads it will say.
        output = (
            source.with_name(_stem(source) + suffix) if source.name else source / f"out{suffix}"
        )
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
    if suffix == ".doh" and _is_foreign(output):
        raise ConfigError(f"{output}: a .doh file would have this name; let it end in .doh")
    if suffix == ".html":
        check_page_name(output)
    if suffix == ".doh" and output.suffix.lower() not in ("", suffix):
        _log.warning("%s will hold a .doh file, whatever its name says", output)
    return output
