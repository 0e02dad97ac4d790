from __future__ import annotations

import threading
import time

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
    assert redraws.due()
    # Not at once: a frame that comes too soon is dropped.
    assert not redraws.due()
    frames = 0
    for _ in range(100):
        now[0] += 1
        frames += redraws.due()
    assert 1 <= frames <= 4
