"""What a run does, as lines of JSON for machines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from doh3d.dataset.progress import BatchProgress, WatchFunction
from doh3d.dataset.rows import Row, now
from doh3d.errors import ConfigError

_PROGRESS_SECONDS = 10.0

# Said once, at the start, or of no use in a log.
_LEFT_OUT = ("doh", "config")


@contextmanager
def json_log(path: Path | None) -> Iterator[JsonLog | None]:
    """Append to a log for a while; None where there is to be none.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    with file:
        yield JsonLog(file)


class JsonLog:
    """One JSON object a line, each with `event` and `time`."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._shown = 0.0

    def event(self, name: str, values: dict[str, Any]) -> None:
        """Write a line."""
        line = {"event": name, "time": now()} | values
        self._file.write(json.dumps(line, allow_nan=False, default=datetime.isoformat) + "\n")
        self._file.flush()

    def watch(self, progress: BatchProgress, row: Row | None) -> None:
        """Write of a shape that has ended, and every ten seconds where the run stands."""
        if row is not None:
            values = {
                field.name: getattr(row, field.name)
                for field in fields(row)
                if field.name not in _LEFT_OUT
            }
            self.event("shape" if row.error is None else "failure", values)
        if row is None or time.monotonic() - self._shown > _PROGRESS_SECONDS:
            self._shown = time.monotonic()
            self.event("start" if row is None else "progress", progress.to_dict())


def all_of(*watchers: WatchFunction | None) -> WatchFunction:
    """Call several functions in turn."""

    def watch(progress: BatchProgress, row: Any) -> None:
        for each in watchers:
            if each is not None:
                each(progress, row)

    return watch
