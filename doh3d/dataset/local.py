"""The local engine: worker processes of this machine.

Each worker has a pipe of its own, so that one which dies, wherever it stood, takes nothing with
it but its job. (The pools of `concurrent.futures` and loky break as a whole; pebble's workers
share a locked pipe, which one that is killed at the wrong moment leaves locked.)
"""

from __future__ import annotations

import collections
import itertools
import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import Any, Generic

from doh3d.dataset.engine import DEFAULT_RETRIES, Failure, Job, Outcome, Result, whole
from doh3d.dataset.worker import prepare_process
from doh3d.errors import ConfigError, Doh3dError

_log = logging.getLogger(__name__)

# Workers in a row that end before they are ready: something is wrong with all of them.
_MOST_FALSE_STARTS = 3

# Between the end of a pipe and the end of its process, which tells why.
_ENDING_SECONDS = 5.0


class LocalEngine:
    """Runs tasks in processes of this machine.

    Processes are spawned, since torch and its threads do not survive a fork, and live as long as
    there are jobs: loading torch takes seconds.

    Parameters
    ----------
    workers : int
        Processes at a time.
    retries : int
        How often a job is tried again whose worker has died.
    timeout : float, optional
        Seconds that a job may take, and as many for each that it is made of; its worker is then
        ended, and the job not tried again.
    """

    def __init__(
        self, workers: int, *, retries: int = DEFAULT_RETRIES, timeout: float | None = None
    ) -> None:
        if workers < 1:
            raise ConfigError(f"workers is {workers}; it must be 1 or more")
        check_limits(retries, timeout)
        self._workers = workers
        self._retries = retries
        self._timeout = timeout

    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        split: Callable[[Job], Sequence[Job]] = whole,
    ) -> Iterator[Outcome[Job, Result]]:
        """Yield every job's outcome, see `Engine`; Doh3dError where no worker can start."""
        remaining = iter(jobs)
        waiting: collections.deque[_Attempt[Job]] = collections.deque()
        workers: list[_Worker] = []
        false_starts = 0
        try:
            while True:
                busy = sum(worker.attempt is not None for worker in workers)
                # Of a job that was split, more may be waiting than there are workers.
                wanted = max(0, self._workers - busy - len(waiting))
                waiting.extend(_Attempt(job, 1) for job in itertools.islice(remaining, wanted))
                if not waiting and not busy:
                    return
                while len(workers) < min(self._workers, busy + len(waiting)):
                    workers.append(_Worker(task, _free_index(workers)))
                for worker in workers:
                    if waiting and worker.idle:
                        begun = waiting.popleft()
                        worker.begin(begun, self._seconds_for(split(begun.job)))
                for worker in _heard_from(workers):
                    attempt, message = worker.attempt, worker.receive()
                    if message is _READY:
                        false_starts = 0
                    elif isinstance(message, _Answer) and attempt is not None:
                        yield Outcome(attempt.job, message.result, message.failure, attempt.number)
                    else:
                        workers.remove(worker)
                        if not worker.ready:
                            false_starts += 1
                            if false_starts == _MOST_FALSE_STARTS:
                                raise Doh3dError(f"no worker process starts: {worker.ending()}")
                        elif attempt is not None:
                            parts = split(attempt.job)
                            if len(parts) > 1 or attempt.number <= self._retries:
                                _log.info("a worker died (%s); trying again", worker.ending())
                                waiting.extend(attempt.again(parts))
                                continue
                            failure = Failure("died", _died(worker.ending(), attempt.number))
                            yield Outcome(attempt.job, None, failure, attempt.number)
                for worker in [worker for worker in workers if worker.late]:
                    attempt = worker.attempt
                    workers.remove(worker)
                    worker.kill()
                    if attempt is not None:
                        parts = split(attempt.job)
                        if len(parts) > 1:
                            waiting.extend(attempt.again(parts))
                            continue
                        failure = Failure("timeout", timed_out(self._timeout))
                        yield Outcome(attempt.job, None, failure, attempt.number)
        finally:
            for worker in workers:
                worker.kill()

    def close(self) -> None:
        """Do nothing: workers end with their run."""

    def _seconds_for(self, parts: Sequence[Any]) -> float | None:
        return None if self._timeout is None else self._timeout * len(parts)


