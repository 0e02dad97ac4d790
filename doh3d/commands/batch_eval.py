"""`doh3d batch-eval`: datasets against the meshes that they were made from."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doh3d.commands.batch import SOME_FAILED
from doh3d.commands.engines import ENGINE, EngineOptions
from doh3d.commands.options import DeviceOption, JsonOption, ResolutionOption, with_groups
from doh3d.console import batch_progress, print_json, print_tables, spinner
from doh3d.errors import ConfigError

if TYPE_CHECKING:
    from doh3d.dataset.report import Measured

EXAMPLES = (
    "Examples:  doh3d batch-eval shapes  |  "
    "doh3d batch-eval small large -o comparison --reference meshes/ --workers 8"
)


@with_groups(engine=ENGINE)
def batch_eval(
    datasets: Annotated[
        list[Path], typer.Argument(help="Datasets' folders: a row of the table each.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The folder for table and figure; evaluation in the first."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "-r",
            help="The collection of original meshes, as for batch; the sources unless given.",
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help="bbox, occnet or grid.")] = "bbox",
    grid: Annotated[
        int | None, typer.Option(help="Points along a side, with --protocol grid.")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Points for IoU; 2097152 unless given, occnet 100000.")
    ] = None,
    resolution: ResolutionOption = 256,
    figures: Annotated[bool, typer.Option(help="Draw histograms; needs matplotlib.")] = True,
    *,
    engine: EngineOptions,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure datasets: IoU, Chamfer, F-score, normals and bytes, their means and the worst.

    Measurements are kept in each dataset's folder evaluation, and not made twice. Exits with
    status 4 where shapes could not be measured.
    """
    from doh3d.dataset.evaluation import FOLDER, EvaluateTask, evaluate_dataset
    from doh3d.dataset.report import Measured, write_report
    from doh3d.dataset.shape_set import ShapeSet
    from doh3d.files import utf8_name
    from doh3d.view.figures import check_figures
    from doh3d.view.histograms import draw_histograms

    task = EvaluateTask(
        protocol=protocol,  # type: ignore[arg-type]
        grid=grid,
        points=points,
        resolution=resolution,
        device=device,
        retries=engine.retries,
    )
    task.check()
    if figures:
        check_figures()
    runner = engine.make(device)
    for dataset in datasets:
        if not len(ShapeSet(dataset)):
            raise ConfigError(f"{dataset}: holds no shape that succeeded")
    measured = []
    with closing(runner), batch_progress() as show:
        for dataset in datasets:
            store = evaluate_dataset(
                dataset, dataset / FOLDER, task, runner, reference=reference, watch=show
            )
            shapes = ShapeSet(dataset)
            config = json.loads(shapes[0].row["config"])
            name = utf8_name(dataset.name or str(dataset.resolve().name))
            measured.append(Measured.of(name, config, len(shapes.failures), store))
    folder = datasets[0] / FOLDER if output is None else output
    written = write_report(measured, folder)
    if figures:
        with spinner("drawing"):
            written.append(draw_histograms(measured, folder / "histogram.png"))
    if as_json:
        print_json({"files": [str(path) for path in written]} | _report(measured))
    else:
        _print(measured, written)
    if any(each.not_measured for each in measured):
        raise typer.Exit(SOME_FAILED)


def _report(measured: list[Measured]) -> dict[str, object]:
    return {"datasets": [each.to_dict() for each in measured]}


def _print(measured: list[Measured], written: list[Path]) -> None:
    from doh3d.dataset.report import format_value

    for each in measured:
        sections: dict[str, object] = {
            "shapes": len(each.ids),
            "not compressed": each.not_compressed,
            "not measured": len(each.not_measured),
            "IoU": each.protocol,
        }
        for metric, values in each.statistics().items():
            sections[metric] = {name: format_value(metric, value) for name, value in values.items()}
        sections["worst IoU"] = {id_: format_value("iou", iou) for id_, iou in each.worst()}
        print_tables(each.label(measured), sections)
        for reason in each.not_measured[:10]:
            print(f"- {reason}")
    for path in written:
        print(path)
