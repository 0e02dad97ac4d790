"""A shape while it is worked on: its row so far, and what goes wrong with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from doh3d.dataset.fetching import Fetched, SourceError
from doh3d.dataset.local import describe_error
from doh3d.dataset.rows import ShapeRow, now
from doh3d.dataset.worker import kept_warnings
from doh3d.errors import Doh3dError, MeshError, TargetError, VolumeError

if TYPE_CHECKING:
    from doh3d.fitting.rate_control import Encoded
    from doh3d.geometry.reading import Reading
    from doh3d.signals.shape import PreparedShape


class ShapeWork:
    """A shape on its way to its row.

    Attributes
    ----------
    row : ShapeRow
        As much of it as is known.
    found : Fetched or None
    prepared : PreparedShape or None
        While it is to be fitted.
    shape : Encoded or None
    reading : Reading or None
        Its bytes and its mesh, to be measured, once it was fitted with others.
    seconds : float
        Spent on its compression.
    """

    def __init__(self, row: ShapeRow) -> None:
        self.row = row
        self.found: Fetched | None = None
        self.prepared: PreparedShape | None = None
        self.shape: Encoded | None = None
        self.reading: Reading | None = None
        self.seconds = 0.0
        self._spent = 0.0
        self._warnings: list[str] = []

    @property
    def failed(self) -> bool:
        """Whether the row has its reason."""
        return self.row.error is not None

    @contextmanager
    def step(self) -> Iterator[None]:
        """Keep what goes wrong meanwhile: a shape's failure is never the run's."""
        started = time.perf_counter()
        with kept_warnings() as warnings:
            try:
                yield
            except Exception as error:
                seconds = self._spent + time.perf_counter() - started
                self._fail(error, seconds)
        self._spent += time.perf_counter() - started
        self._warnings += warnings

    def take(self, fit: Encoded | Doh3dError) -> None:
        """Take what the fit of many has made of it."""
        self._spent = self.seconds
        if isinstance(fit, Doh3dError):
            self._fail(fit, self.seconds)
        else:
            assert self.prepared is not None
            # Samples are no longer held, whose neighbours are still to be measured.
            self.shape, self.reading, self.prepared = fit, self.prepared.reading, None

    def ended(self) -> ShapeRow:
        """Return the row."""
        lines = [self._by_id(line) for line in self._warnings]
        return replace(self.row, warnings="\n".join(lines) or None, finished=now())

    def _fail(self, error: Exception, seconds: float) -> None:
        kind, message = _described(error, self.row.id)
        self.row = replace(self.row, error_kind=kind, error=self._by_id(message), seconds=seconds)

    def _by_id(self, message: str) -> str:
        """Name the shape, not the place where its source happens to lie."""
        place = self.row.source if self.found is None else str(self.found.path)
        return message.replace(place, self.row.id)


def _described(error: Exception, id_: str) -> tuple[str, str]:
    """Kind of a failure, and what to say of it in one line."""
    if isinstance(error, SourceError):
        return "unreadable", str(error)
    if isinstance(error, Doh3dError):
        kinds = ((MeshError, "mesh"), (VolumeError, "volume"), (TargetError, "target"))
        kind = next((name for type_, name in kinds if isinstance(error, type_)), "fit")
        message = " ".join(str(error).split())
        # What a mesh or a grid has no name for is named by its shape.
        return kind, message if kind in ("mesh", "volume") else f"{id_}: {message}"
    return "internal", f"{id_}: {describe_error(error)}"
