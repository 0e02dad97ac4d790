"""What a command does when it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Seconds until it is looked again whether an import has ended.
_PAUSE = 0.02


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM end the program tidily: one line, exit status 130 or 143.

    The program unwinds, so that temporary files are removed. A second signal kills it at once.
    A signal that whoever started the program has it ignore stays ignored.
    """
    received: list[int] = []
    # Of whoever enters this, below the frames of the manager and of its own.
    outermost = sys._getframe(2).f_code

    def stop(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGALRM:
            received.append(number)
            signal.signal(number, signal.SIG_DFL)
            # Past Python's buffers: the signal may have come while they were being written to.
            os.write(2, b"doh3d: interrupted\n")
        # Libraries take an import that was interrupted for a module that is missing, and go on.
        if _is_importing(frame, outermost):
            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, _PAUSE)
            return
        raise SystemExit(128 + received[0])

    before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGALRM)}
    for number in _SIGNALS:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    except Exception:
        # What an interruption has brought about is no error.
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    else:
        # Whoever has swallowed it has only put it off.
        if received:
            raise SystemExit(128 + received[0])
    finally:
        if received:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None, outermost: CodeType) -> bool:
    """Whether a module is being imported, by what runs in a frame of that code."""
    while frame is not None and frame.f_code is not outermost:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
