"""What is done with one shape, in whatever process: the tasks that engines run."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import doh3d
from doh3d.dataset.engine import Failure
from doh3d.dataset.fetching import Fetched, SourceError, fetched, source_sha256
from doh3d.dataset.local import describe_error
from doh3d.dataset.options import CompressOptions
from doh3d.dataset.plan import Finished
from doh3d.dataset.rows import ShapeRow, now
from doh3d.dataset.sources import Source
from doh3d.dataset.worker import kept_warnings, worker_device
from doh3d.errors import Doh3dError, MeshError, TargetError
from doh3d.limits import Limits

if TYPE_CHECKING:
    from doh3d.fitting.compress import CompressedShape

# For the IoU, of the field: enough for three digits in a second.
IOU_POINTS = 2**18

# Of the mesh whose surface is compared, in half a second; 256 gives the same to three digits.
CHAMFER_RESOLUTION = 128


@dataclass(frozen=True)
class CompressTask:
    """Compress a source and measure what its bytes decode to.

    Attributes
    ----------
    options : CompressOptions
    device : str
    retries : int
        How often a source that cannot be read is tried again.
    """

    options: CompressOptions
    device: str = "auto"
    retries: int = 0

    def __call__(self, source: Source) -> ShapeRow:
        """Return the row of a shape; of one that cannot be compressed, with the reason."""
        row = _empty_row(source, self.options)
        started = time.perf_counter()
        place = source.path
        with kept_warnings() as warnings:
            try:
                with fetched(source.path, retries=self.retries) as found:
                    place = str(found.path)
                    row = replace(row, source_sha256=found.sha256, source_bytes=found.size)
                    row = self._compressed(row, found)
            # A shape's failure is never the run's.
            except Exception as error:
                kind, message = _described(error, source.id)
                message = message.replace(place, source.id)
                seconds = time.perf_counter() - started
                row = replace(row, error_kind=kind, error=message, seconds=seconds)
        lines = [line.replace(place, source.id) for line in warnings]
        return replace(row, warnings="\n".join(lines) or None, finished=now())

    def _compressed(self, row: ShapeRow, found: Fetched) -> ShapeRow:
        from doh3d.fitting.compress import compress

        device = str(worker_device(self.device))
        started = time.perf_counter()
        shape = compress(found.path, **self.options.to_dict(), device=device)
        compressed = time.perf_counter()
        row = self._measured(row, found, shape, device)
        return replace(
            row,
            doh=shape.data,
            bytes=len(shape.data),
            seconds=compressed - started,
            measure_seconds=time.perf_counter() - compressed,
            latent=shape.config.latent,
            device=device,
            torch_version=version("torch"),
        )

    def _measured(
        self, row: ShapeRow, found: Fetched, shape: CompressedShape, device: str
    ) -> ShapeRow:
        from doh3d.codec.container import parse
        from doh3d.evaluation.evaluate import field_iou, mesh_iou
        from doh3d.evaluation.metrics import surface_metrics
        from doh3d.field import OccupancyField
        from doh3d.geometry.mesh import load_mesh

        field = OccupancyField(parse(shape.data, Limits.of_format()), device)
        reference = load_mesh(found.path)
        if self.options.min_iou is None:
            iou, iou_of = field_iou(reference, field, points=IOU_POINTS), "field"
        else:
            # As the search for that quality measures it.
            iou, iou_of = mesh_iou(reference, field.to_mesh()), "mesh"
        surface = surface_metrics(reference, field.to_mesh(CHAMFER_RESOLUTION))
        return replace(
            row,
            iou=iou.iou,
            iou_of=iou_of,
            protocol=iou.protocol,
            points=iou.points,
            # Infinite where nothing came back.
            chamfer_l1=surface.chamfer_l1 if math.isfinite(surface.chamfer_l1) else None,
            chamfer_resolution=CHAMFER_RESOLUTION,
        )


def failed_row(source: Source, options: CompressOptions, failure: Failure) -> ShapeRow:
    """Return the row of a shape whose task came to no end of its own."""
    row = _empty_row(source, options)
    return replace(row, error_kind=failure.kind, error=f"{source.id}: {failure.message}")


def changed_sources(checks: tuple[tuple[Source, Finished], ...]) -> tuple[str, ...]:
    """Return the ids of finished shapes whose source is no longer what it was.

    One that cannot be read now keeps the row that it has.
    """
    changed = []
    for source, finished in checks:
        try:
            if source_sha256(source.path) != finished.sha256:
                changed.append(source.id)
        except SourceError:
            continue
    return tuple(changed)


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _empty_row(source: Source, options: CompressOptions) -> ShapeRow:
    config, config_id = _config(options)
    return ShapeRow(
        id=source.id,
        error_kind=None,
        error=None,
        source=source.path,
        source_sha256=None,
        source_bytes=None,
        doh=None,
        bytes=None,
        iou=None,
        iou_of=None,
        protocol=None,
        points=None,
        chamfer_l1=None,
        chamfer_resolution=None,
        seconds=None,
        measure_seconds=None,
        attempts=1,
        latent=None,
        device=None,
        warnings=None,
        config=config,
        config_id=config_id,
        doh3d_version=doh3d.__version__,
        torch_version=None,
        finished=now(),
    )


@lru_cache(maxsize=4)
def _config(options: CompressOptions) -> tuple[str, str]:
    return options.json, options.id


def _described(error: Exception, id_: str) -> tuple[str, str]:
    """Kind of a failure, and what to say of it in one line."""
    if isinstance(error, SourceError):
        return "unreadable", str(error)
    if isinstance(error, Doh3dError):
        kinds = ((MeshError, "mesh"), (TargetError, "target"))
        kind = next((name for type_, name in kinds if isinstance(error, type_)), "fit")
        message = " ".join(str(error).split())
        # What a mesh has no name for is named by its shape.
        return kind, message if kind == "mesh" else f"{id_}: {message}"
    return "internal", f"{id_}: {describe_error(error)}"
