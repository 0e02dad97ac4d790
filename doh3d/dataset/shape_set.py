"""A dataset of shapes, read: rows when they are asked for, fields when they are decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import doh3d
from doh3d.codec.container import parse
from doh3d.dataset.parts import checked_part
from doh3d.dataset.rows import ShapeRow
from doh3d.errors import ConfigError
from doh3d.files import write_atomically
from doh3d.late_module import LateModule
from doh3d.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import datasets
else:
    datasets = LateModule("datasets")

# Row groups and open files that are kept: neighbours are often asked for next.
_KEPT_GROUPS = 8
_KEPT_FILES = 16


@dataclass(frozen=True)
class Shape:
    """One shape of a dataset.

    Attributes
    ----------
    id : str
    data : bytes
        The `.doh` file.
    row : dict
        All columns but `doh`, see docs/collections.md.
    """

    id: str
    data: bytes
    row: dict[str, Any]

    def field(
        self, device: str = "auto", *, limits: Limits = DEFAULT_LIMITS
    ) -> doh3d.OccupancyField:
        """Decode to a field.

        Raises
        ------
        FormatError
            If the bytes are no `.doh` file, or beyond `limits`.
        """
        from doh3d.field import OccupancyField

        return OccupancyField(parse(self.data, limits), device, limits=limits)

    def save(self, path: str | Path) -> None:
        """Write the `.doh` file, whole or not at all."""
        write_atomically(path, self.data)


@dataclass(frozen=True)
class FailedShape:
    """A shape that has no bytes.

    Attributes
    ----------
    id, source : str
    kind, reason : str
        Columns `error_kind` and `error`.
    """

    id: str
    source: str
    kind: str
    reason: str


class ShapeSet:
    """The shapes of a dataset that succeeded: its length, its shapes by id or number, in order.

    What is held in memory is 24 bytes a shape. Iteration goes through the parts by name, and
    through the rows of each as they were written; numbers follow the same order. Rows of runs
    that were killed appear once the same `doh3d batch` has been run again.

    Parameters
    ----------
    path : path or URL
        A dataset's folder, or that of its parts alone.

    Attributes
    ----------
    failures : list of FailedShape
        The others, with the reasons.

    Raises
    ------
    ConfigError
        If there is no such dataset, or a part is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._files = _PartFiles(self.path)
        hashes, places = [], []
        for number, part in enumerate(self._files.parts()):
            place = 0
            for batch in part.iter_batches(2**16, columns=["id", "error_kind"]):
                succeeded = np.flatnonzero(batch.column("error_kind").is_null().to_numpy(False))
                ids = batch.column("id").take(_indices(succeeded)).to_pylist()
                hashes.append(np.array([hash(id_) for id_ in ids], dtype=np.int64))
                rows = succeeded.astype(np.int64) + place
                places.append(np.stack([np.full_like(rows, number), rows], axis=1))
                place += batch.num_rows
        # Part and row of each shape; and their order by the hashes of their ids.
        self._places = np.concatenate([np.zeros((0, 2), np.int64), *places])
        by_number = np.concatenate([np.zeros(0, np.int64), *hashes])
        self._order = np.argsort(by_number, kind="stable")
        self._hashes = by_number[self._order]

    def __reduce__(self) -> tuple[type[ShapeSet], tuple[str]]:
        """Be opened anew where it is sent: hashes and files are this process's."""
        return ShapeSet, (self.path,)

    def __len__(self) -> int:
        """Return how many shapes succeeded."""
        return len(self._places)

    def __contains__(self, id_: object) -> bool:
        """Whether a shape of that id succeeded."""
        return isinstance(id_, str) and self._find(id_) is not None

    def __getitem__(self, key: str | int) -> Shape:
        """Return a shape by its id, or its number in order.

        Raises
        ------
        KeyError
            If no shape of that id succeeded.
        IndexError
            For a number out of range.
        """
        if isinstance(key, str):
            found = self._find(key)
            if found is None:
                raise KeyError(key)
            return found
        number = range(len(self))[key]
        return self._read(self._places[number])

    def __iter__(self) -> Iterator[Shape]:
        """Yield all shapes in order."""
        for place in self._places:
            yield self._read(place)

    def ids(self) -> Iterator[str]:
        """Yield all ids in order, without reading anything else."""
        for part in self._files.parts():
            for batch in part.iter_batches(2**16, columns=["id", "error_kind"]):
                for row in batch.to_pylist():
                    if row["error_kind"] is None:
                        yield row["id"]

    @property
    def failures(self) -> list[FailedShape]:
        """The shapes that failed, in order."""
        columns = ["id", "source", "error_kind", "error"]
        return [
            FailedShape(row["id"], row["source"], row["error_kind"], row["error"])
            for part in self._files.parts()
            for batch in part.iter_batches(2**16, columns=columns)
            for row in batch.to_pylist()
            if row["error_kind"] is not None
        ]

    def to_datasets(self, *, cache_dir: str | Path | None = None) -> datasets.Dataset:
        """Open the shapes that succeeded as a `datasets.Dataset` of Hugging Face.

        Its columns are those of docs/collections.md; `doh` holds the files' bytes.

        Parameters
        ----------
        cache_dir : path, optional
            Where `datasets` keeps the tables that it maps into memory; its own folder unless given.

        Raises
        ------
        ConfigError
            If `datasets` is not installed, or the set is not on the local disk.
        """
        try:
            import datasets
        except ModuleNotFoundError as error:
            raise ConfigError("`datasets` is missing; install it: pip install datasets") from error
        import pyarrow.compute as pc

        paths = self._files.local_paths()
        if not paths:
            raise ConfigError(f"{self.path}: holds no rows, or is not on the local disk")
        kept: datasets.Dataset = datasets.Dataset.from_parquet(
            paths,
            cache_dir=None if cache_dir is None else str(cache_dir),
            filters=pc.field("error_kind").is_null(),
        )
        return kept

    def _find(self, id_: str) -> Shape | None:
        first = np.searchsorted(self._hashes, hash(id_), side="left")
        after = np.searchsorted(self._hashes, hash(id_), side="right")
        for number in self._order[first:after]:
            shape = self._read(self._places[number])
            if shape.id == id_:
                return shape
        return None

    def _read(self, place: npt.NDArray[np.int64]) -> Shape:
        part, row = (int(value) for value in place)
        values = self._files.row(part, row)
        return Shape(values["id"], values.pop("doh"), values)


