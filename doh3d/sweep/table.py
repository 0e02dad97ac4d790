"""The table of a parameter sweep: its rows, the folder that keeps them, and means over seeds."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from doh3d.errors import ConfigError
from doh3d.files import write_atomically

# Of the columns below; rows of another version are not mixed with these.
COLUMNS_VERSION = 1

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class SweepRow:
    """One measured file.

    Attributes
    ----------
    mesh : str
        Name of the mesh's file; "mesh" where it was in memory.
    latent, bits, quantizer, seed, preset
        As for `doh3d.compress`. With 32 bits nothing is quantised, whatever the quantizer.
    width, depth, octaves, projection
        Of the network that the preset and the latent's length led to.
    bytes : int
        Size of the `.doh` file on disk.
    iou : float
    iou_of : str
        What was measured: "field", the decoded field itself.
    protocol : str
        Of the IoU, see `doh3d.evaluation.protocols`.
    points : int
        Points on which it was measured.
    seconds : float
        Of the fit; with "ptq" the rows of one latent and seed share a fit, and each says its
        whole time.
    latent_bytes, bias_bytes, header_bytes : int
        Parts of the file; the header's include transform and checksum. They add up to `bytes`.
    version : str
        Of doh3d.
    date : str
        Day of the measurement, UTC.
    """

    mesh: str
    latent: int
    bits: int
    quantizer: str
    seed: int
    preset: str
    width: int
    depth: int
    octaves: int
    projection: str
    bytes: int
    iou: float
    iou_of: str
    protocol: str
    points: int
    seconds: float
    latent_bytes: int
    bias_bytes: int
    header_bytes: int
    version: str
    date: str

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells rows of one sweep apart: latent, bits, seed."""
        return self.latent, self.bits, self.seed


COLUMNS = tuple(field.name for field in fields(SweepRow))
_PARSERS = {"int": int, "float": float, "str": str}


@dataclass(frozen=True)
class SweepIdentity:
    """What all rows of one folder have in common.

    Attributes
    ----------
    mesh_sha256 : str
        Of the mesh's file; of vertices and faces where it was in memory.
    preset, quantizer, protocol : str
    points : int
        As asked for.
    columns : int
        `COLUMNS_VERSION`.
    """

    mesh_sha256: str
    preset: str
    quantizer: str
    protocol: str
    points: int
    columns: int = COLUMNS_VERSION


