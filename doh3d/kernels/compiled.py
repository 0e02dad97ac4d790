"""How kernels are compiled, and where what was compiled is kept."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

# Sums may be taken in another order, and products rounded together with them, so that loops become
# vectors. What is no number stays so: it tells that a fit has diverged.
_FREEDOMS = {"contract", "reassoc", "nsz", "arcp"}

_log = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function when it is first called. It runs without Python's lock.

    What was compiled is kept on disk: in ``NUMBA_CACHE_DIR`` where that is set, beside this file
    where one can write there, and among the user's caches elsewhere.
    """
    return _compiled(function, None)


def kernel_of(signature: Any) -> Callable[[_Function], _Function]:
    """Make a `kernel` of one signature.

    Otherwise each combination of constants among the arguments would be compiled anew.
    """
    return lambda function: _compiled(function, signature)


def _compiled(function: _Function, signature: Any) -> _Function:
    before = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    directory = _directory(before)
    _say_if_new(directory)
    numba.config.CACHE_DIR = directory  # type: ignore[attr-defined]
    jit: Any = functools.partial(
        numba.njit, signature, nogil=True, fastmath=_FREEDOMS, error_model="numpy"
    )
    try:
        compiled = jit(cache=True)(function)
    except RuntimeError:
        # There is no place to write to: what is compiled serves this process only.
        compiled = jit()(function)
    finally:
        numba.config.CACHE_DIR = before  # type: ignore[attr-defined]
    return cast(_Function, compiled)


def _directory(chosen: str) -> str:
    """Return where to keep what the present sources of all kernels become; "" leaves it to numba.

    numba looks at a function's own file only. One whose callees have changed in another would be
    taken from the cache as it was.
    """
    here = Path(__file__).parent
    base = Path(chosen) if chosen else here / "__pycache__"
    if not chosen and not os.access(base if base.exists() else here, os.W_OK):
        return ""
    return str(base / f"kernels-{_digest(here)}")


@functools.cache
def _say_if_new(directory: str) -> None:
    if directory and not Path(directory).exists():
        _log.info("compiling the loops of a fit, once on this machine: some fifteen seconds")


@functools.cache
def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