class _PartFiles:
    """The parts of a dataset, wherever they lie."""

    def __init__(self, path: str) -> None:
        from fsspec.core import url_to_fs

        try:
            self._filesystem, folder = url_to_fs(path)
            for candidate in (f"{folder.rstrip('/')}/{ShapeRow.FOLDER}", folder):
                if self._filesystem.isdir(candidate):
                    found = self._filesystem.ls(candidate, detail=False)
                    self._paths = sorted(name for name in found if _is_part(name))
                    break
            else:
                what = "is not a folder" if self._filesystem.exists(folder) else "no such dataset"
                raise ConfigError(f"{path}: {what}; a folder made by `doh3d batch` is needed")
        except ConfigError:
            raise
        # File systems raise errors of many kinds.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConfigError(f"{path}: cannot be opened ({reason})") from error
        if not self._paths and not self._filesystem.exists(f"{folder.rstrip('/')}/dataset.json"):
            raise ConfigError(f"{path}: holds no dataset; a folder made by `doh3d batch` is needed")
        # Not on the methods: their caches would keep every set alive.
        self._kept_part = lru_cache(_KEPT_FILES)(self._open_part)
        self._kept_group = lru_cache(_KEPT_GROUPS)(self._read_group)

    def local_paths(self) -> list[str]:
        """Paths of the parts; none where they are not on the local disk."""
        from fsspec.implementations.local import LocalFileSystem

        return list(self._paths) if isinstance(self._filesystem, LocalFileSystem) else []

    def parts(self) -> Iterator[Any]:
        """Open one part after the other."""
        for number in range(len(self._paths)):
            yield self._part(number)

    def row(self, part: int, row: int) -> dict[str, Any]:
        """All columns of one row."""
        metadata = self._part(part).metadata
        group = 0
        while row >= metadata.row_group(group).num_rows:
            row -= metadata.row_group(group).num_rows
            group += 1
        values: dict[str, Any] = (
            self._kept_group(part, group, os.getpid()).slice(row, 1).to_pylist()[0]
        )
        return values

    def _part(self, number: int) -> Any:
        return self._kept_part(number, os.getpid())

    # By process: those that are forked off, such as a data loader's, must not share a file's
    # position.
    def _open_part(self, number: int, _process: int) -> Any:
        path = self._paths[number]
        return checked_part(self._filesystem.open(path, "rb"), ShapeRow, path)

    def _read_group(self, part: int, group: int, _process: int) -> Any:
        return self._part(part).read_row_group(group)


def _is_part(path: str) -> bool:
    return path.endswith(".parquet") and not path.rpartition("/")[2].startswith(".")


def _indices(numbers: npt.NDArray[np.intp]) -> Any:
    import pyarrow as pa

    return pa.array(numbers, pa.int64())
