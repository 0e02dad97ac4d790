"""Tables of results on disk: each row is written as it is measured, and says of which code it is.

A script that is run again measures what the table lacks, and what is there of another code. Rows
of the same key are replaced, so that a table has each once. Several processes may write to one
table: each of them reads and writes it whole, and under a lock.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import doh3d
from doh3d.files import write_atomically
from provenance import PROVENANCE, code, is_present, part_of, provenance

Row = dict[str, str]


def results_path(name: str) -> Path:
    """Where a table of this version's results lies."""
    return Path("results") / doh3d.__version__ / f"{name}.tsv"


class ResultTable:
    """A tab-separated file with its own columns, and after them those of `PROVENANCE`.

    Parameters
    ----------
    path : Path
        Its stem is the table's name.
    columns : sequence of str
        Rows of a file from before some column was added have nothing there.
    key : sequence of str
        Columns that tell what was measured. Rows with the same key were measured together.
    device : str
        On which the codec runs: where rows are asked for their processor.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], key: Sequence[str], *, device: str = "cpu"
    ) -> None:
        # Seeds are often part of a key, and stand in the columns for that.
        taken = set(PROVENANCE[1:]).intersection(columns)
        if taken:
            raise ValueError(f"{path}: columns {sorted(taken)} have the provenance's names")
        own = [column for column in columns if column not in PROVENANCE]
        self.columns = [*own, *PROVENANCE]
        self.key = tuple(key)
        self._path, self._name, self._device = path, path.stem, device
        path.parent.mkdir(parents=True, exist_ok=True)
        # The code that is loaded now counts, also if its files change while this process runs.
        for part in (part_of(self._name, {}), part_of(self._name, {"method": "other"})):
            code(part)

    def rows(self) -> list[Row]:
        """Read what is there."""
        if not self._path.exists():
            return []
        with self._path.open(newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            return [dict.fromkeys(self.columns, "") | row for row in reader]

    def has(self, **key: object) -> bool:
        """Whether the present code's rows of this key are there."""
        wanted = self._key_of(key)
        return any(
            self._key_of(row) == wanted and is_present(self._name, row) for row in self.rows()
        )

    def add(self, **values: object) -> Row:
        """Write a row with the given columns, the others empty; return it."""
        return self.add_all([values])[0]

    def add_all(self, rows: Iterable[Mapping[str, object]]) -> list[Row]:
        """Write rows that were measured together, in place of all of the same keys."""
        made = [self._filled(values) for values in rows]
        keys = {self._key_of(row) for row in made}
        with self._locked():
            kept = [row for row in self.rows() if self._key_of(row) not in keys]
            lines = [self.columns, *([row[c] for c in self.columns] for row in [*kept, *made])]
            text = "".join("\t".join(line) + "\n" for line in lines)
            write_atomically(self._path, text.encode())
        return made

    def _key_of(self, row: Mapping[str, object]) -> tuple[str, ...]:
        return tuple(str(row[column]) for column in self.key)

    def _filled(self, values: Mapping[str, object]) -> Row:
        unknown = set(values) - set(self.columns)
        if unknown:
            raise ValueError(f"{self._path}: there is no column {sorted(unknown)[0]}")
        known = provenance(self._name, values, self._device) | dict(values)
        texts = {c: "" if known.get(c) is None else str(known[c]) for c in self.columns}
        # Whatever a value's text is, in the table it is one cell.
        return {c: " ".join(text.split()) for c, text in texts.items()}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock: the table itself is another file after each row."""
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
