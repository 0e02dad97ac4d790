"""Rows on disk, with the commit and the day that they were measured at."""

from __future__ import annotations

import csv
import datetime
import subprocess
from collections.abc import Sequence
from pathlib import Path

import doh3d

Row = dict[str, str]


class ResultTable:
    """A tab-separated file; rows are appended one by one, so that a killed run loses none.

    Columns named version, commit and date are filled in.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._columns = path, columns
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("\t".join(columns) + "\n")

    def rows(self) -> list[Row]:
        """Read what is there."""
        with self._path.open() as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def add(self, **values: object) -> Row:
        """Append a row with the given columns, the others empty, and return it."""
        values |= {
            "version": doh3d.__version__,
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
        }
        row = {column: str(values.get(column, "")) for column in self._columns}
        with self._path.open("a") as file:
            file.write("\t".join(row.values()) + "\n")
        return row


def commit() -> str:
    """Short hash of the checkout, with a plus where it has changes."""
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()
