"""`doh3d image`: pixels to a .doh file, back, and how well."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.commands.loading import loading
from doh3d.commands.options import (
    AllowLargeOption,
    CheckpointOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    check_checkpoint,
    check_doh_files,
    compress_options,
    limits_for,
    output_for,
    with_groups,
)
from doh3d.console import fit_progress, print_json, print_tables, spinner
from doh3d.limits import Limits
from doh3d.options import CompressOptions

app = typer.Typer(help="The same codec for images.", no_args_is_help=True)

COMPRESS_EXAMPLES = (
    "Examples:  doh3d image compress photo.png  |  "
    "doh3d image compress photo.png -o small.doh --bpp 0.05 --preset fast  |  "
    "doh3d image compress photo.png -o good.doh --min-psnr 28"
)
DECOMPRESS_EXAMPLES = "Example:  doh3d image decompress photo.doh -o back.png"
EVAL_EXAMPLES = "Example:  doh3d image eval photo.doh --reference photo.png --json"


@app.command("compress", epilog=COMPRESS_EXAMPLES)
@with_groups(options=compress_options("image"))
def compress(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG or WebP of 8 bits, grey or RGB.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The .doh file to write.",
            show_default="the image's name, beside it",
        ),
    ] = None,
    force: ForceOption = False,
    *,
    options: CompressOptions,
    device: DeviceOption = "auto",
    checkpoint: CheckpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compress an image to a .doh file.

    Exits with status 3, and writes nothing, where --min-psnr is out of reach.
    """
    from doh3d.files import check_output

    output = output_for(image, output, ".doh", force=force)
    check_output(output)
    check_checkpoint(checkpoint, output)
    started = time.perf_counter()
    with fit_progress() as progress:
        with loading():
            fit = doh3d.compress_image
        compressed = fit(
            image,
            **options.of_kind("image"),
            device=device,
            checkpoint=checkpoint,
            progress=progress,
        )
    compressed.save(output)
    seconds = time.perf_counter() - started
    with spinner("measuring"):
        measured = doh3d.evaluate_image(
            output, image, device=device, limits=Limits.of_format()
        ).to_dict()
    if as_json:
        report = {"output": str(output)} | measured
        print_json(report | {"latent": compressed.config.latent, "seconds": seconds})
        return
    print(
        f"{output}: {measured['bytes']} bytes, {measured['bpp']:.4f} bpp, "
        f"PSNR {_decibels(measured['psnr_db'])}, {seconds:.1f} s"
    )


@app.command("decompress", epilog=DECOMPRESS_EXAMPLES)
def decompress(
    file: Annotated[Path, typer.Argument(help="A .doh file of an image.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The image to write: .png, or lossless .webp",
            show_default="the file's name with .png, beside it",
        ),
    ] = None,
    force: ForceOption = False,
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decode a .doh file of an image to pixels."""
    from doh3d.images.files import check_image_output, save_pixels

    check_doh_files([file])
    output = output_for(file, output, ".png", force=force)
    check_image_output(output)
    started = time.perf_counter()
    with spinner("decoding"):
        field = doh3d.load_image(file, device, limits=limits_for(allow_large))
        save_pixels(field.pixels(), output)
    height, width, channels = field.shape
    report = {
        "output": str(output),
        "bytes": output.stat().st_size,
        "width": width,
        "height": height,
        "channels": channels,
        "seconds": time.perf_counter() - started,
    }
    if as_json:
        print_json(report)
    else:
        print(f"{output}: {width} x {height} pixels, {report['seconds']:.1f} s")


@app.command("eval", epilog=EVAL_EXAMPLES)
def evaluate(
    file: Annotated[Path, typer.Argument(help="A .doh file of an image.")],
    reference: Annotated[Path, typer.Option("--reference", "-r", help="The original image.")],
    device: DeviceOption = "auto",
    allow_large: AllowLargeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a .doh file against the original image: bits a pixel and PSNR."""
    with spinner("measuring"):
        result = doh3d.evaluate_image(
            file, reference, device=device, limits=limits_for(allow_large)
        ).to_dict()
    if as_json:
        print_json(result)
    else:
        print_tables(f"{file} against {reference}", {"evaluation": result})


def _decibels(psnr_db: float | None) -> str:
    return "infinite" if psnr_db is None else f"{psnr_db:.2f} dB"
