"""What a run has to do: a collection less what has been done, on disk rather than in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple

from doh3d.dataset.shard import Shard
from doh3d.dataset.sources import Source
from doh3d.errors import ConfigError

_CACHE_KIB = 8192
_PAGE = 1000


class Finished(NamedTuple):
    """A shape that has its row.

    Attributes
    ----------
    id : str
    sha256 : str or None
        Of the source that the row was made from; None where it could not be read.
    error_kind : str or None
    """

    id: str
    sha256: str | None
    error_kind: str | None


class Plan:
    """Sources and finished shapes in a database of its own, gone with the process.

    A context manager.
    """

    def __init__(self) -> None:
        # An empty name is a temporary file that SQLite has unlinked already.
        self._database = sqlite3.connect("")
        self._database.executescript(
            f"""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            PRAGMA cache_size = -{_CACHE_KIB};
            CREATE TABLE source
                (position INTEGER PRIMARY KEY, id TEXT UNIQUE, path TEXT, problem TEXT);
            CREATE TABLE finished (id TEXT PRIMARY KEY, sha256 TEXT, kind TEXT) WITHOUT ROWID;
            """
        )

    def __enter__(self) -> Plan:
        """Return itself."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Drop everything."""
        self._database.close()

    def add_sources(self, sources: Iterable[Source], shard: Shard) -> None:
        """Take up a shard's sources, in their order; one that is named twice counts once.

        Raises
        ------
        ConfigError
            If two sources have one id.
        """
        for source in sources:
            if shard.holds(source.id):
                self._add(source)

    def _add(self, source: Source) -> None:
        found = self._database.execute(
            "INSERT OR IGNORE INTO source (id, path, problem) VALUES (?, ?, ?)",
            (source.id, source.path, source.problem),
        )
        if found.rowcount:
            return
        held = _source(*self._one("SELECT id, path, problem FROM source WHERE id = ?", source.id))
        if held == source:
            return
        # An id that stands for a name which is not UTF-8 gives way to one that is a name.
        kept, moved = (source, held) if source.problem is None else (held, source)
        if moved.problem is None:
            raise ConfigError(
                f"two shapes have the id {source.id!r}: {held.path} and {source.path}"
            )
        self._database.execute("DELETE FROM source WHERE id = ?", (held.id,))
        self._add(kept)
        self._add(replace(moved, id=f"{moved.id}~"))

    def add_finished(self, finished: Iterable[Finished]) -> None:
        """Take up shapes that have their rows."""
        self._database.executemany("INSERT OR REPLACE INTO finished VALUES (?, ?, ?)", finished)

    def forget(self, ids: Iterable[str]) -> None:
        """Take shapes for unfinished again."""
        self._database.executemany("DELETE FROM finished WHERE id = ?", ((id_,) for id_ in ids))

    def sources(self) -> int:
        """How many sources there are."""
        return int(self._one("SELECT count(*) FROM source")[0])

    def finished(self, *, failed: bool) -> int:
        """How many sources have rows, of success or of failure."""
        return int(
            self._one(
                "SELECT count(*) FROM source JOIN finished USING (id) WHERE (kind IS NOT NULL) = ?",
                failed,
            )[0]
        )

    def missing(self) -> Iterator[Source]:
        """Yield the sources that have no row, in order."""
        for found in self._pages(
            "SELECT position, id, path, problem FROM source WHERE position > ? "
            "AND id NOT IN (SELECT id FROM finished) ORDER BY position LIMIT ?"
        ):
            yield _source(*found)

    def to_check(self) -> Iterator[tuple[Source, Finished]]:
        """Yield the sources that have a row, with it."""
        for id_, path, problem, sha256, kind in self._pages(
            "SELECT position, id, path, problem, sha256, kind FROM source JOIN finished USING (id) "
            "WHERE position > ? ORDER BY position LIMIT ?"
        ):
            yield (
                _source(id_, path, problem),
                Finished(
                    str(id_),
                    None if sha256 is None else str(sha256),
                    None if kind is None else str(kind),
                ),
            )

    def path_of(self, id_: str) -> str | None:
        """Where a source lies, by its id."""
        found = self._database.execute("SELECT path FROM source WHERE id = ?", (id_,)).fetchone()
        return None if found is None else str(found[0])

    def _pages(self, query: str) -> Iterator[tuple[object, ...]]:
        """Yield rows less their position, page by page, so that tables may change meanwhile."""
        position = 0
        while page := self._database.execute(query, (position, _PAGE)).fetchall():
            yield from (row[1:] for row in page)
            position = page[-1][0]

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._database.execute(query, values).fetchone()
        return row


def _source(id_: object, path: object, problem: object) -> Source:
    return Source(str(id_), str(path), None if problem is None else str(problem))
