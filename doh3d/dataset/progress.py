"""Where a run stands, in numbers that do not grow with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

# Failures that a summary spells out; all are rows.
_SHOWN_FAILURES = 20


@dataclass(frozen=True)
class BatchProgress:
    """Where a run stands.

    Attributes
    ----------
    shapes : int
        To be done in all by this run.
    done, failed : int
        Of them; the failed are among the done.
    seconds : float
        Since the run began with the first.
    mean_bytes, mean_iou : float or None
        Over the shapes that this run has made; None before the first.
    measured : str or None
        Of what these IoUs are, and on how many points; None before the first.
    """

    shapes: int
    done: int
    failed: int
    seconds: float
    mean_bytes: float | None
    mean_iou: float | None
    measured: str | None = None

    @property
    def shapes_a_second(self) -> float:
        """Throughput so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at that rate; None before the first shape."""
        return (self.shapes - self.done) / self.shapes_a_second if self.done else None

    def to_dict(self) -> dict[str, Any]:
        """Return one JSON object."""
        return asdict(self) | {
            "shapes_a_second": self.shapes_a_second,
            "seconds_left": self.seconds_left,
        }

    def describe(self) -> str:
        """Everything in one line."""
        parts = [f"{self.done}/{self.shapes} shapes", f"{self.shapes_a_second:.3g} shapes/s"]
        if self.seconds_left is not None:
            parts.append(f"{_duration(self.seconds_left)} left")
        if self.mean_bytes is not None:
            parts.append(f"mean {self.mean_bytes:.0f} bytes")
        if self.mean_iou is not None:
            parts.append(f"IoU {self.mean_iou:.4f}")
        return ", ".join([*parts, f"{self.failed} failed"])


@dataclass
class Tally:
    """Counts a run's shapes as they end."""

    shapes: int
    done: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    _bytes: int = 0
    _iou: float = 0.0
    _measured: set[str] = field(default_factory=set)
    _started: float = field(default_factory=time.monotonic)

    def add(
        self, size: int | None, iou: float | None, error: str | None, measured: str | None = None
    ) -> None:
        """Count a shape: its bytes, its IoU and how that was measured; or its error."""
        self.done += 1
        if error is not None:
            self.failed += 1
            if len(self.failures) < _SHOWN_FAILURES:
                self.failures.append(error)
            return
        self._bytes += size or 0
        self._iou += iou or 0.0
        if measured is not None:
            self._measured.add(measured)

    def progress(self) -> BatchProgress:
        """Where the run stands now."""
        made = self.done - self.failed
        return BatchProgress(
            shapes=self.shapes,
            done=self.done,
            failed=self.failed,
            seconds=time.monotonic() - self._started,
            mean_bytes=self._bytes / made if made else None,
            mean_iou=self._iou / made if made else None,
            measured="; ".join(sorted(self._measured)) or None,
        )


WatchFunction = Callable[[BatchProgress, Any], None]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
