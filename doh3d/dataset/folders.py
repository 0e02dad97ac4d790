"""The files below a local folder, through symbolic links too."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator

_log = logging.getLogger(__name__)


def walk_files(folder: str, depth: int | None = None) -> Iterator[str]:
    """Yield the paths of all files below a local folder, sorted within each folder.

    Links to folders are followed, after all that is reached without them, so that what lies below
    the folder itself has its own name. A folder is listed once: a link that leads to one which has
    been, as those do that go in a circle, is passed over with a line in the log; so is a folder
    that cannot be listed.

    Parameters
    ----------
    folder : str
    depth : int, optional
        How many levels of folders to look into, this one being the first.
    """
    listed: set[tuple[int, int]] = set()
    waiting = deque([(folder, depth)])
    while waiting:
        top, most = waiting.popleft()
        for root, folders, files in os.walk(top, onerror=_tell):
            found = os.stat(root)
            if (found.st_dev, found.st_ino) in listed:
                _log.warning(
                    "%s: is the folder %s, which is listed already; passed over",
                    root,
                    os.path.realpath(root),
                )
                folders.clear()
                continue
            listed.add((found.st_dev, found.st_ino))
            for name in sorted(files):
                yield os.path.join(root, name)
            left = None if most is None else most - 1 - _levels(root, top)
            if left == 0:
                folders.clear()
            folders.sort()
            links = [path for name in folders if os.path.islink(path := os.path.join(root, name))]
            waiting.extend((path, left) for path in links)


def _levels(folder: str, top: str) -> int:
    """How many folders one lies below another."""
    below = os.path.relpath(folder, top)
    return 0 if below == os.curdir else below.count(os.sep) + 1


def _tell(error: OSError) -> None:
    # What was there a moment ago, or what only a pattern names.
    if not isinstance(error, FileNotFoundError):
        _log.warning("%s: cannot be listed (%s); passed over", error.filename, error.strerror)
