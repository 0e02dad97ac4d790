"""What is done with shapes, in whatever process: the tasks that engines run."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

import doh3d
from doh3d.dataset.engine import Failure
from doh3d.dataset.fetching import Fetched, SourceError, fetched, source_sha256
from doh3d.dataset.options import config_id, config_json
from doh3d.dataset.plan import Finished
from doh3d.dataset.rows import ShapeRow, now
from doh3d.dataset.sources import Source
from doh3d.dataset.work import ShapeWork
from doh3d.dataset.worker import DeviceTurn, kept_warnings, worker_device
from doh3d.errors import Doh3dError
from doh3d.limits import Limits
from doh3d.options import CompressOptions

if TYPE_CHECKING:
    import torch

    from doh3d.fitting.rate_control import Encoded
    from doh3d.geometry.reading import Reading
    from doh3d.signals.shape import PreparedShape

_log = logging.getLogger(__name__)

# For the IoU, of the field: enough for three digits in a second.
IOU_POINTS = 2**18

# Of the mesh whose surface is compared, in half a second; 256 gives the same to three digits.
CHAMFER_RESOLUTION = 128


# What an engine takes as one job: shapes to be fitted together, or one alone.
Group: TypeAlias = tuple[Source, ...]


@dataclass(frozen=True)
class CompressTask:
    """Compress sources and measure what their bytes decode to.

    Attributes
    ----------
    options : CompressOptions
    device : str
    retries : int
        How often a source that cannot be read is tried again.
    names : mapping, optional
        What labels of label maps are called, beside what their files say.
    """

    options: CompressOptions
    device: str = "auto"
    retries: int = 0
    names: Mapping[int, str] | None = None

    def __call__(self, group: Group) -> tuple[ShapeRow, ...]:
        """Return the rows of a group's shapes; of one that cannot be compressed, with the reason.

        Those that can be fitted together are, the others alone, as they would be without a group.
        """
        with ExitStack() as stack:
            works = [self._begun(source, stack) for source in group]
            if len(works) > 1:
                self._fit_together([work for work in works if work.found is not None])
            for work in works:
                with work.step():
                    if work.found is not None and not work.failed:
                        self._compress(work, work.found)
        return tuple(work.ended() for work in works)

    def _begun(self, source: Source, stack: ExitStack) -> ShapeWork:
        """Fetch a source, to be kept as long as the stack."""
        work = ShapeWork(_empty_row(source, self.options))
        with work.step():
            if source.problem is not None:
                raise SourceError(f"{source.path}: {source.problem}")
            work.found = stack.enter_context(fetched(source.path, retries=self.retries))
            work.row = replace(
                work.row, source_sha256=work.found.sha256, source_bytes=work.found.size
            )
        return work

    def _fit_together(self, works: Sequence[ShapeWork]) -> None:
        """Fit shapes together, each to its file or its failure; or leave it as it is."""
        from doh3d.signals.grid import prepare_source

        for work in works:
            with work.step():
                assert work.found is not None
                started = time.perf_counter()
                work.prepared = prepare_source(
                    work.found.path, names=self.names, exact=self.options.exact
                )
                work.seconds = time.perf_counter() - started
        shapes = {work: work.prepared for work in works if work.prepared is not None}
        started = time.perf_counter()
        device = worker_device(self.device)
        turn = DeviceTurn(device)
        try:
            with kept_warnings():
                fits = dict(zip(shapes, self._fits(shapes.values(), device, turn), strict=True))
        # One of them may be at fault: alone, each comes to an end of its own.
        except Exception:
            return
        seconds = time.perf_counter() - started - turn.waited
        # Time that cannot be told apart is shared.
        seconds += sum(work.seconds for work in fits)
        for work in fits:
            work.seconds = seconds / len(fits)
            work.take(fits[work])

    def _fits(
        self, shapes: Iterable[PreparedShape], device: torch.device, turn: DeviceTurn
    ) -> list[Encoded | Doh3dError]:
        from doh3d.fitting.together import fit_together

        return fit_together(list(shapes), self.options, device=device, turn=turn)

    def _compress(self, work: ShapeWork, found: Fetched) -> None:
        """Make a shape's bytes, where the fit of many has not, and measure them."""
        from doh3d.fitting.compress import compress_signal
        from doh3d.signals.grid import prepare_source

        device = worker_device(self.device)
        shape, reading = work.shape, work.reading
        if shape is None or reading is None:
            started = time.perf_counter()
            prepared = work.prepared or prepare_source(
                found.path, names=self.names, exact=self.options.exact
            )
            shape = compress_signal(prepared, self.options, device=device)
            work.seconds += time.perf_counter() - started
            reading = prepared.reading
        # Nothing of the mesh stays while others are measured.
        work.prepared = work.reading = None
        compressed = time.perf_counter()
        row = self._measured(work.row, reading, shape, str(device))
        work.row = replace(
            row,
            doh=shape.data,
            bytes=len(shape.data),
            seconds=work.seconds,
            measure_seconds=time.perf_counter() - compressed,
            latent=shape.config.latent,
            batch_fit=shape.together,
            device=str(device),
            torch_version=version("torch"),
        )

    def _measured(self, row: ShapeRow, reference: Reading, shape: Encoded, device: str) -> ShapeRow:
        from doh3d.codec.container import parse
        from doh3d.evaluation.evaluate import achieved_iou
        from doh3d.evaluation.surface import surface_metrics
        from doh3d.field import OccupancyField

        field = OccupancyField(parse(shape.data, Limits.of_format()), device)
        for line in reference.warnings:
            _log.warning("%s: %s", row.id, line)
        iou, iou_of = achieved_iou(
            reference, field, min_iou=self.options.min_iou, points=IOU_POINTS
        )
        surface = surface_metrics(reference.mesh, field.to_mesh(CHAMFER_RESOLUTION))
        return replace(
            row,
            # What the file itself says.
            label=field.code.extras.label,
            label_name=field.code.extras.name,
            iou=iou.iou,
            iou_of=iou_of,
            protocol=iou.protocol,
            points=iou.points,
            undecided=iou.undecided,
            repair_difference=reference.survey.difference,
            # Infinite where nothing came back.
            surface_chamfer_l1=surface.chamfer_l1 if math.isfinite(surface.chamfer_l1) else None,
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
        undecided=None,
        repair_difference=None,
        surface_chamfer_l1=None,
        chamfer_resolution=None,
        seconds=None,
        measure_seconds=None,
        attempts=1,
        latent=None,
        batch_fit=None,
        device=None,
        warnings=None,
        config=config_json(options),
        config_id=config_id(options),
        doh3d_version=doh3d.__version__,
        torch_version=None,
        finished=now(),
    )
