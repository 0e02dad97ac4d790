"""The process that does the work: what it sets up for itself, and which device it takes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Numbers the workers of a machine, so that each takes one of its devices in turn.
_INDEX_VARIABLE = "DOH3D_WORKER_INDEX"

# Where memory runs out the kernel should end a worker, which costs one attempt, and no driver.
_OOM_SCORE = "500"


def prepare_process(index: int) -> None:
    """Set up a worker process of this machine, before anything heavy is loaded."""
    use_one_thread()
    os.environ[_INDEX_VARIABLE] = str(index)
    # Ctrl-C reaches the whole group; the driver ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OOM_SCORE)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def use_one_thread() -> None:
    """Tell libraries that have yet to load to use one thread each."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{name}_NUM_THREADS"] = "1"


def worker_device(device: str) -> torch.device:
    """Device of this process: where there are several of the kind, each worker has its own."""
    import torch

    from doh3d.devices import resolve_device

    # Also where torch was loaded before the variables were set.
    torch.set_num_threads(1)
    resolved = resolve_device(device)
    if str(resolved) == "cuda":
        index = int(os.environ.get(_INDEX_VARIABLE, "0"))
        return torch.device("cuda", index % torch.cuda.device_count())
    return resolved


class DeviceTurn:
    """Gives a GPU to one of the processes of a machine that share it, to the others in turn.

    While one fits, others read, repair, sample and measure: so a GPU hardly waits for anyone. A
    process that ends, however that came, gives its turn back. A CPU is nobody's.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    waited : float
        Seconds, in all turns together.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.waited = 0.0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for a turn, and give back the turn and the device's memory at its end."""
        if self._device.type != "cuda":
            yield
            return
        import fcntl

        import torch

        # By its own number: what is device 0 to one process may be another to the next.
        name = torch.cuda.get_device_properties(self._device).uuid
        path = Path(tempfile.gettempdir()) / f"doh3d-{os.getuid()}-{name}.lock"
        started = time.perf_counter()
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.waited += time.perf_counter() - started
            try:
                yield
            finally:
                torch.cuda.empty_cache()


@contextlib.contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """Keep what the package warns of in the log, rather than print it."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(" ".join(record.getMessage().split()))

    logger, handler = logging.getLogger("doh3d"), Keep(logging.WARNING)
    propagated = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that came."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