def check_limits(retries: int, timeout: float | None) -> None:
    """Raise ConfigError for options that no engine takes."""
    if retries < 0:
        raise ConfigError(f"retries is {retries}; it must be 0 or more")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ConfigError(f"timeout is {timeout}; it must be above 0 seconds")


def timed_out(timeout: float | None) -> str:
    """Say that a job took too long."""
    return f"took longer than {timeout:g} s"


@dataclass(frozen=True)
class _Attempt(Generic[Job]):
    job: Job
    number: int

    def again(self, parts: Sequence[Job]) -> list[_Attempt[Job]]:
        """Try the jobs that this one is made of; of one that is whole, it once more."""
        return [_Attempt(part, self.number + 1) for part in parts]


@dataclass(frozen=True)
class _Answer:
    """What a worker sends back."""

    result: Any
    failure: Failure | None


_READY = "ready"
_ENDED = "ended"


class _Worker:
    """A process, seen from the driver."""

    def __init__(self, task: Callable[[Any], Any], index: int) -> None:
        context = get_context("spawn")
        self.index = index
        self.ready = False
        self.attempt: _Attempt[Any] | None = None
        self._deadline = float("inf")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, task, index), daemon=True, name=f"doh3d worker {index}"
        )
        self._process.start()
        # With the worker's end open here as well, its death would go unnoticed.
        theirs.close()

    @property
    def idle(self) -> bool:
        return self.ready and self.attempt is None

    @property
    def late(self) -> bool:
        return time.monotonic() > self._deadline

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def begin(self, attempt: _Attempt[Any], timeout: float | None) -> None:
        self.attempt = attempt
        if timeout is not None:
            self._deadline = time.monotonic() + timeout
        try:
            self.connection.send(attempt.job)
        except OSError:
            # It has died; `receive` will tell.
            return

    def receive(self) -> Any:
        try:
            message = self.connection.recv()
        # A worker that is killed while it sends leaves half a message.
        except (EOFError, OSError):
            self._process.join(_ENDING_SECONDS)
            self.kill()
            return _ENDED
        if message == _READY:
            self.ready = True
            return _READY
        self.attempt, self._deadline = None, float("inf")
        return message

    def ending(self) -> str:
        """How the process ended, in words."""
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"its process ended with exit status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"

    def kill(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join()


def _free_index(workers: list[_Worker]) -> int:
    taken = {worker.index for worker in workers}
    return next(index for index in itertools.count() if index not in taken)


def _heard_from(workers: list[_Worker]) -> list[_Worker]:
    """Wait until a worker has sent something, or ended, or is late."""
    by_connection = {worker.connection: worker for worker in workers}
    left = min(worker.seconds_left for worker in workers)
    timeout = None if left == float("inf") else max(left, 0)
    return [by_connection[ready] for ready in connection.wait(list(by_connection), timeout)]  # type: ignore[index]


def _died(ending: str, attempts: int) -> str:
    return ending if attempts == 1 else f"{ending}, the last of {attempts} times"


def _work(pipe: connection.Connection, task: Callable[[Any], Any], index: int) -> None:
    """Take jobs and send answers, in a process of its own, until the driver is gone."""
    prepare_process(index)
    pipe.send(_READY)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = _Answer(task(job), None)
        except Exception as error:
            answer = _Answer(None, Failure("internal", describe_error(error)))
        try:
            pipe.send(answer)
        except OSError:
            return


def describe_error(error: BaseException) -> str:
    """Kind and message of an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")[:1000]
