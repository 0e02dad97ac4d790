"""How a command loads what it computes with."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def loading() -> Iterator[None]:
    """Import modules in here: nobody looks for garbage among what they make, then or later.

    They make hundreds of thousands of objects, which stay until the command ends: to look through
    them again and again takes a fifth of the time that they load in.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _freeze()
        if collected:
            gc.enable()


@cache
def _freeze() -> None:
    """Keep what there is from being searched; of several commands the first loads nearly all."""
    gc.freeze()
    # Some modules keep an exception from their loading, and with it the variables of who loaded
    # them. All must be free to go at the end, or libigl complains of what is left.
    atexit.register(gc.unfreeze)
