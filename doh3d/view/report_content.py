"""What a report is made of: sections, each with figures, a table and shapes to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

# Rows of a table, points of a figure, and rate levels of a shape that go into a page; a collection
# may have millions.
MOST_ROWS = 400
MOST_POINTS = 2000
MOST_LEVELS = 8
_MOST_REASONS = 20
_MOST_LETTERS = 300

Item = TypeVar("Item")


@dataclass(frozen=True)
class Level:
    """One file of a shape.

    Attributes
    ----------
    size : int
        In bytes.
    iou : float or None
    label : str
        What tells it from the shape's others.
    read : callable
        Gives the bytes of the `.doh` file; raises Doh3dError where it is gone.
    """

    size: int
    iou: float | None
    label: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Subject:
    """A shape that gets pictures.

    Attributes
    ----------
    name : str
    note : str
        Why this one.
    levels : tuple of Level
        By bytes.
    original : str or None
        Path of its mesh, as it was recorded.
    original_sha256 : str or None
        What that file must be.
    """

    name: str
    note: str
    levels: tuple[Level, ...]
    original: str | None
    original_sha256: str | None


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and decimals of its numbers (None for text)."""

    title: str
    decimals: int | None = None


# Distances between surfaces by the names of their columns, in tables of rows. Those of earlier
# versions were measured from point to point: they never stand under the same heading.
SURFACE_COLUMNS = {
    "surface_chamfer_l1": Column("Chamfer-L1", 5),
    "surface_f_score": Column("F-score", 4),
    "surface_normal_consistency": Column("Normals", 4),
    "chamfer_l1": Column("Chamfer-L1, point to point", 5),
    "f_score": Column("F-score, point to point", 4),
    "normal_consistency": Column("Normals, point to point", 4),
}


@dataclass(frozen=True)
class Table:
    """Rows to sort.

    Attributes
    ----------
    columns : tuple of Column
    rows : list of tuples
        A value for each column; None where there is none.
    note : str
        Which rows these are.
    """

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    note: str


@dataclass(frozen=True)
class Section:
    """A sweep, collections that belong together, or evaluations.

    Attributes
    ----------
    title : str
    facts : dict
        Short texts by name.
    figures : list of (caption, figure)
        plotly figures.
    table : Table
    subjects : list of Subject
    reasons : list of str
        What failed, a line each.
    """

    title: str
    facts: dict[str, str]
    figures: list[tuple[str, Any]]
    table: Table
    subjects: list[Subject]
    reasons: list[str] = field(default_factory=list)


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int)]


def shortened(text: str) -> str:
    """Return a text's beginning where it is very long: names may be of any length."""
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def shown_reasons(reasons: Sequence[str]) -> list[str]:
    """Return the first reasons, and how many there are besides."""
    more = len(reasons) - _MOST_REASONS
    return list(reasons[:_MOST_REASONS]) + ([f"and {more} more"] if more > 0 else [])


def is_file_of(path: Path, sha256: str | None) -> bool:
    """Whether a file is there, and is the one that was meant."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return sha256 is None or hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
