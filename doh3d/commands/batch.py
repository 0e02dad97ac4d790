"""`doh3d batch`: a collection of meshes, or a scan's labels, to a dataset."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doh3d.commands.engines import ENGINE, EngineOptions
from doh3d.commands.options import (
    DeviceOption,
    JsonOption,
    NamesOption,
    compress_options,
    read_names_option,
    with_groups,
)
from doh3d.console import batch_progress, print_json, spinner
from doh3d.options import CompressOptions

if TYPE_CHECKING:
    from doh3d.dataset.batch import BatchSummary

EXAMPLES = (
    "Examples:  doh3d batch meshes/ -o shapes  |  "
    "doh3d batch 'cars/**/*.obj' -o cars --max-bytes 600 --workers 8  |  "
    "doh3d batch meshes/ -o tiny --latent 200 --preset fast --batch-fit 8  |  "
    "doh3d batch labels.nii.gz -o organs --files  |  "
    "doh3d batch s3://bucket/list.parquet -o shapes --engine ray --address auto --shard 1/4"
)

# Exit status where shapes have failed, the rest being done.
SOME_FAILED = 4


@with_groups(options=compress_options("shape"), engine=ENGINE)
def batch(
    collection: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder, a glob, a list of paths (.txt) or a manifest (.csv, .tsv, .parquet); "
            "local or any fsspec URL. Or a label map, such as labels.nii.gz: each of its labels.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The dataset's folder.")],
    pattern: Annotated[
        str | None,
        typer.Option(help="Of a folder, only files that match, such as '*.obj'."),
    ] = None,
    path_column: Annotated[
        str | None,
        typer.Option(help="Of a manifest; path, file, mesh or source unless given."),
    ] = None,
    names: NamesOption = None,
    *,
    options: CompressOptions,
    files: Annotated[
        bool, typer.Option("--files", help="Write single .doh files too, to OUTPUT/files.")
    ] = False,
    batch_fit: Annotated[
        int | None,
        typer.Option(
            help="Shapes that are fitted together, 1 to 256: faster on a GPU, and for small files. "
            "64 on a GPU unless given, 1 elsewhere."
        ),
    ] = None,
    engine: EngineOptions,
    shard: Annotated[
        str | None,
        typer.Option(help="I/N: only this one of N parts of the collection, such as 1/4."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try all shapes again that have failed.")
    ] = False,
    trust_sources: Annotated[
        bool,
        typer.Option(
            "--trust-sources", help="Do not look whether sources of finished shapes changed."
        ),
    ] = False,
    device: DeviceOption = "auto",
    json_log: Annotated[
        Path | None, typer.Option(help="Append what happens to this file, a JSON object a line.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compress a collection into a Parquet dataset, a row a shape: meshes, grids, labels of a scan.

    The same command again goes on where the last one was stopped. Exits with status 4 where
    shapes have failed; the others are there.
    """
    from doh3d.dataset.batch import run_batch
    from doh3d.dataset.json_log import all_of
    from doh3d.dataset.json_log import json_log as open_log
    from doh3d.dataset.options import check_options, shapes_together
    from doh3d.dataset.shard import Shard
    from doh3d.dataset.tasks import CompressTask

    table = read_names_option(names)
    # Which devices a cluster has is not known here.
    on_gpu = device.startswith("cuda")
    if engine.engine == "local":
        with spinner("loading"):
            from doh3d.devices import resolve_device

            on_gpu = resolve_device(device).type == "cuda"
    if batch_fit is None:
        batch_fit = shapes_together(options, on_gpu)
    with spinner("loading"):
        check_options(options, batch_fit)
    runner = engine.make(device, shares_gpus=batch_fit > 1)
    with closing(runner), open_log(json_log) as log, batch_progress() as show:
        summary = run_batch(
            collection,
            output,
            CompressTask(options, device, engine.retries, table),
            options,
            runner,
            batch_fit=batch_fit,
            pattern=pattern,
            path_column=path_column,
            names=table,
            shard=None if shard is None else Shard.parse(shard),
            files=files,
            retry_failed=retry_failed,
            trust_sources=trust_sources,
            watch=all_of(show, None if log is None else log.watch),
        )
        if log is not None:
            log.event("end", summary.to_dict())
    if as_json:
        print_json(summary.to_dict())
    else:
        _print(summary)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


def _print(summary: BatchSummary) -> None:
    if summary.other_versions:
        print(
            f"doh3d: warning: {summary.output}: holds rows of doh3d "
            f"{', '.join(summary.other_versions)} too (column doh3d_version)",
            file=sys.stderr,
        )
    parts = [f"{summary.compressed} of {summary.shapes} shapes compressed"]
    if summary.found:
        parts.append(f"{summary.found} found finished")
    if summary.compressed:
        parts.append(
            f"mean {summary.progress.mean_bytes:.0f} bytes, IoU {summary.progress.mean_iou:.4f} "
            f"({summary.progress.measured}), {summary.progress.shapes_a_second:.3g} shapes/s"
        )
    parts.append(f"{summary.failed} failed")
    print(f"{summary.output}: {', '.join(parts)}")
    for failure in summary.failures:
        print(f"- {failure}")
    untold = summary.failed - len(summary.failures)
    if untold:
        more = "more " if summary.failures else ""
        print(f"- {untold} {more}failed; column error has every reason, --retry-failed tries again")
