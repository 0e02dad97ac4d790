"""Sizes and qualities of another method, read from a table."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import RatePoint


@dataclass(frozen=True)
class Baseline:
    """Another method's files.

    Attributes
    ----------
    name : str
    points : tuple of RatePoint
    """

    name: str
    points: tuple[RatePoint, ...]


def parse_baseline(text: str, mesh: str | Path) -> Baseline:
    """Read the baseline that ``NAME=FILE.tsv`` names; raises as `read_baseline`."""
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise ConfigError(f"baseline is {text!r}; it must be NAME=FILE.tsv")
    return read_baseline(name, path, mesh)


def read_baseline(name: str, path: str | Path, mesh: str | Path) -> Baseline:
    """Read a baseline from a tab-separated table.

    Parameters
    ----------
    name : str
        What a legend calls it.
    path : path
        A table with the columns `bytes` and `iou`. Others are ignored, except `mesh`: where
        there is one, only the rows that name this mesh's file count, by its name or without
        its extension.
    mesh : path

    Raises
    ------
    ConfigError
        If the file is no such table, or has no row for this mesh.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not text; a tab-separated table is needed") from error
    table = csv.DictReader(io.StringIO(text), delimiter="\t")
    columns = table.fieldnames or ()
    for column in ("bytes", "iou"):
        if column not in columns:
            raise ConfigError(
                f"{path}: line 1 names no column {column!r}; bytes and iou are needed"
            )
    names = {Path(mesh).name, Path(mesh).stem}
    points = [
        _point(row, f"{path}: line {table.line_num}")
        for row in table
        if "mesh" not in columns or row["mesh"] in names or Path(row["mesh"] or "").stem in names
    ]
    if not points:
        raise ConfigError(f"{path}: has no row for {Path(mesh).name}")
    return Baseline(name, tuple(points))


def _point(row: dict[str, str], place: str) -> RatePoint:
    try:
        size, iou = int(row["bytes"]), float(row["iou"])
    except (TypeError, ValueError):
        size, iou = 0, math.nan
    if size < 1 or not 0 <= iou <= 1:
        raise ConfigError(
            f"{place}: bytes {row['bytes']!r} and iou {row['iou']!r}; "
            "an integer above 0 and a number from 0 to 1 are needed"
        )
    return RatePoint(size, iou)
