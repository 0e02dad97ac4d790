"""Which torch device to compute on."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from doh3d.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda", "mps")


# Settings of torch belong to the whole process, and are changed by one thread at a time.
_settings_lock = threading.Lock()


def has_kernels(like: torch.Tensor) -> bool:
    """Whether compiled loops, `doh3d.kernels`, take this tensor: float32, on a CPU.

    Where there is no numba torch's operations do all.
    """
    on_cpu = like.device.type == "cpu" and like.dtype == torch.float32
    return on_cpu and importlib.util.find_spec("numba") is not None


@contextmanager
def one_thread() -> Iterator[int]:
    """Run the calling thread's CPU operations on it alone; gives how many threads they had.

    Operations of a few megaflops gain little from a second thread, and lose tenfold where
    another process keeps its core busy: OpenMP's threads wait for each other actively. One
    thread also makes results independent of how many there are.

    Other threads, those that are yet to start too, are left alone.
    """
    threads = torch.get_num_threads()
    set_own_threads(1)
    try:
        yield threads
    finally:
        set_own_threads(threads)


def set_own_threads(count: int) -> None:
    """Set on how many threads the CPU operations of the calling thread run, of no other.

    `torch.set_num_threads` does so too, but besides it sets what threads start with that are yet
    to compute for the first time. One that starts now shows that number, and puts it back.
    """
    with _settings_lock:
        initial = _in_new_thread(torch.get_num_threads)
        # A thread that never asked is given the initial number when it does.
        torch.get_num_threads()
        torch.set_num_threads(count)
        _in_new_thread(lambda: torch.set_num_threads(initial))


_Value = TypeVar("_Value")


def _in_new_thread(function: Callable[[], _Value]) -> _Value:
    found: list[_Value] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


class _FullPrecision:
    """Counts who needs products of float32 in full, and what the settings were before."""

    def __init__(self) -> None:
        self._users = 0
        self._before: list[str] = []

    def __enter__(self) -> None:
        with _settings_lock:
            if self._users == 0:
                self._before = _product_settings()
                _set_products(["ieee"] * len(self._before))
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with _settings_lock:
            self._users -= 1
            if self._users == 0:
                _set_products(self._before)


# Matrix products in TF32 or bfloat16, which a program may have asked torch for, would change
# files, and what is proved of a network's signs. As long as anyone is within, they are off.
full_precision = _FullPrecision()

# Since torch 2.9 each backend has a setting; one name for all of them before.
_BACKENDS = [
    backend.matmul
    for backend in (torch.backends.cuda, torch.backends.mkldnn)
    if hasattr(getattr(backend, "matmul", None), "fp32_precision")
]


def _product_settings() -> list[str]:
    if _BACKENDS:
        return [backend.fp32_precision for backend in _BACKENDS]
    return [torch.get_float32_matmul_precision()]


def _set_products(settings: list[str]) -> None:
    if not _BACKENDS:
        torch.set_float32_matmul_precision("highest" if settings == ["ieee"] else settings[0])
    for backend, setting in zip(_BACKENDS, settings, strict=bool(_BACKENDS)):
        # Setting what is set would make torch believe that the program prefers its new names.
        if backend.fp32_precision != setting:
            backend.fp32_precision = setting


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` (or ``cuda:1``) or ``mps`` into an available device.

    ``auto`` is CUDA where there is a GPU, and the CPU otherwise. MPS is taken by name only.

    Raises
    ------
    ConfigError
        For an unknown device, or one that this machine does not have.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.split(":")[0] not in DEVICES:
        raise ConfigError(f"device is {device!r}; it must be one of {', '.join(DEVICES)}")
    try:
        resolved = torch.device(device)
        torch.zeros(1, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} is not available on this machine") from error
    return resolved
