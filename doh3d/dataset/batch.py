"""Compress a whole collection into a dataset, from wherever an earlier run has left it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import doh3d
from doh3d.dataset.engine import Engine, Outcome
from doh3d.dataset.names import path_for_id
from doh3d.dataset.options import config_of
from doh3d.dataset.plan import Finished, Plan
from doh3d.dataset.progress import BatchProgress, Tally, WatchFunction
from doh3d.dataset.rows import PASSING_FAILURES, ShapeRow
from doh3d.dataset.shard import Shard
from doh3d.dataset.sources import Source, list_sources
from doh3d.dataset.store import RowStore, RowWriter, StoreIdentity
from doh3d.dataset.tasks import Group, changed_sources, failed_row
from doh3d.errors import ConfigError
from doh3d.options import CompressOptions

# Finished shapes whose sources one task looks at.
_CHECKED_AT_ONCE = 64

# Files beside the rows go here.
FILES_FOLDER = "files"

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class BatchSummary:
    """What a run came to.

    Attributes
    ----------
    output : Path
    shapes : int
        In the collection, or in the shard of it.
    compressed : int
        By this run.
    found : int
        Finished by earlier runs.
    failed : int
        Shapes of the collection that have no bytes, whichever run tried them.
    failures : tuple of str
        The first reasons that this run met.
    other_versions : tuple of str
        Versions of doh3d that rows of earlier runs were made by, where they are others.
    progress : BatchProgress
        Of this run, at its end.
    """

    output: Path
    shapes: int
    compressed: int
    found: int
    failed: int
    failures: tuple[str, ...]
    other_versions: tuple[str, ...]
    progress: BatchProgress

    def to_dict(self) -> dict[str, Any]:
        """Return one JSON object."""
        return {
            "output": str(self.output),
            "shapes": self.shapes,
            "compressed": self.compressed,
            "found": self.found,
            "failed": self.failed,
            "failures": list(self.failures),
            "other_versions": list(self.other_versions),
            "seconds": self.progress.seconds,
            "shapes_a_second": self.progress.shapes_a_second,
            "mean_bytes": self.progress.mean_bytes,
            "mean_iou": self.progress.mean_iou,
        }


def run_batch(
    collection: str,
    output: str | Path,
    task: Callable[[Group], tuple[ShapeRow, ...]],
    options: CompressOptions,
    engine: Engine,
    *,
    batch_fit: int = 1,
    pattern: str | None = None,
    path_column: str | None = None,
    names: Mapping[int, str] | None = None,
    shard: Shard | None = None,
    files: bool = False,
    retry_failed: bool = False,
    trust_sources: bool = False,
    watch: WatchFunction | None = None,
) -> BatchSummary:
    """Compress every shape of a collection that the dataset does not hold yet.

    Parameters
    ----------
    collection, pattern, path_column, names
        See `doh3d.dataset.sources.list_sources`.
    output : path
        The dataset's folder, made where it does not exist.
    task : callable
        From sources to their rows: a `CompressTask` of the same options.
    options : CompressOptions
        All rows of a dataset have the same.
    engine : Engine
    batch_fit : int
        How many sources a task takes, to be fitted together.
    shard : Shard, optional
        Only the shapes of this shard.
    files : bool
        Write each shape's `.doh` file to ``output/files`` as well.
    retry_failed : bool
        Try all shapes again that have failed, not only those whose failure may pass.
    trust_sources : bool
        Do not look whether the sources of finished shapes have changed.
    watch : callable, optional
        Called with a `BatchProgress` and None before the first shape, then with each shape's
        row, less its bytes, as it ends.

    Raises
    ------
    ConfigError
        If the collection or the dataset cannot be used, or no shape is found.
    Doh3dError
        If the engine cannot work.
    """
    shard = Shard() if shard is None else shard
    output = Path(output)
    identity = {
        "kind": "doh3d shapes",
        "version": ShapeRow.COLUMNS_VERSION,
        # Alone, bytes follow from the shape; together, from its group too, whatever its size.
        "batch_fit": "1" if batch_fit == 1 else "2 or more",
        "config": config_of(options),
    }
    store = RowStore(output, ShapeRow, StoreIdentity(identity))
    store.check()
    with Plan() as plan:
        sources = list_sources(collection, pattern=pattern, path_column=path_column, names=names)
        plan.add_sources(sources, shard)
        if not plan.sources() and shard.count == 1:
            wanted = "meshes" if pattern is None else f"files that match {pattern!r}"
            raise ConfigError(f"{collection}: no {wanted} found")
        with store.writer(shard) as writer:
            versions = _index(store, plan)
            stale = _stale(plan, engine, retry_failed, trust_sources)
            writer.drop(stale)
            plan.forget(stale)
            if files:
                _write_missing_files(store, output)
            found, failed = plan.finished(failed=False), plan.finished(failed=True)
            tally = Tally(plan.sources() - found - failed)
            _announce(watch, tally, None)
            groups = _chunks(plan.missing(), batch_fit)
            for row in _rows(engine.run(task, groups, _one_by_one), options):
                _keep(row, writer, output if files else None)
                tally.add(row.bytes, row.iou, row.error, _measured(row))
                _announce(watch, tally, row)
        return BatchSummary(
            output=output,
            shapes=plan.sources(),
            compressed=tally.done - tally.failed,
            found=found,
            failed=failed + tally.failed,
            failures=tuple(tally.failures),
            other_versions=tuple(sorted(versions - {doh3d.__version__})),
            progress=tally.progress(),
        )


def _index(store: RowStore[ShapeRow], plan: Plan) -> set[str]:
    """Take up the rows that are there; return the versions that made them."""
    versions = set()

    def finished() -> Iterator[Finished]:
        for row in store.scan(["id", "source_sha256", "error_kind", "doh3d_version"]):
            versions.add(row["doh3d_version"])
            yield Finished(row["id"], row["source_sha256"], row["error_kind"])

    plan.add_finished(finished())
    return versions


def _stale(plan: Plan, engine: Engine, retry_failed: bool, trust_sources: bool) -> set[str]:
    """Ids of finished shapes that are to be done again."""
    stale = set()

    def kept() -> Iterator[tuple[Source, Finished]]:
        for source, finished in plan.to_check():
            if finished.error_kind in PASSING_FAILURES or (
                retry_failed and finished.error_kind is not None
            ):
                stale.add(source.id)
            elif not trust_sources:
                yield source, finished

    chunks = _chunks(kept(), _CHECKED_AT_ONCE)
    for outcome in engine.run(changed_sources, chunks, _one_by_one):
        # Where even looking fails the rows stay.
        stale.update(outcome.result or ())
    return stale


def _rows(
    outcomes: Iterable[Outcome[Group, tuple[ShapeRow, ...]]], options: CompressOptions
) -> Iterator[ShapeRow]:
    for outcome in outcomes:
        if outcome.failure is not None:
            rows = tuple(failed_row(source, options, outcome.failure) for source in outcome.job)
        else:
            assert outcome.result is not None
            rows = outcome.result
        for row in rows:
            yield replace(row, attempts=outcome.attempts)


def _one_by_one(group: tuple[_Item, ...]) -> Sequence[tuple[_Item, ...]]:
    return [(item,) for item in group]


def _keep(row: ShapeRow, writer: RowWriter[ShapeRow], output: Path | None) -> None:
    # The file first: a shape with a row is done.
    if output is not None and row.doh is not None:
        _write_file(output, row.id, row.doh)
    writer.append(row)


def _measured(row: ShapeRow) -> str | None:
    """Of what a shape's IoU is, and where it was measured."""
    if row.iou is None:
        return None
    if row.protocol == "voxels":
        return "at the voxels' centres"
    return f"of the {row.iou_of}, {row.points} points"


def _announce(watch: WatchFunction | None, tally: Tally, row: ShapeRow | None) -> None:
    if watch is not None:
        watch(tally.progress(), row)


def _write_missing_files(store: RowStore[ShapeRow], output: Path) -> None:
    """Write the files of shapes that were finished by runs which wrote none."""
    for row in store.scan(["id", "doh"]):
        path = path_for_id(output / FILES_FOLDER, row["id"], ".doh")
        if row["doh"] is not None and not path.exists():
            _write_file(output, row["id"], row["doh"])


def _write_file(output: Path, id_: str, data: bytes) -> None:
    """Write a file whole or not at all, by way of the journal's folder."""
    path = path_for_id(output / FILES_FOLDER, id_, ".doh")
    temporary = output / "journal" / f"file-{os.getpid()}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _chunks(items: Iterable[_Item], size: int) -> Iterator[tuple[_Item, ...]]:
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk
