"""The JSON of glTF: parsed within bounds, and asked for what it must have.

All functions raise ValueError that names the place, what is there, and what would be right.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = dict[str, Any]

# Values in the JSON: each takes about a hundred bytes once it is parsed.
_MOST_VALUES = 1 << 23

# Forms of their own in which triangles may be kept.
PACKED = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_meshopt_compression": "meshopt",
}


def parse(text: bytes) -> Json:
    """Return the document of a file of glTF 2, whose JSON is small enough."""
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise ValueError(f"its JSON has more than {_MOST_VALUES} values; simplify it first")
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"its JSON cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("its JSON is not an object")
    _check_version(table(document, "asset", "the file"))
    return document


def _check_version(asset: Json) -> None:
    # minVersion, where it is given, is what a reader must know.
    version = str(asset.get("minVersion", asset.get("version")))
    if not re.fullmatch(r"2|2\.0" if "minVersion" in asset else r"2(\.\d+)?", version):
        raise ValueError(f"its asset is of glTF version {version}; export it as glTF 2.0")


def table(owner: Json, key: str, where: str) -> Json:
    """Return an object of the JSON, empty where there is none."""
    value = owner.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {key} must be an object")
    return value


def listing(owner: Json, key: str, where: str) -> list[Any]:
    """Return an array of the JSON, empty where there is none."""
    value = owner.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{where}: {key} must be an array, as in glTF 2.0")
    return value


def integer(owner: Json, key: str, where: str, default: int | None = None) -> int:
    """Return a whole number from 0 on; some writers give it as 3.0."""
    value = owner.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{where}: {key} is {value!r}; a whole number from 0 on is needed")
    return value


def numbers(owner: Json, key: str, where: str, default: list[float]) -> list[float]:
    """Return finite numbers, as many as the default has."""
    values = listing(owner, key, where) if key in owner else default
    if len(values) != len(default) or not all(
        isinstance(value, int | float) and math.isfinite(value) for value in values
    ):
        raise ValueError(f"{where}: {key} must be {len(default)} finite numbers")
    return values


def raise_packed(extension: str) -> NoReturn:
    """Refuse triangles that are kept in one of the forms of `PACKED`."""
    raise ValueError(
        f"{extension}: its triangles are packed with {PACKED[extension]}; export it without"
    )
