"""Rows on disk, with the commit and the day that they were measured at."""

from __future__ import annotations

import csv
import datetime
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import doh3d
from doh3d.files import write_atomically

Row = dict[str, str]


class ResultTable:
    """A tab-separated file; rows are appended one by one, so that a killed run loses none.

    Columns named version, commit and date are filled in. Rows of a file from before some column
    was added have nothing there.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._columns = path, columns
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("\t".join(columns) + "\n")

    def rows(self) -> list[Row]:
        """Read what is there."""
        with self._path.open() as file:
            return [
                dict.fromkeys(self._columns, "") | row
                for row in csv.DictReader(file, delimiter="\t")
            ]

    def replace(self, rows: Iterable[Row]) -> None:
        """Write the table anew, whole or not at all."""
        lines = ["\t".join(row[column] for column in self._columns) for row in rows]
        write_atomically(self._path, "\n".join(["\t".join(self._columns), *lines, ""]).encode())

    def add(self, **values: object) -> Row:
        """Append a row with the given columns, the others empty, and return it."""
        values |= {
            "version": doh3d.__version__,
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
        }
        with self._path.open() as file:
            if file.readline().rstrip("\n").split("\t") != list(self._columns):
                self.replace(self.rows())
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
