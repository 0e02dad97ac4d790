"""What a command does when it is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM end the program tidily: one line, exit status 130 or 143.

    The program unwinds, so that temporary files are removed. A second signal kills it at once.
    A signal that whoever started the program has it ignore stays ignored.
    """
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        # Past Python's buffers: the signal may have come while they were being written to.
        os.write(2, b"doh3d: interrupted\n")
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    except Exception:
        # Libraries that take an interrupted import for a missing one go on, and fail later.
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
