"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from doh3d.errors import ConfigError


def check_output(path: str | Path) -> None:
    """Raise ConfigError unless a file can be written at `path`.

    For use before long work, so that it is not lost to a wrong name.
    """
    path = Path(path)
    folder = path.parent
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; name a file to write")
    if not folder.exists():
        raise ConfigError(f"{path}: the folder {folder} does not exist; create it first")
    if not folder.is_dir():
        raise ConfigError(f"{path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: the folder {folder} can't be written to")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: is not a regular file")


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` beside `path` and rename, so that no reader sees half a file.

    Raises
    ------
    ConfigError
        If the file cannot be written; what was there before is then untouched.
    """
    path = Path(path)
    check_output(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is private; the result has the permissions of any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
