"""`doh3d compress`: a mesh to a .doh file."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.commands.options import DeviceOption, ForceOption, JsonOption, output_for
from doh3d.console import fit_progress, print_json, spinner
from doh3d.errors import ConfigError, FormatError
from doh3d.limits import Limits

EXAMPLES = (
    "Examples:  doh3d compress bunny.ply  |  "
    "doh3d compress bunny.ply -o small.doh --max-bytes 600 --preset fast --json  |  "
    "doh3d compress bunny.ply -o good.doh --min-iou 0.97"
)


def compress(
    mesh: Annotated[Path, typer.Argument(help="PLY, OBJ, STL, OFF, GLB, glTF or 3MF file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The .doh file to write.  [default: the mesh's name, beside it]"
        ),
    ] = None,
    force: ForceOption = False,
    max_bytes: Annotated[
        int | None, typer.Option(help="Largest size of the file in bytes, 300 to 64000.")
    ] = None,
    min_iou: Annotated[
        float | None, typer.Option(help="Smallest file that reaches this IoU (bbox protocol).")
    ] = None,
    preset: Annotated[str, typer.Option(help="fast, default or best: how long to fit.")] = (
        "default"
    ),
    latent: Annotated[
        int | None, typer.Option(help="Numbers in the latent; the file's size follows it.")
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            help="Bits of a latent's range, 2 to 16; 32 keeps float32.  [default: 6; 7 with cells]"
        ),
    ] = None,
    quantizer: Annotated[
        str, typer.Option(help="qat (trains with the quantiser) or ptq (rounds afterwards).")
    ] = "qat",
    width: Annotated[
        int | None,
        typer.Option(help="Neurons in a hidden layer, 1 to 256.  [default: follows the latent]"),
    ] = None,
    depth: Annotated[int, typer.Option(help="Hidden layers, 1 to 15.")] = 3,
    octaves: Annotated[
        int | None,
        typer.Option(help="Octaves of positional encoding, 0 to 15.  [default: 3; 0 with sine]"),
    ] = None,
    activation: Annotated[str, typer.Option(help="smooth, relu or sine.")] = "smooth",
    projection: Annotated[str, typer.Option(help="hadamard or dense.")] = "hadamard",
    mirror: Annotated[
        bool,
        typer.Option(
            "--mirror/--no-mirror", help="Store one side only of what is its own mirror image."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="0 to 65535; the same seed gives the same file.")] = 0,
    device: DeviceOption = "auto",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Keep here what the same command goes on from when it was stopped."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compress a mesh to a .doh file.

    Exits with status 3, and writes nothing, where --min-iou is out of reach. Warns where the
    written file, read back, has low IoU, or other bodies or holes than the mesh.
    """
    from doh3d.files import check_output

    output = output_for(mesh, output, ".doh", force=force)
    check_output(output)
    if checkpoint is not None and checkpoint.resolve() == output.resolve():
        raise ConfigError(f"{checkpoint}: is the output; name another file for the checkpoint")
    started = time.perf_counter()
    with fit_progress() as progress:
        # Loaded only here, with the bar to look at: it takes seconds.
        from doh3d.fitting.preparation import prepare

        prepared = prepare(mesh)
        shape = doh3d.compress(
            prepared,
            max_bytes=max_bytes,
            min_iou=min_iou,
            preset=preset,
            latent=latent,
            bits=bits,
            quantizer=quantizer,  # type: ignore[arg-type]
            width=width,
            depth=depth,
            octaves=octaves,
            activation=activation,  # type: ignore[arg-type]
            projection=projection,  # type: ignore[arg-type]
            mirror=mirror,
            seed=seed,
            device=device,
            checkpoint=checkpoint,
            progress=progress,
        )
    shape.save(output)
    seconds = time.perf_counter() - started

    with spinner("measuring"):
        from doh3d.evaluation.fidelity import measure_fidelity

        field = doh3d.load(output, device, limits=Limits.of_format())
        fidelity = measure_fidelity(prepared.reading, field, min_iou=min_iou)
    size, source_size = output.stat().st_size, mesh.stat().st_size
    for warning in (*fidelity.warnings, *_beyond_limits(shape.data)):
        print(f"doh3d: warning: {output}: {warning}", file=sys.stderr)
    if as_json:
        report = {"output": str(output), "bytes": size} | fidelity.to_dict()
        report |= {"source_bytes": source_size, "ratio": source_size / size}
        print_json(report | {"latent": shape.config.latent, "seconds": seconds})
        return
    iou = fidelity.iou
    print(
        f"{output}: {size} bytes, IoU {iou.iou:.4f} of the {fidelity.iou_of} ({iou.protocol}, "
        f"{iou.points} points), {fidelity.describe()}, {source_size / size:.0f} times smaller "
        f"than {mesh.name}, {seconds:.1f} s"
    )


def _beyond_limits(data: bytes) -> list[str]:
    """Why readers will refuse the file unless they are told otherwise, if they will."""
    from doh3d.codec.container import parse

    try:
        parse(data)
    except FormatError as error:
        return [str(error)]
    return []
