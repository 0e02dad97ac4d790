"""What a collection consists of: the meshes and grids of a folder, a glob, a list or a manifest.

Or the labels of one label map.

Everything is listed as it is met, folder by folder and line by line: no list of all shapes is
ever held in memory.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from doh3d.dataset.folders import walk_files
from doh3d.errors import ConfigError
from doh3d.files import utf8_name
from doh3d.geometry.formats import SUPPORTED
from doh3d.volumes.files import COLLECTED, read_label_map, volume_ending, with_label

if TYPE_CHECKING:
    import fsspec

_TABLES = (".csv", ".tsv", ".parquet")
_LISTS = (".txt", ".lst")
_MAGIC = re.compile(r"[*?[]")

# Columns of a manifest that name the mesh, the first that is there, and the row.
_PATH_COLUMNS = ("path", "file", "mesh", "source")
_ID_COLUMN = "id"

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Source:
    r"""One mesh, or grid, of a collection.

    Attributes
    ----------
    id : str
        Its path below the folder, or below what of a glob has no wildcard; as a list or a
        manifest names it.
    path : str
        A local path, absolute, or a URL; of a label of a label map ``path#label=5``.
    problem : str or None
        What keeps it from being read whatever it holds: its name is not UTF-8, as ids and columns
        are. Both then show such bytes as ``\xff``.
    """

    id: str
    path: str
    problem: str | None = None


def list_sources(
    collection: str,
    *,
    pattern: str | None = None,
    path_column: str | None = None,
    names: Mapping[int, str] | None = None,
) -> Iterator[Source]:
    """List the meshes and grids of a collection.

    Parameters
    ----------
    collection : str
        A folder, searched with its subfolders, those that links lead to among them; a glob such as
        ``meshes/**/*.ply``; a list of paths, a line each (.txt, .lst; lines that start with # are
        passed over); a manifest (.csv, .tsv, .parquet) with a column of paths and, if wanted, a
        column `id`; or one mesh or grid, of a label map each label. Each a local path or a URL
        that fsspec knows. Relative paths in a list or a manifest start from its folder.
    pattern : str, optional
        Of a folder, only files whose name, or path below the folder, matches. Unless given, all
        mesh formats, NIfTI, NRRD and binvox; arrays of NumPy may be anything.
    path_column : str, optional
        Of a manifest: the first of path, file, mesh and source unless given.
    names : mapping, optional
        Of a label map: what labels are called, beside what the file says.

    Raises
    ------
    ConfigError
        If there is no such collection, or its list or manifest cannot be read; that may be
        found out when the iteration comes to the place.
    """
    return map(_readable, _listed(collection, pattern, path_column, names))


def _readable(source: Source) -> Source:
    """Write down an id and a path that are not UTF-8 as such, and say so."""
    id_, path = utf8_name(source.id), utf8_name(source.path)
    if (id_, path) == (source.id, source.path):
        return source
    return Source(id_, path, "the name is not UTF-8; rename the file")


def _listed(
    collection: str,
    pattern: str | None,
    path_column: str | None,
    names: Mapping[int, str] | None,
) -> Iterator[Source]:
    suffix = PurePosixPath(collection.partition("::")[0]).suffix.lower()
    if path_column is not None and suffix not in _TABLES:
        raise ConfigError(f"{collection}: is no manifest, so path-column has no use")
    place = _Place.of(collection)
    if utf8_name(place.path) != place.path:
        raise ConfigError(f"{utf8_name(place.path)}: the name is not UTF-8; rename it")
    if place.is_folder():
        return _from_folder(place, pattern)
    if pattern is not None:
        raise ConfigError(f"{collection}: is not a folder, so pattern has no use")
    if _MAGIC.search(place.path) and not place.is_file():
        return _from_glob(place)
    if not place.is_file():
        raise ConfigError(f"{collection}: no such file or folder")
    if suffix in _TABLES:
        return _from_table(place, collection, suffix, path_column)
    if suffix in _LISTS:
        return _from_list(place, collection)
    if volume_ending(place.path) and not is_url(collection):
        return _labels(place.path, names)
    if suffix in SUPPORTED:
        return iter([Source(PurePosixPath(place.path).name, place.url(place.path))])
    raise ConfigError(
        f"{collection}: is no collection; a folder, a glob, a list ({', '.join(_LISTS)}), a "
        f"manifest ({', '.join(_TABLES)}), a mesh or a voxel grid is needed"
    )


def is_url(path: str) -> bool:
    """Whether a path is for fsspec rather than for the local file system."""
    return "://" in path or "::" in path


@dataclass(frozen=True)
class _Place:
    """A path on a file system, and how its URLs are written."""

    filesystem: fsspec.AbstractFileSystem
    path: str
    prefix: str
    rest: str

    @classmethod
    def of(cls, location: str) -> _Place:
        from fsspec.core import url_to_fs

        first, separator, rest = location.partition("::")
        scheme, colons, _ = first.partition("://")
        try:
            filesystem, path = url_to_fs(location)
        # Of many kinds: an unknown scheme, a package that is missing, a host that is.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConfigError(f"{location}: cannot be opened ({reason})") from error
        local = not is_url(location) or (scheme == "file" and not separator)
        return cls(filesystem, path, "" if local else scheme + colons, separator + rest)

    def url(self, path: str) -> str:
        return f"{self.prefix}{path}{self.rest}"

    def is_folder(self) -> bool:
        return bool(self._ask(self.filesystem.isdir))

    def is_file(self) -> bool:
        return bool(self._ask(self.filesystem.isfile))

    def _ask(self, question: Callable[[str], Any]) -> Any:
        try:
            return question(self.path)
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConfigError(f"{self.url(self.path)}: cannot be opened ({reason})") from error

    def open_text(self) -> Any:
        """Open a text whose bytes that are not UTF-8 are names like any, each its line's."""
        return self.filesystem.open(
            self.path, "r", encoding="utf-8-sig", errors="surrogateescape", newline=""
        )

    def walk(self, folder: str, depth: int | None = None) -> Iterator[str]:
        """Yield the paths of all files below a folder, sorted within each."""
        for path in self._walk_all(folder, depth):
            # Hidden files are other programs' business.
            if not path.rpartition("/")[2].startswith("."):
                yield path

    def _walk_all(self, folder: str, depth: int | None) -> Iterator[str]:
        from fsspec.implementations.local import LocalFileSystem

        if isinstance(self.filesystem, LocalFileSystem):
            yield from walk_files(folder, depth)
            return
        for root, folders, files in self.filesystem.walk(folder, maxdepth=depth):
            folders.sort() if isinstance(folders, list) else None
            for name in filter(None, sorted(files)):
                yield f"{root.rstrip('/')}/{name}" if root else name


