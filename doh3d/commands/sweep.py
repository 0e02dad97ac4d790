"""`doh3d sweep`: many fits of one mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doh3d.commands.options import DeviceOption, JsonOption
from doh3d.console import fit_progress, print_json, print_tables, spinner

EXAMPLES = (
    "Examples:  doh3d sweep bunny.ply -o sweep  |  "
    "doh3d sweep bunny.ply --latent 500,1000 --bits 4,8 --quantizer ptq --seeds 5 -o ptq  |  "
    "doh3d sweep bunny.ply --baseline Draco=draco.tsv -o sweep"
)


def sweep(
    mesh: Annotated[Path, typer.Argument(help="PLY, OBJ, STL, OFF, GLB, glTF or 3MF file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for sweep.csv, files and figures.")
    ],
    latent: Annotated[
        str, typer.Option(help="Latent lengths, separated by commas.")
    ] = "250,500,1000,2000,4000,8000",
    bits: Annotated[
        str, typer.Option(help="Bits of a latent's range, 2 to 16; 32 keeps float32.")
    ] = "3,4,5,6,8,16",
    quantizer: Annotated[
        str, typer.Option(help="qat (a fit for each) or ptq (one fit, rounded to all bits).")
    ] = "qat",
    seeds: Annotated[int, typer.Option(help="How many: 0, 1, ...")] = 1,
    preset: Annotated[str, typer.Option(help="fast, default or best.")] = "default",
    points: Annotated[int, typer.Option(help="For the IoU of the field (bbox).")] = 2**19,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE.tsv with columns bytes and iou, to draw beside; repeatable."),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw figures; needs matplotlib.")] = True,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compress a mesh with many latent lengths and bits, measure, tabulate and draw.

    The same command again takes up a sweep that was stopped.
    """
    from doh3d.evaluation.rate_table import parse_baseline
    from doh3d.sweep.run import parse_numbers, run_sweep
    from doh3d.view.figures import check_figures, draw_sweep

    latents, bit_levels = parse_numbers("latent", latent), parse_numbers("bits", bits)
    baselines = [parse_baseline(text, mesh) for text in baseline or []]
    if figures:
        check_figures()
    with fit_progress() as progress:
        result = run_sweep(
            mesh,
            output,
            latents=latents,
            bits=bit_levels,
            quantizer=quantizer,  # type: ignore[arg-type]
            seeds=seeds,
            preset=preset,
            points=points,
            device=device,
            progress=progress,
        )
    with spinner("drawing"):
        drawn = draw_sweep(result.rows, output, baselines) if figures else []
    if as_json:
        print_json({**result.to_dict(), "figures": [str(path) for path in drawn]})
    else:
        print_tables(f"{mesh}: {result.folder.table_path}", result.describe())
