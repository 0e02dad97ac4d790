"""How a command loads what it computes with."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
        # Of several commands in one process the first has loaded nearly everything.
        if not gc.get_freeze_count():
            gc.freeze()
            # Some modules keep an exception from their loading, and with it the variables of who
            # loaded them. All must be free to go at the end, or libigl complains of what is left.
            atexit.register(gc.unfreeze)
        if collected:
            gc.enable()
