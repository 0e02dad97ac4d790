"""Work that is done while its results are waited for elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Make each item on a second thread while the caller is busy with the one before.

    An error that making one raises reaches the caller in its place. Whoever stops early waits for
    the item that is being made.
    """
    end = object()
    with ThreadPoolExecutor(1) as helper:
        coming = helper.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = helper.submit(next, items, end)
            yield item  # type: ignore[misc]
