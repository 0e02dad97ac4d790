"""What a command works out while it waits for something else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread


def ahead(work: Callable[[], object]) -> None:
    """Do what will be asked for later, in a thread beside what is done now.

    `work` keeps what it finds where it will be looked for. Its errors are left to whoever asks. The
    process does not end before it: it is to be short.
    """

    def quietly() -> None:
        with suppress(Exception):
            work()

    Thread(target=quietly).start()
