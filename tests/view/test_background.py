from __future__ import annotations

import threading
import time

import numpy as np

from doh3d.view.background import Background, Redraws


def result_of(background):
    deadline = time.monotonic() + 30
    while (result := background.poll()) is None:
        assert time.monotonic() < deadline
    return result


def test_one_job_at_a_time_and_its_result_once():
    background, gate = Background(), threading.Event()
    assert background.poll() is None
    assert background.start(lambda: gate.wait(30) and 7)
    assert not background.start(lambda: 8)
    assert background.poll() is None
    gate.set()
    assert result_of(background) == 7
    assert background.poll() is None
    assert background.start(lambda: 9)
    assert result_of(background) == 9


def test_what_a_job_raises_comes_back():
    background = Background()
    background.start(lambda: 1 // 0)
    assert isinstance(result_of(background), ZeroDivisionError)


def test_a_change_is_drawn_more_than_once_but_not_for_ever(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    redraws = Redraws()
    assert not redraws.due()
    redraws.ask()
    drawn = []
    while now[0] < 200:
        if redraws.due():
            drawn.append(now[0] - 100)
        now[0] += 0.1
    # At once, and not again at once: a frame that comes too soon is dropped. One of the last
    # comes late enough for a renderer that takes a second for a frame.
    assert drawn[0] == 0
    assert min(np.diff(drawn)) >= 0.2
    assert 2 <= max(np.diff(drawn)) <= 5
    assert len(drawn) <= 6

    # A change in between starts anew, and does not wait for the last's late frames.
    redraws.ask()
    for _ in range(4):
        now[0] += 10
        assert redraws.due()
    redraws.ask()
    assert not redraws.due()
    for _ in range(3):
        now[0] += 0.41
        assert redraws.due()
