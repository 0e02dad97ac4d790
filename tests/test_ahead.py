import threading

import pytest

from doh3d.ahead import ahead


def test_the_items_and_their_order_are_kept():
    assert list(ahead(iter([None, 1, "two"]))) == [None, 1, "two"]
    assert list(ahead(iter([]))) == []


def test_one_item_is_made_while_the_caller_has_the_one_before():
    made = threading.Semaphore(0)
    started = []

    def items():
        for item in range(3):
            started.append(item)
            made.release()
            yield item

    for item in ahead(items()):
        # The next is begun without being asked for, and the one after it is not.
        if item < 2:
            assert made.acquire(timeout=60)
            assert made.acquire(timeout=60) if item == 0 else True
        assert max(started) <= item + 1
    assert started == [0, 1, 2]


def test_an_error_comes_in_the_items_place():
    def items():
        yield 1
        raise ValueError("no second one")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="no second one"):
        next(found)


def test_who_stops_early_leaves_nothing_running():
    made = []
    before = threading.active_count()
    for item in ahead(made.append(item) or item for item in range(100)):
        if item == 3:
            break
    assert len(made) <= 5
    assert threading.active_count() == before
