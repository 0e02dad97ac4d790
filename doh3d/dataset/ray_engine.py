"""The Ray engine: the same tasks on a cluster. Ray schedules; nothing here does."""

from __future__ import annotations

import collections
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

from doh3d.dataset.engine import DEFAULT_RETRIES, Failure, Job, Outcome, Result, whole
from doh3d.dataset.local import check_limits, describe_error, timed_out
from doh3d.dataset.worker import use_one_thread
from doh3d.errors import ConfigError

# Tasks that are with Ray at a time, for each of the cluster's slots: enough that none waits for
# the driver, few enough that the driver's memory does not grow with the collection.
_IN_FLIGHT_PER_SLOT = 4
_LEAST_IN_FLIGHT = 16

# How often the cluster is asked for its size: nodes come and go.
_RESOURCES_SECONDS = 5.0
_WAIT_SECONDS = 1.0

# A task that does not end when it is told to is ended with its process after so long.
_GRACE_SECONDS = 30.0


class RayEngine:
    """Runs tasks on a Ray cluster.

    Parameters
    ----------
    address : str, optional
        Of a running cluster: "auto", HOST:PORT or ray://HOST:PORT; a fresh one on this machine
        unless given.
    workers : int, optional
        Processes of a fresh cluster, or tasks at a time on a running one; as many as it has
        processors unless given.
    gpus : float
        Share of a GPU that a task takes.
    retries : int
        How often Ray tries a job again whose worker or node has died.
    timeout : float, optional
        Seconds that a job may take, and as many for each that it is made of.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        workers: int | None = None,
        gpus: float = 0.0,
        retries: int = DEFAULT_RETRIES,
        timeout: float | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise ConfigError(f"workers is {workers}; it must be 1 or more")
        # Ray's own rule: several tasks share a GPU, or a task has whole ones.
        if not (0 <= gpus <= 1 or (gpus > 1 and gpus == round(gpus))):
            raise ConfigError(f"gpus is {gpus}; it must be 0 to 1, or a whole number")
        check_limits(retries, timeout)
        self._address = address
        self._workers = workers
        self._gpus = gpus
        self._retries = retries
        self._timeout = timeout
        self._connected = False
        _import_ray()

    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        split: Callable[[Job], Sequence[Job]] = whole,
    ) -> Iterator[Outcome[Job, Result]]:
        """Yield every job's outcome, see `Engine`; ConfigError where no cluster is reached."""
        remaining = iter(jobs)
        # Starting a cluster takes seconds.
        for first in remaining:
            self._connect()
            yield from self._run(task, itertools.chain([first], remaining), split)

    def close(self) -> None:
        """Leave the cluster; a fresh one ends with that."""
        if self._connected:
            _import_ray().shutdown()
            self._connected = False

    def _connect(self) -> None:
        ray = _import_ray()
        if ray.is_initialized():
            return
        options: dict[str, Any] = {"address": self._address}
        if self._address is None:
            options = {"address": "local", "num_cpus": self._workers, "include_dashboard": False}
        terminated = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options, log_to_driver=False, logging_level="error")
        # Ray raises errors of several kinds, each telling what is wrong.
        except Exception as error:
            where = "on this machine" if self._address is None else f"at {self._address}"
            raise ConfigError(f"no Ray cluster {where}: {describe_error(error)}") from error
        self._connected = True
        # Ray takes the signal for itself, and its handler does not unwind.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminated)

    def _run(
        self,
        task: Callable[[Job], Result],
        remaining: Iterator[Job],
        split: Callable[[Job], Sequence[Job]],
    ) -> Iterator[Outcome[Job, Result]]:
        ray = _import_ray()
        remote = ray.remote(_run_one)
        shared_task = ray.put(task)
        waiting: collections.deque[tuple[Job, bool]] = collections.deque()
        in_flight: dict[Any, tuple[Job, bool]] = {}
        room = _Room(ray, self._gpus, None if self._address is None else self._workers)
        try:
            while True:
                free = room.tasks() - len(in_flight)
                # A cluster that shrinks has more tasks than room.
                wanted = max(0, free - len(waiting))
                waiting.extend((job, False) for job in itertools.islice(remaining, wanted))
                for _ in range(min(free, len(waiting))):
                    job, again = waiting.popleft()
                    count = len(split(job))
                    options = remote.options(
                        num_cpus=1,
                        num_gpus=self._gpus,
                        max_retries=self._retries_of(count, again),
                        name="doh3d",
                    )
                    seconds = None if self._timeout is None else self._timeout * count
                    in_flight[options.remote(shared_task, job, seconds)] = job, again
                if not in_flight:
                    return
                done, _ = ray.wait(
                    list(in_flight), num_returns=1, timeout=_WAIT_SECONDS, fetch_local=True
                )
                for reference in done:
                    job, again = in_flight.pop(reference)
                    outcome: Outcome[Job, Result] = self._outcome(ray, reference, job, again)
                    parts = split(job)
                    lost = outcome.failure is not None and outcome.failure.kind != "internal"
                    if lost and len(parts) > 1:
                        waiting.extend((part, True) for part in parts)
                    else:
                        yield outcome
        finally:
            for reference in in_flight:
                ray.cancel(reference, force=True)

    def _retries_of(self, count: int, again: bool) -> int:
        """How often Ray tries a job again; one of several parts is tried again in parts."""
        return 0 if count > 1 else max(0, self._retries - again)

    def _outcome(self, ray: Any, reference: Any, job: Job, again: bool) -> Outcome[Job, Result]:
        try:
            result, failure = ray.get(reference)
        # Worker and node deaths, memory that ran out, a cluster that cannot place the task.
        except ray.exceptions.RayError as error:
            message = describe_error(error).split(". ")[0]
            attempts = 1 + again + self._retries_of(1, again)
            return Outcome(job, None, Failure("died", message), attempts)
        # Ray does not tell which attempt it was, beyond those that were asked for here.
        return Outcome(job, result, failure, 1 + again)


