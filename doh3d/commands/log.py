"""The package's log on standard error, for as long as a command runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("doh3d")


class _Lines(logging.Handler):
    """One line a message, in the form of the command's other words.

    A mesh may be read twice by one command; what is said of it is said once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        kind = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        line = f"doh3d: {kind}{' '.join(record.getMessage().split())}"
        if line not in self._said:
            self._said.add(line)
            # Looked up now: a progress bar puts itself in its place, so as not to be torn.
            print(line, file=sys.stderr)


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Show warnings, and after `be_verbose` everything worth a word."""
    handler, level = _Lines(), _log.level
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)


def be_verbose() -> None:
    """Show what is done: fits, repairs, retries."""
    _log.setLevel(logging.INFO)
