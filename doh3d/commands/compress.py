"""`doh3d compress`: a mesh or a voxel grid to a .doh file."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.commands.ahead import ahead
from doh3d.commands.loading import loading
from doh3d.commands.options import (
    CheckpointOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    LabelOption,
    NamesOption,
    ThresholdOption,
    check_checkpoint,
    compress_options,
    output_for,
    read_names_option,
    with_groups,
)
from doh3d.console import fit_progress, print_json, spinner
from doh3d.errors import FormatError
from doh3d.limits import Limits
from doh3d.options import CompressOptions

EXAMPLES = (
    "Examples:  doh3d compress bunny.ply  |  "
    "doh3d compress bunny.ply -o small.doh --max-bytes 600 --preset fast --json  |  "
    "doh3d compress bunny.ply -o good.doh --min-iou 0.97  |  "
    "doh3d compress labels.nii.gz --label 5 -o liver.doh"
)


@with_groups(options=compress_options("shape"))
def compress(
    mesh: Annotated[
        Path,
        typer.Argument(
            help="PLY, OBJ, STL, OFF, GLB, glTF or 3MF file; or a voxel grid: .nii .nii.gz .nrrd "
            ".binvox .npy .npz"
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The .doh file to write.",
            show_default="the mesh's name, beside it",
        ),
    ] = None,
    force: ForceOption = False,
    label: LabelOption = None,
    threshold: ThresholdOption = None,
    names: NamesOption = None,
    *,
    options: CompressOptions,
    device: DeviceOption = "auto",
    checkpoint: CheckpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compress a mesh, or an occupancy grid, to a .doh file.

    A grid is learned at the centres of its voxels; the file keeps its lattice and its units.

    Exits with status 3, and writes nothing, where --min-iou is out of reach. Warns where the
    written file, read back, has an IoU below 0.8, specks, or many more or fewer bodies or holes
    (genus: how many lead through it) than the mesh; and where, of a mesh, fewer triangles in Draco
    would be as good in a tenth fewer bytes, if the extra `peers` is installed.
    """
    from doh3d.files import check_output
    from doh3d.geometry.formats import detect_format
    from doh3d.volumes.files import volume_ending

    # What is no mesh is told before anything about the file to write.
    if volume_ending(mesh) is None:
        detect_format(mesh)
    output = output_for(mesh, output, ".doh", force=force)
    check_output(output)
    check_checkpoint(checkpoint, output)
    started = time.perf_counter()
    with fit_progress() as progress:
        # Only here, with the bar to look at: it takes seconds.
        with loading():
            from doh3d.signals.grid import prepare_source

            fit = doh3d.compress
        table = read_names_option(names)
        prepared = prepare_source(
            mesh, label=label, threshold=threshold, names=table, exact=options.exact
        )
        # It needs nothing of the fit, whose steps leave the second core half idle.
        ahead(lambda: prepared.reading.survey)
        shape = fit(
            prepared,
            **options.of_kind("shape"),
            device=device,
            checkpoint=checkpoint,
            progress=progress,
        )
    shape.save(output)
    seconds = time.perf_counter() - started

    with spinner("measuring"):
        from doh3d.evaluation.fidelity import measure_fidelity

        field = doh3d.load(output, device, limits=Limits.of_format())
        fidelity = measure_fidelity(prepared.reading, field, min_iou=options.min_iou)
    size, source_size = output.stat().st_size, mesh.stat().st_size
    for warning in (*fidelity.warnings, *_beyond_limits(shape.data)):
        print(f"doh3d: warning: {output}: {warning}", file=sys.stderr)
    if as_json:
        report = {"output": str(output), "bytes": size} | fidelity.to_dict()
        # What the log has told already stands here, too.
        report |= {"warnings": [*fidelity.warnings, *shape.warnings]}
        report |= {"source_bytes": source_size, "ratio": source_size / size}
        print_json(report | {"latent": shape.config.latent, "seconds": seconds})
        return
    iou = fidelity.iou
    dice = f"Dice {iou.dice:.4f}, " if iou.protocol == "voxels" else ""
    print(
        f"{output}: {size} bytes, {dice}IoU {iou.iou:.4f} of the {fidelity.iou_of} "
        f"({iou.protocol}, {iou.points} points), {fidelity.describe()}, "
        f"{source_size / size:.0f} times smaller than {mesh.name}, {seconds:.1f} s"
    )


def _beyond_limits(data: bytes) -> list[str]:
    """Why readers will refuse the file unless they are told otherwise, if they will."""
    from doh3d.codec.container import parse

    try:
        parse(data)
    except FormatError as error:
        return [str(error)]
    return []