class _Room:
    """How many tasks may be with Ray at a time."""

    def __init__(self, ray: Any, gpus: float, most: int | None) -> None:
        self._ray = ray
        self._gpus = gpus
        self._most = most
        self._tasks = 0
        self._asked = -_RESOURCES_SECONDS

    def tasks(self) -> int:
        if time.monotonic() - self._asked > _RESOURCES_SECONDS:
            self._asked = time.monotonic()
            total = self._ray.cluster_resources()
            slots = total.get("CPU", 0.0)
            if self._gpus:
                slots = min(slots, total.get("GPU", 0.0) / self._gpus)
            self._tasks = max(_LEAST_IN_FLIGHT, round(_IN_FLIGHT_PER_SLOT * slots))
        return self._tasks if self._most is None else min(self._tasks, self._most)


def _run_one(
    task: Callable[[Any], Any], job: Any, timeout: float | None
) -> tuple[Any, Failure | None]:
    """One job in a worker of Ray's."""
    use_one_thread()
    try:
        with _time_limit(timeout):
            return task(job), None
    except _TimeoutError:
        return None, Failure("timeout", timed_out(timeout))
    except Exception as error:
        return None, Failure("internal", describe_error(error))


class _TimeoutError(BaseException):
    """Time is up. No Exception, so that tasks do not take it for one of theirs."""


class _time_limit:  # noqa: N801
    """Raise where the time is up, and end the process where that does not help.

    Ray has no limit of its own. The signal interrupts Python, but no library that does not
    return to it.
    """

    def __init__(self, seconds: float | None) -> None:
        # Signals are for main threads, in which Ray runs tasks.
        main = threading.current_thread() is threading.main_thread()
        self._seconds = seconds if main else None

    def __enter__(self) -> None:
        if self._seconds is not None:
            self._before = signal.signal(signal.SIGALRM, self._raise)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
            self._killer = threading.Timer(self._seconds + _GRACE_SECONDS, os._exit, (1,))
            self._killer.daemon = True
            self._killer.start()

    def __exit__(self, *_: object) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._killer.cancel()
            signal.signal(signal.SIGALRM, self._before)

    @staticmethod
    def _raise(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _TimeoutError


def _import_ray() -> Any:
    # Nothing is reported to anyone, workers of a fresh cluster have the driver's priority, and a
    # task without GPU sees none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("engine ray needs Ray; install doh3d[ray]") from error
    return ray
