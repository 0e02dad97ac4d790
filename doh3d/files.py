"""Writing files whole or not at all; and what is no file to read, or a `.doh` file."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from doh3d.errors import ConfigError

# What every `.doh` file starts with.
MAGIC = b"\xd0OH"

# Random characters in a temporary file's name, and what they are drawn from.
_TOKEN_BYTES = 4
_TOKEN = f"[0-9a-f]{{{2 * _TOKEN_BYTES}}}"

# What Python makes of bytes in names that are not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

# What may stand at a path in place of a file, by the file type of its mode.
_OTHER_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def other_kind(path: str | Path) -> str | None:
    """Say what a path leads to where that is no file to read: "a directory", "a named pipe".

    Nothing is opened: to open a pipe takes as long as its writer wants, and may take its data
    from whoever reads it next. None for a file, and where there is nothing or nobody may look.
    """
    try:
        mode = os.stat(path).st_mode
    # ValueError: a name that no file can have.
    except (OSError, ValueError):
        return None
    return _OTHER_KINDS.get(stat.S_IFMT(mode))


def is_doh_file(path: str | Path) -> bool:
    """Whether the file at `path` is, or calls itself, a `.doh` file; False if unreadable."""
    path = Path(path)
    if path.suffix.lower() == ".doh":
        return True
    if other_kind(path) is not None:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def utf8_name(name: str) -> str:
    r"""Return a file's name as it can be written into a table.

    Bytes that are not UTF-8, which Python has as surrogates, are shown as ``\xff``, and backslashes
    beside them are doubled, so that different names stay different. Other names stay as they are.
    """
    if not _SURROGATE.search(name):
        return name
    return _SURROGATE.sub(
        lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", name.replace("\\", "\\\\")
    )


def check_output(path: str | Path) -> None:
    """Raise ConfigError unless a file can be written at `path`, or where that links to.

    For use before long work, so that it is not lost to a wrong name.
    """
    path = Path(path)
    target = _target(path)
    folder = target.parent
    if not folder.exists():
        raise ConfigError(f"{path}: the folder {folder} does not exist; create it first")
    if not folder.is_dir():
        raise ConfigError(f"{path}: {folder} is not a folder")
    if not target.name:
        raise ConfigError(f"{path}: is a folder; name a file to write")
    excess = len(os.fsencode(_temporary(target).name)) - os.pathconf(folder, "PC_NAME_MAX")
    if excess > 0:
        raise ConfigError(f"{path}: the name is {excess} bytes too long")
    if target.is_dir():
        raise ConfigError(f"{path}: is a folder; name a file to write")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: the folder {folder} can't be written to")
    if target.exists():
        if not target.is_file():
            raise ConfigError(f"{path}: is not a regular file")
        # Renaming over it would work, but whoever took the permission away meant it.
        if not os.access(target, os.W_OK):
            raise ConfigError(f"{path}: is read-only; name another file, or allow writing")


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` beside `path` and rename, so that no reader sees half a file.

    A symbolic link stays: what it leads to is written. A file that is there keeps its permissions;
    a new one has those that the umask leaves. What writers to the same path that were killed have
    left behind is removed first.

    Raises
    ------
    ConfigError
        If the file cannot be written; what was there before is then untouched.
    """
    path = Path(path)
    check_output(path)
    try:
        target = _target(path)
        remove_abandoned(target)
        with _locked_temporary(target, _permissions(target)) as (descriptor, temporary):
            written = 0
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
            os.fsync(descriptor)
            # Still locked: a file without a lock may be removed by another writer.
            temporary.replace(target)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files of writers to `path` that have died.

    The living hold a lock on theirs, which ends with the process however that ends.
    """
    name = re.compile(rf"\.{re.escape(path.name)}\.{_TOKEN}\.part")
    for entry in os.listdir(path.parent):
        if not name.fullmatch(entry):
            continue
        # Another writer may remove it first, or a filesystem know no locks.
        with suppress(OSError):
            temporary = path.parent / entry
            descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                temporary.unlink()
            finally:
                os.close(descriptor)


def _target(path: Path) -> Path:
    """Where a file written at `path` is to lie: where its symbolic links lead, if it is one.

    Other paths stay as they were given, for messages to name.
    """
    if not os.path.islink(path):
        return path
    target = Path(os.path.realpath(path))
    if os.path.islink(target):
        raise ConfigError(f"{path}: is a symbolic link that leads back to itself")
    return target


def _permissions(path: Path) -> int | None:
    """Permission bits of the file at `path`; None where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _temporary(path: Path) -> Path:
    """Draw a name for a temporary file beside `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.part")


@contextmanager
def _locked_temporary(path: Path, permissions: int | None) -> Iterator[tuple[int, Path]]:
    """Make a file beside `path`, open for writing and locked; in the end there is none.

    Its permissions are the default unless they are given.
    """
    while True:
        temporary = _temporary(path)
        try:
            # Never wider than they will be: whoever opens it now would go on reading.
            mode = 0o666 if permissions is None else permissions & 0o666
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            continue
        try:
            if permissions is not None:
                # Where a filesystem knows no permissions there are none to keep.
                with suppress(OSError):
                    os.fchmod(descriptor, permissions)
            # Where a filesystem knows no locks, `remove_abandoned` removes nothing either.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Between its making and its lock it looked abandoned, and may have been removed.
            if temporary.exists():
                yield descriptor, temporary
                return
        finally:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)
