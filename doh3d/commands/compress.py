"""`doh3d compress`: a mesh to a .doh file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.commands.options import DeviceOption, JsonOption
from doh3d.console import fit_progress, print_json

EXAMPLES = (
    "Examples:  doh3d compress bunny.ply -o bunny.doh  |  "
    "doh3d compress bunny.ply -o small.doh --max-bytes 600 --preset fast --json  |  "
    "doh3d compress bunny.ply -o good.doh --min-iou 0.97"
)

# Points for the closing measurement: enough for three digits in a second or two.
_CHECK_POINTS = 2**18


def compress(
    mesh: Annotated[Path, typer.Argument(help="PLY, OBJ, STL, OFF, GLB, glTF or 3MF file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .doh file to write.")],
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
        typer.Option(help="Bits of a latent's range, 2 to 16; 32 keeps float32.  [default: 8]"),
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
        typer.Option(
            help="Octaves of positional encoding, 0 to 15.  [default: 3 or 4; 0 with sine]"
        ),
    ] = None,
    activation: Annotated[str, typer.Option(help="relu or sine.")] = "relu",
    projection: Annotated[str, typer.Option(help="hadamard or dense.")] = "hadamard",
    seed: Annotated[int, typer.Option(help="0 to 65535; the same seed gives the same file.")] = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compress a mesh to a .doh file.

    Exits with status 3, and writes nothing, where --min-iou is out of reach.
    """
    from doh3d.files import check_output
    from doh3d.fitting.compress import compress as compress_mesh

    check_output(output)
    started = time.perf_counter()
    with fit_progress() as progress:
        shape = compress_mesh(
            mesh,
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
            seed=seed,
            device=device,
            progress=progress,
        )
    shape.save(output)
    seconds = time.perf_counter() - started

    from doh3d.evaluation.evaluate import field_iou

    field = doh3d.load(output, device)
    iou = field_iou(doh3d.load_mesh(mesh), field, points=_CHECK_POINTS)
    report = {
        "output": str(output),
        "bytes": output.stat().st_size,
        "iou": iou.iou,
        "iou_of": "field",
        "protocol": iou.protocol,
        "points": iou.points,
        "source_bytes": mesh.stat().st_size,
        "ratio": mesh.stat().st_size / output.stat().st_size,
        "latent": shape.config.latent,
        "seconds": seconds,
    }
    if as_json:
        print_json(report)
    else:
        print(
            f"{output}: {report['bytes']} bytes, IoU {iou.iou:.4f} of the field ({iou.protocol}, "
            f"{iou.points} points), {report['ratio']:.0f} times smaller than {mesh.name}, "
            f"{seconds:.1f} s"
        )
