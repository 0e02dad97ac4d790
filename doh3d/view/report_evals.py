"""The section of a report that shows evaluations: what `doh3d eval --json` printed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    spread,
)
from doh3d.view.report_figures import points_figure
from doh3d.view.report_sweeps import reader

# Far beyond any evaluation.
_MOST_BYTES = 2**16
_MOST_GROUPS = 7
_MOST_SUBJECTS = 8

_OF_GRIDS = {
    "dice": Column("Dice", 4),
    "hausdorff_95": Column("95% Hausdorff", 3),
    "mean_surface_distance": Column("Mean distance", 3),
}
_COLUMNS = {
    "bytes": Column("Bytes", 0),
    "iou": Column("IoU", 4),
    **SURFACE_COLUMNS,
    **_OF_GRIDS,
    "ratio": Column("Times smaller", 0),
    "protocol": Column("Protocol"),
    "points": Column("Points", 0),
}


@dataclass(frozen=True)
class Evaluated:
    """One file's JSON: where it was read, and its values."""

    path: Path
    values: dict[str, Any]

    @property
    def shape(self) -> str:
        """The reference's name, and its label; the evaluation's own where it does not tell."""
        if "reference" not in self.values:
            return self.name
        label = self.values.get("label")
        # As rows of a collection name it.
        return Path(self.values["reference"]).name + ("" if label is None else f"#label={label}")

    @property
    def name(self) -> str:
        """What was measured."""
        return Path(self.values["file"]).name if "file" in self.values else self.path.stem


def read_evaluations(folder: Path) -> list[Evaluated]:
    """Read the evaluations among a folder's JSON files; others are none of ours.

    Raises
    ------
    ConfigError
        If a JSON file cannot be read, or says it is an evaluation and has wrong values.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            if not path.is_file() or path.stat().st_size > _MOST_BYTES:
                continue
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(
                f"{path}: is not JSON; what doh3d eval --json prints is needed"
            ) from error
        if isinstance(values, dict) and {"bytes", "iou", "dice", "shape"} <= values.keys():
            values = _at_voxels(path, values)
        if isinstance(values, dict) and {"bytes", "iou", "protocol", "points"} <= values.keys():
            _check(path, values)
            found.append(Evaluated(path, values))
    return found


def _at_voxels(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Say of an evaluation at a grid's voxels by which protocol it is, and on how many points."""
    sides = values["shape"]
    if not (isinstance(sides, list) and all(type(side) is int for side in sides)):
        raise ConfigError(f"{path}: shape is {sides!r}; three whole numbers are needed")
    return values | {"protocol": "voxels", "points": math.prod(sides)}


def _check(path: Path, values: dict[str, Any]) -> None:
    for key in ("bytes", "iou", *SURFACE_COLUMNS, *_OF_GRIDS, "ratio", "points"):
        value = values.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number or (value is None and key not in ("bytes", "iou", "points"))):
            raise ConfigError(f"{path}: {key} is {value!r}; a number is needed")
    if values["bytes"] < 1 or not 0 <= values["iou"] <= 1:
        raise ConfigError(
            f"{path}: bytes {values['bytes']!r} and iou {values['iou']!r}; "
            "a number above 0 and one from 0 to 1 are needed"
        )
    for key in ("file", "reference", "protocol"):
        if not isinstance(values.get(key, ""), str):
            raise ConfigError(f"{path}: {key} is {values[key]!r}; a text is needed")


def eval_section(evaluated: Sequence[Evaluated]) -> Section:
    """Show evaluations, those of one reference mesh as its rates."""
    by_shape: dict[str, list[Evaluated]] = {}
    for each in sorted(evaluated, key=lambda each: (each.shape, each.values["bytes"])):
        by_shape.setdefault(each.shape, []).append(each)
    protocols = sorted(
        {f"{each.values['protocol']}, {each.values['points']:,} points" for each in evaluated}
    )
    lines = len(by_shape) <= _MOST_GROUPS
    groups = {name: spread(_points(of_shape), MOST_POINTS) for name, of_shape in by_shape.items()}
    if not lines:
        # With a line for each there would be no telling them apart.
        groups = {"all": spread(_points(evaluated), MOST_POINTS)}
    curves = points_figure(groups, lines=lines)
    shown = spread(list(evaluated), MOST_ROWS)
    columns = {
        key: column
        for key, column in _COLUMNS.items()
        if any(e.values.get(key) is not None for e in evaluated)
    }
    note = "All evaluations."
    if len(shown) < len(evaluated):
        note = f"{len(shown):,} of {len(evaluated):,} evaluations, evenly spread by name."
    return Section(
        title="Evaluations",
        facts={
            "evaluations": f"{len(evaluated):,}",
            "shapes": f"{len(by_shape):,}",
            "IoU": "; ".join(protocols),
        },
        figures=[("IoU against bytes", curves)],
        table=Table(
            (Column("File"), Column("Reference"), *columns.values()),
            [
                (e.name, e.values.get("reference"), *(e.values.get(key) for key in columns))
                for e in shown
            ],
            note,
        ),
        subjects=_subjects(by_shape),
    )


def _points(evaluated: Sequence[Evaluated]) -> list[tuple[float, float, str]]:
    return [(e.values["bytes"], e.values["iou"], e.name) for e in evaluated]


def _subjects(by_shape: dict[str, list[Evaluated]]) -> list[Subject]:
    """Shapes whose files are still there, the lowest IoU first."""
    subjects = []
    for name, evaluated in sorted(by_shape.items(), key=lambda item: item[1][0].values["iou"]):
        # A mesh that was measured is no file to decode.
        files = [e for e in evaluated if str(e.values.get("file", "")).lower().endswith(".doh")]
        if files:
            subjects.append(
                Subject(
                    name=name,
                    note="evaluated",
                    levels=tuple(_level(e) for e in spread(files, MOST_LEVELS)),
                    original=files[0].values.get("reference"),
                    original_sha256=None,
                )
            )
    return subjects[:_MOST_SUBJECTS]


def _level(evaluated: Evaluated) -> Level:
    values = evaluated.values
    return Level(values["bytes"], values["iou"], evaluated.name, reader(Path(values["file"])))
