"""Threads that share the tasks of a step's work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

from doh3d.devices import full_precision, one_thread, set_own_threads

# Python's part of each operation is done by one thread at a time: more would wait for it.
_MOST_THREADS = 4


class ThreadTeam:
    """The calling thread and its helpers.

    Each takes the next task when it has done with one, so that a core that other processes keep
    busy holds nobody up. Unlike OpenMP's threads none waits actively.

    Parameters
    ----------
    threads : int
        The caller's included.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._helpers = (
            ThreadPoolExecutor(threads - 1, initializer=set_own_threads, initargs=(1,))
            if threads > 1
            else None
        )

    def run(self, work: Callable[[int, int], None], count: int) -> None:
        """Call ``work(thread, task)`` for `count` tasks, with threads numbered from 0."""
        tasks = iter(range(count))

        def take(thread: int) -> None:
            # What the last call of `next` gives away is whole: the interpreter's lock sees to it.
            for task in tasks:
                work(thread, task)

        helping = []
        if self._helpers is not None:
            some = min(self.threads, count)
            helping = [self._helpers.submit(take, thread) for thread in range(1, some)]
        try:
            take(0)
        finally:
            # Whatever happened here, nobody works on the buffers after this.
            for _ in tasks:
                pass
            wait(helping)
        for one in helping:
            one.result()

    def close(self) -> None:
        """End the helpers' threads."""
        if self._helpers is not None:
            self._helpers.shutdown()


@contextmanager
def team_of_all_threads() -> Iterator[ThreadTeam]:
    """Make a team of as many threads as torch would use, each of which computes alone.

    Products of float32 are in full precision meanwhile.
    """
    with full_precision, one_thread() as threads:
        team = ThreadTeam(min(threads, _MOST_THREADS))
        try:
            yield team
        finally:
            team.close()
