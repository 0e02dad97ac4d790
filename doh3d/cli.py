"""The `doh3d` command: parses, calls, prints; nothing else."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import doh3d
from doh3d.console import fit_progress, print_json, print_tables, spinner
from doh3d.errors import ConfigError, Doh3dError, TargetError

app = typer.Typer(
    name="doh3d",
    help="Compress 3D shapes to about a kilobyte, and get them back at any resolution.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
ResolutionOption = Annotated[
    int, typer.Option(help="Cells along the domain's longest side when extracting, 8 to 1024.")
]

# Points for the closing measurement of `compress`: enough for three digits in a second or two.
_CHECK_POINTS = 2**18


def _version(show: bool) -> None:
    if show:
        print(f"doh3d {doh3d.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command(
    epilog="Examples:  doh3d compress bunny.ply -o bunny.doh  |  "
    "doh3d compress bunny.ply -o small.doh --max-bytes 600 --preset fast --json  |  "
    "doh3d compress bunny.ply -o good.doh --min-iou 0.97"
)
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


@app.command(
    epilog="Examples:  doh3d decompress bunny.doh -o bunny.ply  |  "
    "doh3d decompress bunny.doh -o fine.glb --resolution 512"
)
def decompress(
    file: Annotated[Path, typer.Argument(help="A .doh file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The mesh to write: .ply .obj .stl .off .glb")
    ],
    resolution: ResolutionOption = 256,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Extract a closed mesh from a .doh file, in the original's units."""
    from doh3d.geometry.export import check_mesh_output, save_mesh

    check_mesh_output(output)
    started = time.perf_counter()
    with spinner(f"extracting at {resolution}"):
        mesh = doh3d.load(file, device).to_mesh(resolution)
        if len(mesh.faces) == 0:
            raise ConfigError(
                f"{file}: nothing to extract at resolution {resolution}; try a higher one"
            )
        save_mesh(mesh, output)
    report = {
        "output": str(output),
        "bytes": output.stat().st_size,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "resolution": resolution,
        "seconds": time.perf_counter() - started,
    }
    if as_json:
        print_json(report)
    else:
        print(
            f"{output}: {report['vertices']} vertices, {report['faces']} faces, "
            f"{report['seconds']:.1f} s"
        )


@app.command(epilog="Example:  doh3d info bunny.doh --json | jq .sizes")
def info(
    file: Annotated[Path, typer.Argument(help="A .doh file.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a .doh file holds, and the size of every part."""
    from doh3d.codec.inspection import describe_file

    report = describe_file(file)
    if as_json:
        print_json(report)
    else:
        print_tables(str(file), report)


@app.command(
    name="eval",
    epilog="Examples:  doh3d eval bunny.doh --reference bunny.ply  |  "
    "doh3d eval decimated.ply --reference bunny.ply --protocol grid --grid 160 --json",
)
def evaluate(
    shape: Annotated[Path, typer.Argument(help="A .doh file, or a mesh.")],
    reference: Annotated[Path, typer.Option("--reference", "-r", help="The original mesh.")],
    protocol: Annotated[str, typer.Option(help="bbox, occnet or grid.")] = "bbox",
    grid: Annotated[
        int | None, typer.Option(help="Points along a side, with --protocol grid.")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Points for IoU.  [default: 2097152; occnet 100000]")
    ] = None,
    resolution: ResolutionOption = 256,
    seed: Annotated[int, typer.Option(help="Of the sampled points.")] = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure a .doh file, or a mesh, against the original mesh."""
    with spinner("measuring"):
        result = doh3d.evaluate(
            shape,
            reference,
            protocol=protocol,  # type: ignore[arg-type]
            grid=grid,
            points=points,
            resolution=resolution,
            seed=seed,
            device=device,
        ).to_dict()
    if as_json:
        print_json(result)
    else:
        print_tables(f"{shape} against {reference}", {"evaluation": result})


@app.command(
    epilog="Examples:  doh3d sweep bunny.ply -o sweep  |  "
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
    from doh3d.evaluation.sweep import parse_numbers, run_sweep
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
    drawn = draw_sweep(result.rows, output, baselines) if figures else []
    if as_json:
        print_json({**result.to_dict(), "figures": [str(path) for path in drawn]})
    else:
        print_tables(f"{mesh}: {result.folder.table_path}", result.describe())


def main() -> None:
    """Run the command; bad input is one line on standard error and exit status 2."""
    # Threads that wait actively slow each other down many times over on a busy machine. Read
    # by OpenMP when torch loads, which it has not yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        # Typer returns the status of an Exit rather than raising it.
        status = app(standalone_mode=False)
    except TargetError as error:
        _fail(str(error), status=3)
    except Doh3dError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print("doh3d: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has had enough.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        # Typer's own usage errors, by what they offer: their class is not public.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        _fail(message())
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, *, status: int = 2) -> None:
    print("doh3d: error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
