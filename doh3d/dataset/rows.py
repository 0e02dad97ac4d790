"""The rows of a dataset, as docs/collections.md specifies them, and their form in a journal.

No pyarrow here: workers make rows without it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeAlias, TypeVar

# A column is called `bytes`.
Binary: TypeAlias = bytes

# Failures that say nothing about the mesh: the next run tries these shapes again.
PASSING_FAILURES = ("died", "timeout", "unreadable")

# Columns label and label_name were not there.
NO_LABELS = "rows without labels"

# Columns chamfer_l1, f_score and normal_consistency were measured from samples to samples.
POINT_TO_POINT = "distances from point to point"


@dataclass(frozen=True)
class Row:
    """What every kind of row has.

    Attributes
    ----------
    id : str
        What names the shape within its dataset.
    error_kind, error : str or None
        None for a shape that succeeded.
    """

    # Name of the folder that rows of this kind are kept in, and version of their columns. Rows of
    # earlier versions are read, but no others are added to them: what their columns hold.
    FOLDER: ClassVar[str]
    COLUMNS_VERSION: ClassVar[int]
    EARLIER_VERSIONS: ClassVar[Mapping[int, str]]

    id: str
    error_kind: str | None
    error: str | None


@dataclass(frozen=True)
class ShapeRow(Row):
    """One shape, compressed or failed; see docs/collections.md for each column.

    Columns are None where the shape failed before they were known.
    """

    FOLDER: ClassVar[str] = "shapes"
    COLUMNS_VERSION: ClassVar[int] = 4
    EARLIER_VERSIONS: ClassVar[Mapping[int, str]] = {2: POINT_TO_POINT, 3: NO_LABELS}

    source: str
    source_sha256: str | None
    source_bytes: int | None
    doh: Binary | None
    bytes: int | None
    iou: float | None
    iou_of: str | None
    protocol: str | None
    points: int | None
    undecided: float | None
    repair_difference: float | None
    surface_chamfer_l1: float | None
    chamfer_resolution: int | None
    seconds: float | None
    measure_seconds: float | None
    attempts: int
    latent: int | None
    batch_fit: int | None
    device: str | None
    warnings: str | None
    config: str
    config_id: str
    doh3d_version: str
    torch_version: str | None
    finished: datetime
    label: int | None = None
    label_name: str | None = None


@dataclass(frozen=True)
class EvaluationRow(Row):
    """One shape measured against its reference; see docs/collections.md for each column."""

    FOLDER: ClassVar[str] = "measurements"
    COLUMNS_VERSION: ClassVar[int] = 2
    EARLIER_VERSIONS: ClassVar[Mapping[int, str]] = {1: POINT_TO_POINT}

    doh_sha256: str | None
    reference: str | None
    reference_sha256: str | None
    config_id: str
    bytes: int | None
    iou: float | None
    protocol: str | None
    points: int | None
    undecided: float | None
    repair_difference: float | None
    resolution: int | None
    surface_chamfer_l1: float | None
    surface_f_score: float | None
    surface_normal_consistency: float | None
    seconds: float | None
    doh3d_version: str
    finished: datetime


AnyRow = TypeVar("AnyRow", bound=Row)


def now() -> datetime:
    """Return the time in UTC, in whole milliseconds as the columns keep it."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def to_json(row: Row) -> bytes:
    """Return a row as one line of JSON, binary values in base64."""
    return json.dumps(_plain(row), ensure_ascii=True).encode() + b"\n"


def from_json(row_type: type[AnyRow], line: bytes) -> AnyRow:
    """Undo `to_json`.

    Raises
    ------
    ValueError, KeyError
        If the line is none of such a row.
    """
    values: dict[str, Any] = json.loads(line)
    for field in fields(row_type):
        value = values[field.name]
        if value is not None and "Binary" in str(field.type):
            values[field.name] = base64.b64decode(value)
        elif value is not None and field.type == "datetime":
            values[field.name] = datetime.fromisoformat(value)
    return row_type(**values)


def _plain(row: Row) -> dict[str, Any]:
    values = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, bytes):
            value = base64.b64encode(value).decode()
        elif isinstance(value, datetime):
            value = value.isoformat()
        values[field.name] = value
    return values
