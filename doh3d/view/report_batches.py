"""The section of a report that shows collections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.dataset.evaluation import FOLDER
from doh3d.dataset.parts import PartFolder
from doh3d.dataset.rows import EvaluationRow, ShapeRow
from doh3d.dataset.shape_set import Shape, ShapeSet
from doh3d.errors import ConfigError
from doh3d.view.report_content import (
    MOST_LEVELS,
    MOST_POINTS,
    MOST_ROWS,
    SURFACE_COLUMNS,
    Column,
    Level,
    Section,
    Subject,
    Table,
    shown_reasons,
    spread,
)
from doh3d.view.report_figures import histogram, points_figure

FloatArray = npt.NDArray[np.float64]

_COLUMNS = {
    "bytes": Column("Bytes", 0),
    "iou": Column("IoU", 4),
    **SURFACE_COLUMNS,
    "seconds": Column("Fit seconds", 1),
}
_METRICS = tuple(_COLUMNS)

# Shapes of each kind that get pictures.
_LOWEST, _TYPICAL, _HIGHEST = 4, 3, 3


@dataclass(frozen=True)
class _Dataset:
    """Numbers of every shape that has bytes and was measured; nothing else of them is held."""

    path: Path
    name: str
    protocol: str
    ids: list[str]
    values: dict[str, FloatArray]
    reasons: list[str]

    @property
    def by_iou(self) -> npt.NDArray[np.intp]:
        return np.argsort(self.values["iou"], kind="stable")


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a dataset of shapes."""
    return (folder / ShapeRow.FOLDER).is_dir() and (folder / "dataset.json").is_file()


def batch_section(paths: Sequence[Path]) -> Section:
    """Read datasets, such as one collection at several sizes; rates of a shape are theirs.

    Raises
    ------
    ConfigError
        If a part cannot be read, or no shape was measured.
    """
    datasets = [_read(path) for path in paths]
    sets = [ShapeSet(path) for path in paths]
    several = len(datasets) > 1
    protocols = sorted({dataset.protocol for dataset in datasets})
    scatter = {dataset.name: _points(dataset) for dataset in datasets}
    figures = [("IoU against bytes", points_figure(scatter, lines=False))]
    for metric, name, title in (
        ("iou", "IoU", "IoU"),
        ("surface_chamfer_l1", "Chamfer-L1", "Chamfer-L1, half the longest side = 1"),
        (
            "chamfer_l1",
            "Chamfer-L1 from point to point",
            "Chamfer-L1, point to point, half the longest side = 1",
        ),
        ("bytes", "size", "Size of the file in bytes"),
    ):
        counted = histogram({d.name: d.values[metric] for d in datasets}, title)
        if counted is not None:
            figures.append((f"How many shapes have which {name}", counted))
    return Section(
        title=f"Collection{'s' * several} {', '.join(d.name for d in datasets)}",
        facts=_facts(datasets, protocols),
        figures=figures,
        table=_table(datasets),
        subjects=list(_subjects(datasets[0], sets)),
        reasons=shown_reasons([reason for dataset in datasets for reason in dataset.reasons]),
    )


def _read(path: Path) -> _Dataset:
    own = ["id", "error", "protocol", "points", "iou_of", *_METRICS]
    measured = PartFolder(path / FOLDER / EvaluationRow.FOLDER, EvaluationRow)
    # Its seconds are of decoding.
    wanted = ["id", "error", "protocol", "points", *(m for m in _METRICS if m != "seconds")]
    ids: list[str] = []
    columns: dict[str, list[float]] = {metric: [] for metric in _METRICS}
    reasons: list[str] = []
    protocol = ""

    def take(rows: Iterator[dict[str, Any]], describe: Callable[[dict[str, Any]], str]) -> None:
        nonlocal protocol
        for row in rows:
            if row["error"] is not None:
                reasons.append(row["error"])
            elif row["iou"] is not None:
                protocol = protocol or describe(row)
                ids.append(row["id"])
                for metric, column in columns.items():
                    value = row.get(metric)
                    column.append(float("nan") if value is None else float(value))

    # What batch-eval has measured where it has, by the full protocol; else batch's own.
    take(measured.scan(wanted), lambda row: f"{row['protocol']}, {row['points']:,} points")
    if not ids:
        reasons.clear()
        take(
            PartFolder(path / ShapeRow.FOLDER, ShapeRow).scan(own),
            lambda row: f"{row['protocol']} of the {row['iou_of']}, {row['points']:,} points",
        )
    else:
        failed = PartFolder(path / ShapeRow.FOLDER, ShapeRow).scan(["error"])
        reasons.extend(row["error"] for row in failed if row["error"] is not None)
    if not ids:
        raise ConfigError(f"{path}: no shape has bytes; run doh3d batch first")
    values = {metric: np.array(column) for metric, column in columns.items()}
    return _Dataset(path, path.resolve().name, protocol, ids, values, reasons)