class SweepFolder:
    """The folder of one sweep: sweep.json, sweep.csv and files/.

    Nothing is written before `create`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.identity_path = self.path / "sweep.json"
        self.table_path = self.path / "sweep.csv"

    def file_path(self, latent: int, bits: int, seed: int) -> Path:
        """Where the `.doh` file of one row lies."""
        return self.path / "files" / f"latent{latent}-bits{bits}-seed{seed}.doh"

    def check(self, identity: SweepIdentity) -> None:
        """Raise ConfigError where the folder holds anything but the same sweep, or none."""
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path}: is not a folder; name one for the sweep")
        if not self.identity_path.exists():
            if self.table_path.exists():
                raise ConfigError(
                    f"{self.path}: holds a sweep.csv without its sweep.json; name another folder"
                )
            return
        try:
            found = json.loads(self.identity_path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{self.identity_path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{self.identity_path}: is not the JSON of a sweep") from error
        for name, wanted in asdict(identity).items():
            value = found.get(name) if isinstance(found, dict) else None
            if value != wanted:
                raise ConfigError(
                    f"{self.path}: holds a sweep with {name} {value!r}, not {wanted!r}; "
                    "name another folder"
                )

    def source(self) -> tuple[str | None, str | None]:
        """Path of the mesh as the sweep was given it, and its SHA-256; None where not told."""
        try:
            found = json.loads(self.identity_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None, None
        values = found if isinstance(found, dict) else {}
        source, sha256 = values.get("source"), values.get("mesh_sha256")
        return (
            source if isinstance(source, str) else None,
            sha256 if isinstance(sha256, str) else None,
        )

    def create(self, identity: SweepIdentity, source: Path | None) -> None:
        """Make the folder ready for rows of a mesh; a half-written last line is cut off.

        `source` is the mesh's file, if it has one.
        """
        self.check(identity)
        try:
            (self.path / "files").mkdir(parents=True, exist_ok=True)
            if not self.identity_path.exists():
                # Where the mesh was is no part of what it is: it may be moved between runs.
                place = None if source is None else str(source.absolute())
                values = asdict(identity) | {"source": place}
                text = json.dumps(values, indent=2) + "\n"
                write_atomically(self.identity_path, text.encode())
            if self.table_path.exists():
                os.truncate(self.table_path, len(_whole_lines(self.table_path.read_bytes())))
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from error

    def read(self) -> list[SweepRow]:
        """Rows measured so far, in the order of the file; a half-written last line is no row."""
        try:
            data = self.table_path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{self.table_path}: cannot be read: {error.strerror}") from error
        text = _whole_lines(data).decode("utf-8", errors="replace")
        lines = csv.reader(io.StringIO(text, newline=""))
        if tuple(next(lines, COLUMNS)) != COLUMNS:
            raise ConfigError(f"{self.table_path}: line 1 does not name the columns of a sweep")
        return [_parse_row(values, f"{self.table_path}: line {lines.line_num}") for values in lines]

    def append(self, row: SweepRow) -> None:
        """Add a row, and see it to the disk."""
        try:
            with self.table_path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if file.tell() == 0:
                    writer.writerow(COLUMNS)
                writer.writerow(astuple(row))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigError(f"{self.table_path}: cannot be written: {error.strerror}") from error


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _parse_row(values: Sequence[str], place: str) -> SweepRow:
    if len(values) != len(COLUMNS):
        raise ConfigError(f"{place} has {len(values)} values, but there are {len(COLUMNS)} columns")
    parsed: dict[str, Any] = {}
    for field, text in zip(fields(SweepRow), values, strict=True):
        try:
            parsed[field.name] = _PARSERS[str(field.type)](text)
        except ValueError as error:
            raise ConfigError(f"{place}: {field.name} is {text!r}; it must be a number") from error
    return SweepRow(**parsed)


@dataclass(frozen=True)
class MeanInterval:
    """A mean and how far the true one may lie from it.

    Attributes
    ----------
    mean : float
    half_width : float or None
        Of the 95% interval by Student's t; None for a single value, which tells nothing of it.
    """

    mean: float
    half_width: float | None


@dataclass(frozen=True)
class SweepPoint:
    """Rows that differ in nothing but the seed.

    Attributes
    ----------
    latent, bits : int
    seeds : int
        How many rows.
    bytes, iou : MeanInterval
    """

    latent: int
    bits: int
    seeds: int
    bytes: MeanInterval
    iou: MeanInterval

    def to_dict(self) -> dict[str, Any]:
        """Return one flat JSON object."""
        return {
            "latent": self.latent,
            "bits": self.bits,
            "seeds": self.seeds,
            "bytes": self.bytes.mean,
            "bytes_half_width": self.bytes.half_width,
            "iou": self.iou.mean,
            "iou_half_width": self.iou.half_width,
        }


def mean_interval(values: Sequence[float]) -> MeanInterval:
    """Mean of at least one value, and its 95% interval: t * s / sqrt(K) either way.

    s is the standard deviation with K - 1 in its denominator and t the 97.5% quantile of
    Student's t with K - 1 degrees of freedom: what holds where the values are normal.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return MeanInterval(mean, None)
    from scipy.special import stdtrit

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    quantile = float(stdtrit(count - 1, (1 + _CONFIDENCE) / 2))
    return MeanInterval(mean, quantile * deviation / math.sqrt(count))


def summarize(rows: Iterable[SweepRow]) -> list[SweepPoint]:
    """Means over the seeds of each pair of latent and bits, sorted by latent, then bits."""
    groups: dict[tuple[int, int], list[SweepRow]] = {}
    for row in rows:
        groups.setdefault((row.latent, row.bits), []).append(row)
    return [
        SweepPoint(
            latent=latent,
            bits=bits,
            seeds=len(group),
            bytes=mean_interval([row.bytes for row in group]),
            iou=mean_interval([row.iou for row in group]),
        )
        for (latent, bits), group in sorted(groups.items())
    ]
