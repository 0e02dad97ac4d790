"""What the measurements of datasets come to: means, medians, the worst, a table for a paper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.dataset.rows import EvaluationRow
from doh3d.dataset.store import RowStore
from doh3d.errors import ConfigError
from doh3d.files import write_atomically

METRICS = (
    "iou",
    "surface_chamfer_l1",
    "surface_f_score",
    "surface_normal_consistency",
    "bytes",
)
_WORST = 10

_TITLES = {
    "iou": "IoU",
    "surface_chamfer_l1": "Chamfer-L1",
    "surface_f_score": "F-score",
    "surface_normal_consistency": "normals",
    "bytes": "bytes",
}
_DIGITS = {"bytes": 0, "surface_chamfer_l1": 5}


@dataclass(frozen=True)
class Measured:
    """The measurements of one dataset.

    Attributes
    ----------
    name : str
        What the dataset is called: its folder.
    config : dict
        The options that its shapes were compressed with.
    protocol : str
        Of the IoU, with its points and the extraction's resolution.
    not_compressed : int
        Shapes that have no bytes, which no mean includes.
    not_measured : tuple of str
        Why shapes that have bytes were not measured.
    ids : tuple of str
    values : dict from metric to (N,) float64
        In the order of `ids`; the Chamfer distance is NaN where nothing came back.
    """

    name: str
    config: dict[str, Any]
    protocol: str
    not_compressed: int
    not_measured: tuple[str, ...]
    ids: tuple[str, ...]
    values: dict[str, npt.NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        name: str,
        config: dict[str, Any],
        not_compressed: int,
        store: RowStore[EvaluationRow],
    ) -> Measured:
        """Read the rows; ConfigError where none is a measurement."""
        ids, reasons, protocol = [], [], ""
        columns: dict[str, list[float]] = {metric: [] for metric in METRICS}
        wanted = ["id", "error", "protocol", "points", "resolution", *METRICS]
        for row in sorted(store.scan(wanted), key=lambda row: str(row["id"])):
            if row["error"] is not None:
                reasons.append(row["error"])
                continue
            protocol = f"{row['protocol']}, {row['points']} points, resolution {row['resolution']}"
            ids.append(row["id"])
            for metric in METRICS:
                columns[metric].append(float("nan") if row[metric] is None else row[metric])
        if not ids:
            raise ConfigError(f"{name}: no shape was measured: {reasons[0] if reasons else 'none'}")
        values = {metric: np.array(column) for metric, column in columns.items()}
        return cls(name, config, protocol, not_compressed, tuple(reasons), tuple(ids), values)

    def label(self, others: Sequence[Measured]) -> str:
        """Name with the options in which some other differs."""
        differing = [
            f"{key} {value}"
            for key, value in self.config.items()
            if value is not None and any(other.config.get(key) != value for other in others)
        ]
        return ", ".join([self.name, *differing])

    def worst(self) -> list[tuple[str, float]]:
        """Return the ten lowest IoUs, with their ids."""
        order = np.argsort(self.values["iou"], kind="stable")[:_WORST]
        return [(self.ids[index], float(self.values["iou"][index])) for index in order]

    def statistics(self) -> dict[str, dict[str, float | None]]:
        """Mean, median, extremes and standard deviation of each metric."""
        return {metric: _statistics(self.values[metric]) for metric in METRICS}

    def to_dict(self) -> dict[str, Any]:
        """Return one JSON object."""
        return {
            "dataset": self.name,
            "config": self.config,
            "protocol": self.protocol,
            "shapes": len(self.ids),
            "not_compressed": self.not_compressed,
            "not_measured": len(self.not_measured),
            "empty": int(np.isnan(self.values["surface_chamfer_l1"]).sum()),
            **self.statistics(),
            "worst": [{"id": id_, "iou": iou} for id_, iou in self.worst()],
            "failures": list(self.not_measured[:_WORST]),
        }


def write_report(measured: Sequence[Measured], folder: Path) -> list[Path]:
    """Write report.json and table.md, each whole or not at all.

    Raises
    ------
    ConfigError
        If the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made: {error.strerror}") from error
    report, table = folder / "report.json", folder / "table.md"
    text = json.dumps([each.to_dict() for each in measured], indent=2, allow_nan=False) + "\n"
    write_atomically(report, text.encode())
    write_atomically(table, markdown_table(measured).encode())
    return [report, table]


def markdown_table(measured: Sequence[Measured]) -> str:
    """Return a table with a row a configuration, mean and median of each metric."""
    titles = [_TITLES[metric] for metric in METRICS]
    lines = [
        "| configuration | shapes | failed | " + " | ".join(titles) + " |",
        "|---|---|---|" + "---|" * len(titles),
    ]
    for each in measured:
        cells = [
            f"{format_value(metric, values['mean'])} / {format_value(metric, values['median'])}"
            for metric, values in each.statistics().items()
        ]
        failed = each.not_compressed + len(each.not_measured)
        lines.append(
            f"| {each.label(measured)} | {len(each.ids)} | {failed} | " + " | ".join(cells) + " |"
        )
    protocols = "; ".join(sorted({each.protocol for each in measured}))
    lines += [
        "",
        f"Mean / median over the shapes that did not fail. IoU by protocol {protocols}. "
        "Chamfer-L1, F-score (0.005) and normals from 100,000 points a side to the other surface, "
        "in units of half the longest side.",
    ]
    return "\n".join(lines) + "\n"


def format_value(metric: str, value: float | None) -> str:
    """Return a metric's value with the digits that mean something."""
    return "-" if value is None else f"{value:.{_DIGITS.get(metric, 4)}f}"


def _statistics(values: npt.NDArray[np.float64]) -> dict[str, float | None]:
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return dict.fromkeys(("mean", "median", "min", "max", "std"))
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "min": float(values.min()),
        "max": float(values.max()),
        "std": float(values.std()),
    }
