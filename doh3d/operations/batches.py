"""Work on many rows, some at a time, by all threads."""

from __future__ import annotations

from collections.abc import Callable

from doh3d.thread_team import team_of_all_threads


def in_batches(work: Callable[[slice], None], count: int, size: int) -> None:
    """Call `work` with slices of `size` rows out of `count`, each in one thread.

    torch's modes, such as that without gradients, are a thread's own: `work` sets what it needs.
    """
    slices = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    with team_of_all_threads() as team:
        team.run(lambda _, task: work(slices[task]), len(slices))
