"""Names of files for shapes: any id, whatever it holds, stays below the folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

# What some file system gives a meaning, and what stands for such characters.
_SPECIAL = re.compile(r'[\x00-\x1f\x7f%\\:*?"<>|]')

# Bytes of a name that file systems take, less room for a suffix.
_LONGEST = 200
_DIGEST_LETTERS = 16


def path_for_id(folder: Path, id_: str, suffix: str) -> Path:
    """Path below a folder for the file of a shape; different for different ids.

    An id's slashes separate folders. Characters that file systems treat specially, and parts
    that would lead elsewhere, are written as % and two hexadecimal digits; long names are cut.
    """
    parts = [_safe(part) for part in id_.split("/")]
    return folder.joinpath(*parts[:-1], parts[-1] + suffix)


def _safe(part: str) -> str:
    name = _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", part)
    if name in ("", ".", ".."):
        # A lone % comes from nowhere else.
        name = "%" + name
    encoded = name.encode()
    if len(encoded) > _LONGEST:
        digest = hashlib.sha256(encoded).hexdigest()[:_DIGEST_LETTERS]
        name = encoded[: _LONGEST - _DIGEST_LETTERS - 1].decode(errors="ignore") + "~" + digest
    return name
