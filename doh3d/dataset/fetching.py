"""Getting a source's bytes to where a mesh reader can read them."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from doh3d.dataset.sources import is_url
from doh3d.errors import Doh3dError
from doh3d.files import other_kind
from doh3d.volumes.files import split_label, with_label

_log = logging.getLogger(__name__)

# Before a source is tried again, doubled each time.
_FIRST_WAIT_SECONDS = 0.5

_CHUNK_BYTES = 2**20

_Found = TypeVar("_Found")


class SourceError(Doh3dError):
    """A source cannot be read: a failure of its place, not of the mesh."""


@dataclass(frozen=True)
class Fetched:
    """A source on the local disk.

    Attributes
    ----------
    path : Path
        Of a label map's label with that, as `doh3d.volumes.files.split_label` takes it apart.
    sha256 : str
    size : int
        Of the file, in bytes.
    """

    path: Path
    sha256: str
    size: int


@contextmanager
def fetched(source: str, *, retries: int = 0) -> Iterator[Fetched]:
    """Have a source on the local disk for a while; local files stay where they are.

    Raises
    ------
    SourceError
        If it cannot be read, having been tried `retries` times again.
    """
    if not is_url(source):
        place, label = split_label(source)
        path = Path(place)
        other = other_kind(path)
        if other is not None:
            raise SourceError(f"{source}: cannot be read: it is {other}; a mesh file is needed")
        sha256, size = _retried(lambda: _digest(path), source, retries)
        yield Fetched(Path(with_label(place, label)), sha256, size)
        return
    with tempfile.TemporaryDirectory(prefix="doh3d-") as folder:
        path = Path(folder) / (PurePosixPath(source.partition("::")[0]).name or "mesh")
        _retried(lambda: _download(source, path), source, retries)
        sha256, size = _digest(path)
        yield Fetched(path, sha256, size)


def source_sha256(source: str) -> str:
    """SHA-256 of a source's bytes, in hexadecimal; SourceError where it cannot be read."""
    with fetched(source) as found:
        return found.sha256


def _digest(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _download(source: str, path: Path) -> None:
    import fsspec

    with fsspec.open(source, "rb") as remote, path.open("wb") as local:
        while chunk := remote.read(_CHUNK_BYTES):
            local.write(chunk)


def _retried(read: Callable[[], _Found], source: str, retries: int) -> _Found:
    wait = _FIRST_WAIT_SECONDS
    for attempt in range(retries + 1):
        try:
            return read()
        # fsspec's file systems raise errors of many kinds.
        except Exception as error:
            gone = isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError)
            if attempt == retries or gone:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                reason = " ".join(reason.split())
                raise SourceError(f"{source}: cannot be read: {reason}") from error
            _log.info("%s: cannot be read (%s); trying again in %.0f s", source, error, wait)
        time.sleep(wait)
        wait *= 2
    raise AssertionError
