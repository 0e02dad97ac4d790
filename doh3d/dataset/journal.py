"""Rows that no part holds yet: a line each, on the disk as soon as they are finished.

A journal is named as the part that its rows will be in. Its writer holds a lock on it, which
ends with the process however that ends: what is not locked was left behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from doh3d.dataset.rows import AnyRow, from_json, to_json
from doh3d.dataset.shard import Shard
from doh3d.errors import ConfigError

SUFFIX = ".jsonl"

# Rows survive the end of the process at once, and that of the machine after so long.
_SYNC_SECONDS = 1.0


@dataclass(frozen=True)
class JournalHeader:
    """The first line: who writes.

    Attributes
    ----------
    columns : str
        Kind and version of the rows.
    shard : Shard
    process : int
    host : str
    """

    columns: str
    shard: Shard
    process: int
    host: str

    def to_json(self) -> bytes:
        """Return the line."""
        values = {
            "columns": self.columns,
            "shard": str(self.shard),
            "process": self.process,
            "host": self.host,
        }
        return json.dumps(values).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> JournalHeader:
        """Undo `to_json`; ValueError or KeyError for another line."""
        values = json.loads(line)
        return cls(
            values["columns"], Shard.parse(values["shard"]), values["process"], values["host"]
        )


class JournalWriter(Generic[AnyRow]):
    """A journal of this process. Made under the folder's lock."""

    def __init__(self, path: Path, row_type: type[AnyRow], shard: Shard) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._synced = time.monotonic()
        # Rows come in groups, and the next may be long in coming: what is not on the disk at once
        # is put there by a timer.
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        header = JournalHeader(_columns(row_type), shard, os.getpid(), socket.gethostname())
        self._write(header.to_json())

    def append(self, row: AnyRow) -> int:
        """Write a row; return the bytes of its line."""
        line = to_json(row)
        self._write(line)
        return len(line)

    def remove(self) -> None:
        """Delete the journal, its rows being in a part, or unlock it where it is gone."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += os.write(self._descriptor, memoryview(data)[written:])
        with self._lock:
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()
            elif self._timer is None:
                self._timer = threading.Timer(_SYNC_SECONDS, self._sync_later)
                self._timer.daemon = True
                self._timer.start()

    def _sync_later(self) -> None:
        with self._lock:
            self._timer = None
            if self._descriptor != -1:
                with suppress(OSError):
                    os.fsync(self._descriptor)
                self._synced = time.monotonic()


@dataclass(frozen=True)
class FoundJournal:
    """A journal that lay in the folder.

    Attributes
    ----------
    path : Path
    live : bool
        Whether its writer is still there.
    """

    path: Path
    live: bool

    @property
    def name(self) -> str:
        """Of the part that its rows belong to."""
        return self.path.name.removesuffix(SUFFIX)

    def header(self) -> JournalHeader | None:
        """Who wrote it; None where even the first line is cut."""
        with suppress(ValueError, KeyError, TypeError, ConfigError):
            return JournalHeader.from_json(self.path.read_bytes().split(b"\n", 1)[0])
        return None

    def rows(self, row_type: type[AnyRow]) -> list[AnyRow]:
        """Return its rows; what follows the last whole line is no row.

        Raises
        ------
        ConfigError
            If it holds other rows, or a line is damaged.
        """
        data = self.path.read_bytes()
        lines = data[: data.rfind(b"\n") + 1].splitlines()[1:]
        if not lines:
            return []
        header = self.header()
        if header is None or header.columns != _columns(row_type):
            raise ConfigError(
                f"{self.path}: holds rows of another version; finish with the version that "
                "wrote them, or remove the file"
            )
        rows = []
        for number, line in enumerate(lines, start=2):
            try:
                rows.append(from_json(row_type, line))
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{self.path}: line {number} is damaged; remove it") from error
        return rows


def find_journals(folder: Path) -> list[FoundJournal]:
    """List a folder's journals, by name."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(FoundJournal(path, live=True))
        else:
            found.append(FoundJournal(path, live=False))
        finally:
            os.close(descriptor)
    return found


def _columns(row_type: type[AnyRow]) -> str:
    return f"{row_type.FOLDER} {row_type.COLUMNS_VERSION}"
