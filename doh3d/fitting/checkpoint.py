"""Where an interrupted compression goes on: its finished fits and the one under way, in a file."""

from __future__ import annotations

import io
import json
import logging
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.files import check_output, write_atomically

_log = logging.getLogger(__name__)

# Where a piece of work stands, or what it has come to: arrays by name.
State: TypeAlias = dict[str, npt.NDArray[Any]]

# Seconds between two writes; more where writing is slow, so that it takes no more than its share.
SAVE_SECONDS = 5.0
SAVE_SHARE = 0.01

_IDENTITY = "identity"

# Names in an identity whose values are digests of a signal's content.
_CONTENTS = ("mesh", "grid", "image")
_ONGOING, _FINISHED = "ongoing", "finished"

# What reading something else as an archive, or as JSON, ends with.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


class Checkpoint:
    """What a compression has done so far, kept in a file.

    A compression is a sequence of pieces of work, fits and measurements, each of which has a
    name. After an interruption it is run from its start again, and takes what is here from
    here. The file is a NumPy archive of plain arrays: reading one executes nothing.

    Parameters
    ----------
    path : path
        Read where it exists; written as the work goes on.
    identity : mapping
        What the work follows from, as names and JSON's plain values: options, digest of the
        signal, versions.

    Raises
    ------
    ConfigError
        If the file is damaged or no checkpoint, if it belongs to work of another identity
        (the message names the first difference), or if no file can be written there.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._identity = dict(identity)
        self._states: dict[str, dict[str, State]] = {_ONGOING: {}, _FINISHED: {}}
        self._failed = False
        check_output(self.path)
        if self.path.exists():
            self._read()
        self._next_write = time.monotonic() + SAVE_SECONDS

    def work(self, name: str) -> Work:
        """One piece of the work; no slash in its name."""
        return Work(self, name)

    def _find(self, kind: str, name: str, like: State) -> State | None:
        state = self._states[kind].get(name)
        if state is not None and _outline(state) != _outline(like):
            raise ConfigError(f"{self.path}: does not fit this compression; delete it")
        return state

    def _keep(self, kind: str, name: str, state: State) -> None:
        # One piece of work is under way at a time, and none when one has just been finished.
        self._states[_ONGOING].clear()
        self._states[kind][name] = state
        started = time.monotonic()
        arrays = {_IDENTITY: np.array(json.dumps(self._identity))}
        for each, states in self._states.items():
            for piece, values in states.items():
                arrays |= {f"{each}/{piece}/{key}": array for key, array in values.items()}
        archive = io.BytesIO()
        np.savez(archive, allow_pickle=False, **arrays)
        try:
            write_atomically(self.path, archive.getvalue())
        except ConfigError as error:
            # The work itself is worth more than what it could be taken up from.
            if not self._failed:
                _log.warning("going on without a checkpoint: %s", error)
            self._failed = True
        ended = time.monotonic()
        self._next_write = ended + max(SAVE_SECONDS, (ended - started) / SAVE_SHARE)

    def _read(self) -> None:
        try:
            data = io.BytesIO(self.path.read_bytes())
            with np.load(data, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
            identity = json.loads(str(arrays.pop(_IDENTITY)))
            if not isinstance(identity, dict):
                raise ValueError("the identity is no table of names and values")
            for path, array in arrays.items():
                kind, name, key = path.split("/")
                self._states[kind].setdefault(name, {})[key] = array
        except _DAMAGE as error:
            raise ConfigError(
                f"{self.path}: is no checkpoint, or a damaged one; name another file, or delete it "
                "if it is one"
            ) from error
        for name in self._identity | identity:
            was, now = identity.get(name), self._identity.get(name)
            if was != now:
                other = (
                    f"another {name}" if name in _CONTENTS else f"{name} {was!r} and not {now!r}"
                )
                raise ConfigError(
                    f"{self.path}: belongs to a compression with {other}; "
                    "delete it, or name another file"
                )


class Work:
    """One piece of the work that a checkpoint keeps."""

    def __init__(self, checkpoint: Checkpoint, name: str) -> None:
        self._checkpoint = checkpoint
        self._name = name

    def finished(self, like: State) -> State | None:
        """Return what it came to; None where it is not finished.

        Raises
        ------
        ConfigError
            If the arrays found are not of the names, shapes and kinds of those in `like`.
        """
        return self._checkpoint._find(_FINISHED, self._name, like)

    def ongoing(self, like: State) -> State | None:
        """Return where it stood; None where it was not under way. Raises as `finished`."""
        return self._checkpoint._find(_ONGOING, self._name, like)

    @property
    def due(self) -> bool:
        """Whether it is time to `keep` where it stands."""
        return time.monotonic() >= self._checkpoint._next_write

    def keep(self, state: State) -> None:
        """Write where it stands."""
        self._checkpoint._keep(_ONGOING, self._name, state)

    def finish(self, state: State) -> None:
        """Write what it came to."""
        self._checkpoint._keep(_FINISHED, self._name, state)


def _outline(state: State) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    return {key: (array.shape, array.dtype) for key, array in state.items()}
