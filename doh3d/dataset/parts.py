"""Rows as Parquet files: a folder of parts, each written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from doh3d.dataset.rows import AnyRow, Row
from doh3d.errors import ConfigError
from doh3d.files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

# A look-up by id reads one row group: small ones make it quick.
_ROW_GROUP = 256

_SUFFIX = ".parquet"
_VERSION_KEY = b"doh3d.columns"


class PartFolder(Generic[AnyRow]):
    """A local folder of parts. Nothing is made before the first part is written."""

    def __init__(self, path: Path, row_type: type[AnyRow]) -> None:
        self.path = path
        self._row_type = row_type

    def has(self, name: str) -> bool:
        """Whether there is a part of that name."""
        return (self.path / f"{name}{_SUFFIX}").exists()

    def write(self, name: str, rows: Sequence[AnyRow]) -> None:
        """Write a part; ConfigError where that cannot be."""
        import pyarrow as pa

        schema = arrow_schema(self._row_type)
        self._write_table(
            self.path / f"{name}{_SUFFIX}", pa.Table.from_pylist([asdict(r) for r in rows], schema)
        )

    def scan(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield every row's values of some columns, part by part.

        Raises
        ------
        ConfigError
            If a part is damaged, or holds other rows.
        """
        for path in self._paths():
            yield from scan_part(path, columns, self._row_type)

    def drop(self, ids: Collection[str]) -> None:
        """Remove the rows of some ids; each part that has any is replaced."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        wanted = pa.array(sorted(ids), pa.string())
        for path in self._paths():
            file = checked_part(path, self._row_type)
            dropped = pc.is_in(file.read(columns=["id"]).column("id"), value_set=wanted)
            count = pc.sum(dropped).as_py()
            if count == file.metadata.num_rows:
                path.unlink()
            elif count:
                self._write_table(path, pq.read_table(path).filter(pc.invert(dropped)))

    def _paths(self) -> list[Path]:
        return part_paths(self.path)

    def _write_table(self, path: Path, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table, buffer, row_group_size=_ROW_GROUP, compression="zstd")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{path.parent}: cannot be made: {error.strerror}") from error
        write_atomically(path, buffer.getvalue())


def part_paths(folder: Path) -> list[Path]:
    """List the parts of a local folder, by name."""
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if not path.name.startswith("."))


def scan_part(path: Path, columns: Sequence[str], row_type: type[Row]) -> Iterator[dict[str, Any]]:
    """Yield some columns of one part, row by row; None where its version has no such column."""
    missing = dict.fromkeys(columns)
    for batch in checked_part(path, row_type).iter_batches(_ROW_GROUP * 16, columns=list(columns)):
        for row in batch.to_pylist():
            yield missing | row


def checked_part(file: Any, row_type: type[Row], name: str | None = None) -> Any:
    """Open a part, a path or an open file, as a `pyarrow.parquet.ParquetFile`.

    Raises
    ------
    ConfigError
        If it is no Parquet file, or not one of such rows, of this version or an earlier one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = str(file) if name is None else name
    try:
        part = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{name}: cannot be read as Parquet ({reason})") from error
    found = (part.schema_arrow.metadata or {}).get(_VERSION_KEY)
    versions = (row_type.COLUMNS_VERSION, *row_type.EARLIER_VERSIONS)
    if found not in [_version(row_type, version) for version in versions]:
        raise ConfigError(
            f"{name}: holds no rows of {row_type.FOLDER}, version {row_type.COLUMNS_VERSION}, "
            f"but {'some other table' if found is None else found.decode(errors='replace')}"
        )
    return part


def arrow_schema(row_type: type[Row]) -> pa.Schema:
    """Return the columns of a kind of row, in order."""
    import pyarrow as pa

    types = {
        "str": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "Binary": pa.binary(),
        "datetime": pa.timestamp("ms", tz="UTC"),
    }
    columns = []
    for field in fields(row_type):
        kind, _, optional = str(field.type).partition(" | ")
        columns.append(pa.field(field.name, types[kind], nullable=bool(optional)))
    return pa.schema(columns, metadata={_VERSION_KEY: _version(row_type, row_type.COLUMNS_VERSION)})


def _version(row_type: type[Row], version: int) -> bytes:
    return f"{row_type.FOLDER} {version}".encode()
