"""Rows of a dataset back to files: meshes, or the `.doh` files themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from doh3d.dataset.engine import Engine
from doh3d.dataset.names import path_for_id
from doh3d.dataset.progress import Tally, WatchFunction
from doh3d.dataset.shape_set import Shape, ShapeSet
from doh3d.dataset.worker import worker_device
from doh3d.errors import ConfigError, Doh3dError
from doh3d.files import write_atomically
from doh3d.limits import DEFAULT_LIMITS, Limits

FORMATS = ("ply", "obj", "stl", "off", "glb", "doh")


@dataclass(frozen=True)
class ExportSummary:
    """What an export came to.

    Attributes
    ----------
    output : Path
    written, skipped, failed : int
        Files written, and found there already; shapes that gave none.
    failures : tuple of str
        The first reasons.
    """

    output: Path
    written: int
    skipped: int
    failed: int
    failures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return one JSON object."""
        return {
            "output": str(self.output),
            "written": self.written,
            "skipped": self.skipped,
            "failed": self.failed,
            "failures": list(self.failures),
        }


@dataclass(frozen=True)
class ExportTask:
    """Extract a shape and write it.

    Attributes
    ----------
    folder : Path
    extension : str
        One of `FORMATS`.
    resolution : int
    device : str
    limits : Limits
    """

    folder: Path
    extension: str
    resolution: int = 256
    device: str = "auto"
    limits: Limits = DEFAULT_LIMITS

    def path(self, id_: str) -> Path:
        """Where the file of a shape goes."""
        return path_for_id(self.folder, id_, f".{self.extension}")

    def __call__(self, shape: Shape) -> str | None:
        """Write the file; return why that could not be, if so."""
        from doh3d.geometry.export import save_mesh

        path = self.path(shape.id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if self.extension == "doh":
                write_atomically(path, shape.data)
                return None
            device = str(worker_device(self.device))
            mesh = shape.field(device, limits=self.limits).to_mesh(self.resolution)
            if len(mesh.faces) == 0:
                return f"{shape.id}: nothing to extract at resolution {self.resolution}"
            save_mesh(mesh, path)
        except Doh3dError as error:
            return f"{shape.id}: {error}"
        except OSError as error:
            return f"{shape.id}: {path} cannot be written: {error.strerror}"
        return None


def export(
    dataset: str | Path,
    task: ExportTask,
    engine: Engine,
    *,
    pattern: str | None = None,
    skip_existing: bool = False,
    watch: WatchFunction | None = None,
) -> ExportSummary:
    """Write a file for each shape of a dataset that succeeded.

    Parameters
    ----------
    dataset : path or URL
    task : ExportTask
    engine : Engine
    pattern : str, optional
        Only shapes whose id matches.
    skip_existing : bool
        Leave files that are there as they are.
    watch : callable, optional
        Called with a `BatchProgress` as shapes end.

    Raises
    ------
    ConfigError
        If there is no such dataset, or no shape matches.
    """
    shapes = ShapeSet(dataset)
    wanted = sum(pattern is None or fnmatchcase(id_, pattern) for id_ in shapes.ids())
    if not wanted:
        matching = "" if pattern is None else f" that matches {pattern!r}"
        raise ConfigError(f"{dataset}: holds no shape{matching}")
    tally, skipped = Tally(wanted), 0

    def jobs() -> Iterator[Shape]:
        nonlocal skipped
        for shape in shapes:
            if pattern is not None and not fnmatchcase(shape.id, pattern):
                continue
            if skip_existing and task.path(shape.id).exists():
                skipped += 1
                tally.shapes -= 1
                continue
            yield shape

    for outcome in engine.run(task, jobs()):
        size = len(outcome.job.data)
        if outcome.failure is not None:
            tally.add(size, None, f"{outcome.job.id}: {outcome.failure.message}")
        else:
            tally.add(size, None, outcome.result)
        if watch is not None:
            watch(tally.progress(), None)
    return ExportSummary(
        output=task.folder,
        written=tally.done - tally.failed,
        skipped=skipped,
        failed=tally.failed,
        failures=tuple(tally.failures),
    )
