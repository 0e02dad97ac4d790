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
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        # At the end they are garbage. Whoever counts what is not freed then would complain.
        atexit.register(gc.unfreeze)