def _facts(datasets: Sequence[_Dataset], protocols: Sequence[str]) -> dict[str, str]:
    facts = {"IoU": "; ".join(protocols)} if len(protocols) == 1 else {}
    for dataset in datasets:
        values, count = dataset.values, len(dataset.ids)
        facts[dataset.name] = (
            f"{count:,} shape{'s' * (count != 1)}, {len(dataset.reasons):,} failed; mean "
            f"{values['bytes'].mean():.0f} bytes, IoU mean {values['iou'].mean():.4f}, median "
            f"{np.median(values['iou']):.4f}, lowest {values['iou'].min():.4f}"
        )
        if not facts.get("IoU"):
            facts[dataset.name] += f" ({dataset.protocol})"
    return facts


def _points(dataset: _Dataset) -> list[tuple[float, float, str]]:
    return [
        (
            float(dataset.values["bytes"][index]),
            float(dataset.values["iou"][index]),
            dataset.ids[index],
        )
        for index in spread(dataset.by_iou.tolist(), MOST_POINTS)
    ]


def _table(datasets: Sequence[_Dataset]) -> Table:
    shown_metrics = [
        metric
        for metric in _METRICS
        if any(np.isfinite(dataset.values[metric]).any() for dataset in datasets)
    ]
    share = max(MOST_ROWS // len(datasets), 1)
    rows, left_out = [], 0
    for dataset in datasets:
        indices = _rows_shown(dataset.by_iou.tolist(), share)
        left_out += len(dataset.ids) - len(indices)
        for index in indices:
            numbers = [float(dataset.values[metric][index]) for metric in shown_metrics]
            rows.append(
                (
                    dataset.ids[index],
                    *([dataset.name] if len(datasets) > 1 else []),
                    *(number if np.isfinite(number) else None for number in numbers),
                )
            )
    total = sum(len(dataset.ids) for dataset in datasets)
    note = "All shapes, the lowest IoU first."
    if left_out:
        note = (
            f"{len(rows):,} of {total:,} shapes: half of them those of lowest IoU, the others "
            "evenly spread over the rest. The dataset itself has all."
        )
    columns = [Column("Shape"), *([Column("Collection")] if len(datasets) > 1 else [])]
    return Table((*columns, *(_COLUMNS[metric] for metric in shown_metrics)), rows, note)


def _rows_shown(by_iou: list[int], most: int) -> list[int]:
    if len(by_iou) <= most:
        return by_iou
    worst = most // 2
    return by_iou[:worst] + spread(by_iou[worst:], most - worst)


def _subjects(dataset: _Dataset, sets: Sequence[ShapeSet]) -> Iterator[Subject]:
    """Yield the lowest, the middle and the highest, none of them twice."""
    order = dataset.by_iou.tolist()
    lowest, rest = order[:_LOWEST], order[_LOWEST:]
    typical, highest = rest[:-_HIGHEST], rest[-_HIGHEST:]
    middle = max((len(typical) - _TYPICAL) // 2, 0)
    of_kind = {
        "lowest IoU": lowest,
        "typical IoU": typical[middle : middle + _TYPICAL],
        "highest IoU": highest[::-1],
    }
    for kind, indices in of_kind.items():
        for index in indices:
            yield _subject(dataset.ids[index], kind, sets)


def _subject(id_: str, kind: str, sets: Sequence[ShapeSet]) -> Subject:
    found = [(shapes, shapes[id_]) for shapes in sets if id_ in shapes]
    levels = [_level(shapes, shape) for shapes, shape in found]
    levels.sort(key=lambda level: level.size)
    row = found[0][1].row
    return Subject(
        name=id_,
        note=kind,
        levels=tuple(spread(levels, MOST_LEVELS)),
        original=row["source"],
        original_sha256=row["source_sha256"],
    )


def _level(shapes: ShapeSet, shape: Shape) -> Level:
    name = Path(shapes.path).resolve().name
    return Level(len(shape.data), shape.row["iou"], name, lambda: shape.data)
