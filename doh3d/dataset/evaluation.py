"""A whole dataset measured against its references, with the full protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import doh3d
from doh3d.codec.container import parse
from doh3d.dataset.engine import Engine
from doh3d.dataset.fetching import fetched
from doh3d.dataset.local import describe_error
from doh3d.dataset.plan import Plan
from doh3d.dataset.progress import Tally, WatchFunction
from doh3d.dataset.rows import EvaluationRow, now
from doh3d.dataset.shape_set import Shape, ShapeSet
from doh3d.dataset.shard import Shard
from doh3d.dataset.sources import list_sources
from doh3d.dataset.store import RowStore, StoreIdentity
from doh3d.dataset.tasks import sha256
from doh3d.dataset.worker import kept_warnings, worker_device
from doh3d.errors import Doh3dError
from doh3d.evaluation.protocols import Protocol, iou_points
from doh3d.limits import Limits

# Where the measurements of a dataset go, unless said otherwise: a folder beside its parts.
FOLDER = "evaluation"


@dataclass(frozen=True)
class EvaluationJob:
    """A shape and what to measure it against.

    Attributes
    ----------
    id, config_id : str
    data : bytes
        The `.doh` file.
    reference : str
        Path or URL of the mesh.
    reference_sha256 : str or None
        What the mesh must be; None for whatever is there.
    """

    id: str
    config_id: str
    data: bytes
    reference: str
    reference_sha256: str | None


@dataclass(frozen=True)
class EvaluateTask:
    """Extract a shape and measure it as `doh3d eval` does.

    Attributes
    ----------
    protocol, grid, points
        See `doh3d.evaluation.protocols.iou_points`.
    resolution : int
        Of the extraction.
    device : str
    retries : int
        How often a reference that cannot be read is tried again.
    """

    protocol: Protocol = "bbox"
    grid: int | None = None
    points: int | None = None
    resolution: int = 256
    device: str = "auto"
    retries: int = 0

    def check(self) -> None:
        """Raise ConfigError where an option is out of range or contradicts another."""
        from doh3d.geometry.lattice import check_resolution

        unit = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        iou_points(self.protocol, unit, unit, points=self.points, grid=self.grid)
        check_resolution(self.resolution)

    def __call__(self, job: EvaluationJob) -> EvaluationRow:
        """Return what was measured, or why nothing was."""
        row = _empty_row(job)
        try:
            with fetched(job.reference, retries=self.retries) as found, kept_warnings():
                row = replace(row, reference_sha256=found.sha256)
                if job.reference_sha256 not in (None, found.sha256):
                    raise Doh3dError(
                        f"{job.reference}: is not the mesh that was compressed; name that with "
                        "--reference"
                    )
                return self._measured(row, job, found.path)
        except Doh3dError as error:
            return replace(row, error_kind="refused", error=f"{job.id}: {error}")
        # A shape's failure is never the run's.
        except Exception as error:
            return replace(row, error_kind="internal", error=f"{job.id}: {describe_error(error)}")

    def _measured(self, row: EvaluationRow, job: EvaluationJob, reference: Path) -> EvaluationRow:
        from doh3d.evaluation.evaluate import field_iou, mesh_iou
        from doh3d.evaluation.inputs import read_reference
        from doh3d.evaluation.surface import surface_metrics
        from doh3d.field import OccupancyField
        from doh3d.geometry.voxel_surface import GridReading

        device = worker_device(self.device)
        original = read_reference(reference)
        started = time.perf_counter()
        field = OccupancyField(parse(job.data, Limits.of_format()), device)
        decoded = field.to_mesh(self.resolution)
        seconds = time.perf_counter() - started
        if isinstance(original, GridReading):
            # A grid says what is inside at its voxels' centres, and nowhere else.
            iou = field_iou(original, field)
        else:
            iou = mesh_iou(
                original, decoded, protocol=self.protocol, grid=self.grid, points=self.points
            )
        surface = surface_metrics(original.mesh, decoded)
        return replace(
            row,
            iou=iou.iou,
            protocol=iou.protocol,
            points=iou.points,
            undecided=iou.undecided,
            repair_difference=original.survey.difference,
            resolution=self.resolution,
            # Infinite where nothing came back.
            surface_chamfer_l1=surface.chamfer_l1 if len(decoded.faces) else None,
            surface_f_score=surface.f_score,
            surface_normal_consistency=surface.normal_consistency,
            seconds=seconds,
            finished=now(),
        )


def evaluate_dataset(
    dataset: str | Path,
    output: Path,
    task: EvaluateTask,
    engine: Engine,
    *,
    reference: str | None = None,
    watch: WatchFunction | None = None,
) -> RowStore[EvaluationRow]:
    """Measure every shape of a dataset that has not been measured.

    Parameters
    ----------
    dataset : path or URL
    output : Path
        The folder of the measurements. One that holds some by the same protocol is taken up:
        shapes whose bytes and reference are the same are not measured again, but those that
        failed are.
    task : EvaluateTask
    engine : Engine
    reference : str, optional
        A collection that holds the reference meshes under the same ids; the sources that were
        compressed, which must not have changed, unless given.
    watch : callable, optional
        Called with a `BatchProgress` and each row as it ends.

    Raises
    ------
    ConfigError
        If there is no such dataset or collection, or `output` holds other measurements.
    """
    shapes = ShapeSet(dataset)
    settings = {
        "protocol": task.protocol,
        "grid": task.grid,
        "points": task.points,
        "resolution": task.resolution,
    }
    identity = {"kind": "doh3d measurements", "version": EvaluationRow.COLUMNS_VERSION}
    # The command names no folder for measurements: they are part of their dataset.
    remedy = "move that folder away to measure so"
    store = RowStore(output, EvaluationRow, StoreIdentity(identity | settings, remedy))
    store.check()
    with Plan() as references:
        if reference is not None:
            references.add_sources(list_sources(reference), Shard())

        def jobs() -> Iterator[EvaluationJob]:
            for shape in shapes:
                yield _job(shape, references if reference is not None else None)

        with store.writer(Shard()) as writer:
            done = {
                row["id"]: (row["doh_sha256"], row["reference"], row["error"])
                for row in store.scan(["id", "doh_sha256", "reference", "error"])
            }
            kept = {
                job.id
                for job in jobs()
                if done.get(job.id) == (sha256(job.data), job.reference, None)
            }
            writer.drop(done.keys() - kept)
            tally = Tally(len(shapes) - len(kept))
            missing = (job for job in jobs() if job.id not in kept)
            for outcome in engine.run(task, missing):
                if outcome.failure is not None:
                    row = replace(
                        _empty_row(outcome.job),
                        error_kind=outcome.failure.kind,
                        error=f"{outcome.job.id}: {outcome.failure.message}",
                    )
                else:
                    assert outcome.result is not None
                    row = outcome.result
                writer.append(row)
                tally.add(row.bytes, row.iou, row.error)
                if watch is not None:
                    watch(tally.progress(), row)
    return store


def _job(shape: Shape, references: Plan | None) -> EvaluationJob:
    if references is None:
        return EvaluationJob(
            shape.id,
            shape.row["config_id"],
            shape.data,
            shape.row["source"],
            shape.row["source_sha256"],
        )
    path = references.path_of(shape.id)
    # What is not there is told of where it is read.
    missing = f"no mesh of id {shape.id}"
    return EvaluationJob(
        shape.id, shape.row["config_id"], shape.data, missing if path is None else path, None
    )


def _empty_row(job: EvaluationJob) -> EvaluationRow:
    return EvaluationRow(
        id=job.id,
        error_kind=None,
        error=None,
        doh_sha256=sha256(job.data),
        reference=job.reference,
        reference_sha256=None,
        config_id=job.config_id,
        bytes=len(job.data),
        iou=None,
        protocol=None,
        points=None,
        undecided=None,
        repair_difference=None,
        resolution=None,
        surface_chamfer_l1=None,
        surface_f_score=None,
        surface_normal_consistency=None,
        seconds=None,
        doh3d_version=doh3d.__version__,
        finished=now(),
    )
