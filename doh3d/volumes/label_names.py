"""Tables of labels' names: a number and a name a line, or a JSON object."""

from __future__ import annotations

import json
import re
from pathlib import Path

from doh3d.errors import VolumeError
from doh3d.files import other_kind

# A number, then whatever separates, then the name.
_LINE = re.compile(r"\s*(-?\d+)\s*[,;:\t ]\s*(.+)")

_MOST_BYTES = 1 << 20


def read_names(path: str | Path) -> dict[int, str]:
    """Read a table of names.

    Parameters
    ----------
    path : path
        Lines of a number, a comma, semicolon, colon, tab or space, and a name; others, such as a
        heading, are passed over. Or a JSON object of names by numbers.

    Raises
    ------
    VolumeError
        If there is no such file, or it names no label.
    """
    path = Path(path)
    other = other_kind(path)
    if other is not None:
        raise VolumeError(f"{path}: is {other}; a table of names is needed")
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise VolumeError(f"{path}: cannot be opened ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise VolumeError(f"{path}: is not text in UTF-8") from error
    names = _of_json(text) if text.lstrip().startswith("{") else _of_lines(text)
    if not names:
        raise VolumeError(f"{path}: names no label; lines such as '5,liver' are needed")
    return names


def _of_json(text: str) -> dict[int, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    pairs = [(str(key), " ".join(str(name).split())) for key, name in found.items()]
    return {int(key): name for key, name in pairs if re.fullmatch(r"-?\d+", key) and name}


def _of_lines(text: str) -> dict[int, str]:
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    names = {int(line[1]): " ".join(line[2].strip().strip("\"'").split()) for line in found if line}
    return {label: name for label, name in names.items() if name}