def _labels(path: str, names: Mapping[int, str] | None) -> Iterator[Source]:
    """Yield the labels of a label map, or a file that is a mask by itself."""
    found = read_label_map(path, names)
    if len(found.labels) < 2:
        yield Source(PurePosixPath(path).name, path)
        return
    for label in found.labels:
        name = found.names.get(label)
        id_ = str(label) if name is None else f"{label} {name}"
        yield Source(id_, with_label(path, label))


def _from_folder(place: _Place, pattern: str | None) -> Iterator[Source]:
    root = place.path.rstrip("/")
    for path in place.walk(place.path):
        below = path[len(root) :].lstrip("/")
        name = PurePosixPath(below).name
        if pattern is None:
            grid = name.lower().endswith(COLLECTED)
            wanted = grid or PurePosixPath(name).suffix.lower() in SUPPORTED
        else:
            wanted = fnmatchcase(name, pattern) or fnmatchcase(below, pattern)
        if wanted:
            yield Source(below, place.url(path))


def _from_glob(place: _Place) -> Iterator[Source]:
    from fsspec.utils import glob_translate

    fixed = place.path[: _MAGIC.search(place.path).start()]  # type: ignore[union-attr]
    root = fixed[: fixed.rfind("/") + 1]
    wildcards = place.path[len(root) :]
    depth = None if "**" in wildcards else wildcards.count("/") + 1
    matches = re.compile(glob_translate(place.path)).match
    for path in place.walk(root.rstrip("/") or root, depth):
        if matches(path):
            yield Source(path[len(root) :], place.url(path))


def _from_list(place: _Place, name: str) -> Iterator[Source]:
    with place.open_text() as file:
        for line in _text_lines(file, name):
            text = line.strip()
            if text and not text.startswith("#"):
                yield Source(text, _resolved(text, place))


def _text_lines(file: Iterable[str], name: str) -> Iterator[str]:
    """Yield the lines of what is a text; ConfigError where it is none."""
    for line in file:
        if "\0" in line:
            raise ConfigError(f"{name}: is not text in UTF-8")
        yield line


def _from_table(place: _Place, name: str, suffix: str, path_column: str | None) -> Iterator[Source]:
    rows = _parquet_rows if suffix == ".parquet" else _text_rows
    for where, row in rows(place, name, suffix, path_column):
        path = row[0]
        if not isinstance(path, str) or not path.strip():
            raise ConfigError(f"{name}: {where} names no path")
        id_ = path if row[1] is None else str(row[1])
        if not id_:
            raise ConfigError(f"{name}: {where} has an empty id")
        yield Source(id_, _resolved(path.strip(), place))


def _text_rows(
    place: _Place, name: str, suffix: str, path_column: str | None
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    with place.open_text() as file:
        try:
            delimiter = "\t" if suffix == ".tsv" else ","
            lines = csv.DictReader(_text_lines(file, name), delimiter=delimiter)
            columns = lines.fieldnames or []
            path, id_ = _columns(name, columns, path_column)
            for row in lines:
                yield f"line {lines.line_num}", (row[path], row[id_] if id_ else None)
        except csv.Error as error:
            raise ConfigError(f"{name}: cannot be read as a table ({error})") from error


def _parquet_rows(
    place: _Place, name: str, _suffix: str, path_column: str | None
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with place.filesystem.open(place.path, "rb") as file:
        try:
            table = pq.ParquetFile(file)
            path, id_ = _columns(name, table.schema_arrow.names, path_column)
            number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=[path] + ([id_] if id_ else [])):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", (row[path], row[id_] if id_ else None)
        except pa.ArrowException as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"{name}: cannot be read as Parquet ({reason})") from error


def _columns(name: str, columns: Iterable[str], path_column: str | None) -> tuple[str, str | None]:
    """Which columns hold the path and the id, the second if any."""
    columns = list(columns)
    candidates = _PATH_COLUMNS if path_column is None else (path_column,)
    path = next((column for column in candidates if column in columns), None)
    if path is None:
        raise ConfigError(
            f"{name}: has no column {' or '.join(candidates)}, but {', '.join(columns) or 'none'}; "
            "name the one that holds the meshes' paths with path-column"
        )
    return path, _ID_COLUMN if _ID_COLUMN in columns and path != _ID_COLUMN else None


def _resolved(path: str, place: _Place) -> str:
    """Path or URL of what a list or manifest names."""
    if is_url(path):
        return path
    if place.prefix:
        return path if path.startswith("/") else place.url(f"{_parent(place.path)}{path}")
    return os.path.normpath(Path(place.path).parent / path)


def _parent(path: str) -> str:
    return path[: path.rfind("/") + 1]
