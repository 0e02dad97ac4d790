"""Which torch device to compute on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from doh3d.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda", "mps")


@contextmanager
def one_thread() -> Iterator[int]:
    """Run torch's CPU operations on one thread for a while; gives how many there were.

    Operations of a few megaflops gain little from a second thread, and lose tenfold where
    another process keeps its core busy: OpenMP's threads wait for each other actively. One
    thread also makes results independent of how many there are.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` (or ``cuda:1``) or ``mps`` into an available device.

    Raises
    ------
    ConfigError
        For an unknown device, or one that this machine does not have.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if device.split(":")[0] not in DEVICES:
        raise ConfigError(f"device is {device!r}; it must be one of {', '.join(DEVICES)}")
    try:
        resolved = torch.device(device)
        torch.zeros(1, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} is not available on this machine") from error
    return resolved
