"""What a command does when it is told to stop."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def exit_on_signals() -> None:
    """Make Ctrl-C and SIGTERM end the program tidily: one line, exit status 130 or 143.

    The program unwinds, so that temporary files are removed. A second signal kills it at once.
    A signal that whoever started the program has it ignore stays ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    # Past Python's buffers: the signal may have come while they were being written to.
    os.write(2, b"doh3d: interrupted\n")
    raise SystemExit(128 + number)
