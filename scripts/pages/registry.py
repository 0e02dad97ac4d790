"""Tables and numbers of pages by name, and the rows that they are made from."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterable
from pathlib import Path

Row = dict[str, str]
Line = list[str]


class Results:
    """The tables of one version's results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = functools.cache(self._read_table)

    def rows(self, table: str, **wanted: object) -> list[Row]:
        """Rows of a table with these values; LookupError where there are none."""
        found = self.some(table, **wanted)
        if not found:
            raise LookupError(f"{table}.tsv has no row with {_words(wanted)}")
        return found

    def some(self, table: str, **wanted: object) -> list[Row]:
        """Rows of a table with these values, which may be none."""
        values = {column: str(value) for column, value in wanted.items()}
        rows = self._read(table)
        for column in values:
            if rows and column not in rows[0]:
                raise LookupError(f"{table}.tsv has no column {column}")
        return [row for row in rows if values.items() <= row.items()]

    def one(self, table: str, **wanted: object) -> Row:
        """Return the only row with these values."""
        found = self.rows(table, **wanted)
        if len(found) > 1:
            raise LookupError(f"{table}.tsv has {len(found)} rows with {_words(wanted)}")
        return found[0]

    def _read_table(self, table: str) -> list[Row]:
        path = self.folder / f"{table}.tsv"
        if not path.exists():
            raise LookupError(f"there is no {path.name}")
        with path.open(newline="") as file:
            return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _words(wanted: dict[str, object]) -> str:
    return ", ".join(f"{column} {value}" for column, value in wanted.items()) or "any value"


# A table's lines of cells, the first of which is its head.
MakeTable = Callable[[Results], Iterable[Line]]
TABLES: dict[str, MakeTable] = {}

# A number, from words that say which.
MakeNumber = Callable[..., str]
NUMBERS: dict[str, MakeNumber] = {}


def table(name: str) -> Callable[[MakeTable], MakeTable]:
    """Make a function known as the one for `<!-- table: name -->`."""

    def known(function: MakeTable) -> MakeTable:
        TABLES[name] = function
        return function

    return known


def number(name: str) -> Callable[[MakeNumber], MakeNumber]:
    """Make a function known as the one for `<!-- n: name words -->`."""

    def known(function: MakeNumber) -> MakeNumber:
        NUMBERS[name] = function
        return function

    return known


def mean(values: Iterable[float]) -> float:
    """Return the mean of one value at least."""
    known = list(values)
    return sum(known) / len(known)


def percent(value: float) -> str:
    """Write percents with a sign: -52%."""
    return f"{value:+.0f}%"


def size(value: str | float) -> str:
    """Write a count with commas: 16,000."""
    return f"{int(value):,}"


@number("cell")
def cell(results: Results, table: str, column: str, form: str, *wanted: str) -> str:
    """Write one cell of a table: `cell rd iou .4f mesh=spot method=codec preset=fast`."""
    row = results.one(table, **dict(each.split("=", 1) for each in wanted))
    return format(float(row[column]), form)
