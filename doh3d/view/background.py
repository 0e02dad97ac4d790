"""What goes on beside a window: computing in a thread, and drawing again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")

# Of each tick: enough to compute, too little to be felt when turning a shape.
_THREAD_SECONDS = 0.05
# After a change: about at once, then after twice as long each time, to 6 s. A renderer that is
# behind drops frames that come too soon, and on a busy machine a frame may take a second.
_FRAMES = 6
_FRAME_SECONDS = 0.2


class Background(Generic[Result]):
    """One job at a time in a thread, whose result the window's own thread takes."""

    def __init__(self) -> None:
        self._busy = False
        self._results: SimpleQueue[Result | Exception] = SimpleQueue()

    def start(self, job: Callable[[], Result]) -> bool:
        """Start a job; False, and nothing done, while there is another."""
        if self._busy:
            return False
        self._busy = True

        def run() -> None:
            try:
                self._results.put(job())
            except Exception as error:
                self._results.put(error)

        threading.Thread(target=run, daemon=True).start()
        return True

    def poll(self) -> Result | Exception | None:
        """Return what a job returned or raised, once; None until then.

        Waits a little while there is a job: Open3D keeps Python's lock between two ticks, and
        the thread needs it.
        """
        if not self._busy:
            return None
        time.sleep(_THREAD_SECONDS)
        if self._results.empty():
            return None
        self._busy = False
        return self._results.get()


class Redraws:
    """Frames still to be drawn: more than one for each change, since the renderer drops some."""

    def __init__(self) -> None:
        self._left, self._next, self._gap = 0, 0.0, _FRAME_SECONDS

    def ask(self) -> None:
        """Ask for the frames of a change."""
        self._left, self._gap = _FRAMES, _FRAME_SECONDS
        # Whatever is still due of an earlier change.
        self._next = min(self._next, time.monotonic() + _FRAME_SECONDS)

    def due(self) -> bool:
        """Whether to draw a frame now, which counts as drawn."""
        if not self._left or time.monotonic() < self._next:
            return False
        self._left -= 1
        self._next = time.monotonic() + self._gap
        self._gap *= 2
        return True
