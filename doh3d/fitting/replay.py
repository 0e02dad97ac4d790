"""Work on static tensors that is recorded once and then replayed, where a device can do so.

A step of a small fit is several hundred operations on a few thousand numbers. On a GPU each takes
a few microseconds, and as long to be launched by the host; a CUDA graph launches them all at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

_log = logging.getLogger(__name__)

# Calls before the one that is recorded: libraries set themselves up in them.
_WARM_UPS = 2


class Replay:
    """Calls work that does the same operations on the same tensors each time.

    What differs from call to call is in tensors that the caller writes to beforehand. The work
    reads nothing back, makes no decision by a tensor's value, and leaves its results in tensors
    that were there before.

    Parameters
    ----------
    work : callable
    device : torch.device
        On CUDA the work is recorded as a graph when it is called for the third time, and replayed
        from then on. Elsewhere it is called each time.
    """

    def __init__(self, work: Callable[[], None], device: torch.device) -> None:
        self._work, self._device = work, device
        # A device may be there in name only, to try a program without it.
        self._records = device.type == "cuda" and torch.cuda.is_available()
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do the work."""
        if not self._records:
            self._work()
            return
        # Streams and graphs are of the current device, which may be another.
        with torch.cuda.device(self._device):
            self._recorded_or_called()

    def _recorded_or_called(self) -> None:
        self._calls += 1
        if self._calls <= _WARM_UPS:
            self._warm_up()
            return
        if self._graph is None:
            self._record()
        if self._graph is None:
            self._work()
        else:
            self._graph.replay()

    def _warm_up(self) -> None:
        """Call the work on a stream of its own, as graphs are recorded on one."""
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self._work()
        current.wait_stream(stream)

    def _record(self) -> None:
        """Record the work, which does nothing yet; what cannot be recorded is called each time."""
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._work()
        except RuntimeError as error:
            first_line = str(error).strip().split("\n")[0]
            _log.warning("a step cannot be recorded as a CUDA graph, and is slower: %s", first_line)
            self._records = False
            return
        self._graph = graph
