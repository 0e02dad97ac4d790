"""What a command works out while it waits for something else."""

import threading

from doh3d.commands.ahead import ahead


def test_work_is_done_beside_what_is_done_now():
    begun, go_on = threading.Event(), threading.Event()
    found = []

    def work():
        begun.set()
        go_on.wait(30)
        found.append(threading.current_thread())

    ahead(work)
    assert begun.wait(30)
    assert not found
    go_on.set()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(30)
    assert found != [threading.main_thread()]
    assert len(found) == 1


def test_an_error_is_left_to_whoever_asks(monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def work():
        raise ValueError("not now")

    before = set(threading.enumerate())
    ahead(work)
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert told == []
