"""The folder of a dataset: its rows are each written once, whatever stops a run.

`dataset.json` says what all rows have in common; `shapes` holds the rows, in Parquet files;
`journal` holds rows of runs in progress, and what runs that were killed have left.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from doh3d.dataset.journal import SUFFIX, FoundJournal, JournalWriter, find_journals
from doh3d.dataset.parts import PartFolder
from doh3d.dataset.rows import AnyRow
from doh3d.dataset.shard import Shard
from doh3d.errors import ConfigError
from doh3d.files import utf8_name, write_atomically

# A part has at most so many rows, made of so many bytes of journal: what a run keeps in memory.
PART_ROWS = 4096
_PART_BYTES = 2**25

_RUN_BYTES = 6

# A URL's scheme; of its two slashes a Path keeps one.
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)

IDENTITY_FILE = "dataset.json"


@dataclass(frozen=True)
class StoreIdentity:
    """What all rows of a folder have in common.

    Attributes
    ----------
    values : dict
        Names and JSON values; where one differs, the rows belong to another dataset.
    remedy : str
        What a user may do then.
    """

    values: dict[str, Any]
    remedy: str = "name another folder"

    def check(self, path: Path, found: Any) -> None:
        """Raise ConfigError, naming what differs, unless `found` is the same."""
        theirs, ours = _flat(found), _flat(self.values)
        differing = [name for name in ours if theirs.get(name) != ours[name]]
        if differing:
            shown = [
                ", ".join(f"{name} {json.dumps(values.get(name))}" for name in differing)
                for values in (theirs, ours)
            ]
            raise ConfigError(
                f"{path.parent}: was begun with {shown[0]}, not {shown[1]}; {self.remedy}"
            )


class RowStore(Generic[AnyRow]):
    """Rows of one kind in a local folder.

    Parameters
    ----------
    path : Path
        The dataset's folder; nothing is made before `writer`.
    row_type : type of Row
    identity : StoreIdentity
    """

    def __init__(self, path: Path, row_type: type[AnyRow], identity: StoreIdentity) -> None:
        self.path = path
        self.row_type = row_type
        self.parts = PartFolder(path / row_type.FOLDER, row_type)
        self.journals = path / "journal"
        self._identity = identity
        self._identity_path = path / IDENTITY_FILE

    def check(self) -> None:
        """Raise ConfigError where the folder holds other rows, or cannot be one."""
        if _URL.match(str(self.path)):
            raise ConfigError(f"{self.path}: is a URL; datasets are written to local folders")
        # Arrow opens no others.
        if utf8_name(str(self.path)) != str(self.path):
            raise ConfigError(f"{self.path}: the name is not UTF-8; name another folder")
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path}: is not a folder; name one for the dataset")
        if not self._identity_path.exists():
            if self.parts.path.exists() or self.journals.exists():
                raise ConfigError(
                    f"{self.path}: holds rows without their {self._identity_path.name}; "
                    "name another folder"
                )
            return
        try:
            found = json.loads(self._identity_path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{self._identity_path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{self._identity_path}: is not the JSON of a dataset") from error
        version = found.get("version") if isinstance(found, dict) else None
        earlier = self.row_type.EARLIER_VERSIONS.get(version) if isinstance(version, int) else None
        if earlier is not None:
            raise ConfigError(
                f"{self.path}: was begun with {earlier} (columns version {version}, now "
                f"{self.row_type.COLUMNS_VERSION}), which are read but not continued; name another "
                "folder, or move this one away"
            )
        self._identity.check(self._identity_path, found)

    def scan(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield some columns of the rows that are in parts."""
        return self.parts.scan(columns)

    @contextmanager
    def writer(self, shard: Shard) -> Iterator[RowWriter[AnyRow]]:
        """Open the folder for the rows of a shard; in the end all rows are in parts.

        What runs that were killed have left is put into parts first.

        Raises
        ------
        ConfigError
            If the folder holds other rows, another run writes rows of the same shard, or the
            folder cannot be written to.
        """
        self.check()
        try:
            self.journals.mkdir(parents=True, exist_ok=True)
            if not self._identity_path.exists():
                text = json.dumps(self._identity.values, indent=2) + "\n"
                write_atomically(self._identity_path, text.encode())
            with self.locked():
                self._recover(shard)
                writer = RowWriter(self, shard)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from error
        try:
            yield writer
        finally:
            writer.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock: for what must not happen twice at once."""
        descriptor = os.open(self.journals / "lock", os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _recover(self, shard: Shard) -> None:
        for journal in find_journals(self.journals):
            if journal.live:
                self._check_live(journal, shard)
                continue
            # Its writer was killed between writing the part and deleting the journal.
            if not self.parts.has(journal.name):
                rows = journal.rows(self.row_type)
                if rows:
                    self.parts.write(journal.name, rows)
            journal.path.unlink()

    def _check_live(self, journal: FoundJournal, shard: Shard) -> None:
        header = journal.header()
        if header is None or header.shard.overlaps(shard):
            who = "" if header is None else f" (process {header.process} on {header.host})"
            raise ConfigError(
                f"{self.path}: another run{who} is writing to it; wait for it, or give both "
                "their --shard"
            )


class RowWriter(Generic[AnyRow]):
    """Rows on their way to the parts of a folder."""

    def __init__(self, store: RowStore[AnyRow], shard: Shard) -> None:
        self._store = store
        self._shard = shard
        self._run = secrets.token_hex(_RUN_BYTES)
        self._number = 0
        self._rows: list[AnyRow] = []
        self._bytes = 0
        self._journal = self._new_journal()

    def append(self, row: AnyRow) -> None:
        """Write a row: it survives whatever happens to this process."""
        try:
            self._bytes += self._journal.append(row)
        except OSError as error:
            raise ConfigError(
                f"{self._journal.path}: cannot be written: {error.strerror}"
            ) from error
        self._rows.append(row)
        if len(self._rows) >= PART_ROWS or self._bytes >= _PART_BYTES:
            before = self._journal
            self._put_into_part()
            self._number += 1
            # The new one first: one of them is always there, and locked.
            with self._store.locked():
                self._journal = self._new_journal()
                before.remove()

    def drop(self, ids: Collection[str]) -> None:
        """Remove rows of this shard from the parts; they are to be made anew."""
        if ids:
            with self._store.locked():
                self._store.parts.drop(ids)

    def close(self) -> None:
        """Put the last rows into a part."""
        self._put_into_part()
        with self._store.locked():
            self._journal.remove()

    def _put_into_part(self) -> None:
        if self._rows:
            self._store.parts.write(self._part_name, self._rows)
        self._rows, self._bytes = [], 0

    @property
    def _part_name(self) -> str:
        return f"part-{self._run}-{self._number:06d}"

    def _new_journal(self) -> JournalWriter[AnyRow]:
        path = self._store.journals / f"{self._part_name}{SUFFIX}"
        return JournalWriter(path, self._store.row_type, self._shard)


def _flat(values: Any) -> dict[str, Any]:
    """Options in one dictionary, those of a configuration by their own names."""
    if not isinstance(values, dict):
        return {}
    nested = {key: value for key, value in values.items() if not isinstance(value, dict)}
    for value in values.values():
        if isinstance(value, dict):
            nested |= value
    return nested
