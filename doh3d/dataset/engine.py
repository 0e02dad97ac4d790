"""What runs one task over many jobs, wherever it runs them.

A job is anything that can be pickled, and so is what the task makes of it: an engine looks into
neither. Of a job that is made of several, such as shapes that are fitted together, `split` tells
which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

DEFAULT_RETRIES = 2


@dataclass(frozen=True)
class Failure:
    """Why a job came to nothing.

    Attributes
    ----------
    kind : str
        "died" (its process ended, each time that it was tried), "timeout", or "internal" (the
        task raised an exception, which it should not).
    message : str
        One line.
    """

    kind: Literal["died", "timeout", "internal"]
    message: str


@dataclass(frozen=True)
class Outcome(Generic[Job, Result]):
    """A job's end.

    Attributes
    ----------
    job : Job
    result : Result or None
        What the task returned.
    failure : Failure or None
        Set where there is no result.
    attempts : int
        How often the job was begun, as far as the engine knows.
    """

    job: Job
    result: Result | None
    failure: Failure | None
    attempts: int


def whole(job: Job) -> Sequence[Job]:
    """Take a job for one."""
    return (job,)


class Engine(Protocol):
    """Runs tasks. Jobs are drawn as they are needed, so that there may be any number."""

    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        split: Callable[[Job], Sequence[Job]] = whole,
    ) -> Iterator[Outcome[Job, Result]]:
        """Yield every job's outcome, in whatever order they end.

        Closing the iterator ends what is still running.

        Parameters
        ----------
        task : callable
        jobs : iterable
        split : callable
            From a job to the jobs that it is made of. One of several has the time of all of
            them; where its process dies or its time is up, they are tried one by one, however
            few retries there are, and have the outcomes that it would have had.
        """
        ...

    def close(self) -> None:
        """Give back what the engine holds between runs."""
        ...
