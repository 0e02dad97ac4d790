import threading

import pytest
import torch

from doh3d import thread_team
from doh3d.thread_team import ThreadTeam, team_of_all_threads


@pytest.fixture(params=[1, 2, 3])
def team(request):
    team = ThreadTeam(request.param)
    yield team
    team.close()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_each_piece_is_done_once_by_a_thread_of_the_team(team, count):
    done = []
    for _ in range(3):
        team.run(lambda thread, piece: done.append((piece, thread)), count)
    assert sorted(piece for piece, _ in done) == sorted([*range(count)] * 3)
    assert {thread for _, thread in done} <= set(range(team.threads))


def test_all_threads_work_at_the_same_time(team):
    # Passes only if as many are here at once.
    meeting = threading.Barrier(team.threads, timeout=60)
    team.run(lambda thread, piece: meeting.wait(), team.threads)


def test_no_two_threads_have_one_number():
    team = ThreadTeam(2)
    meeting = threading.Barrier(2, timeout=60)
    found = {}

    def work(thread, piece):
        meeting.wait()
        found[thread] = threading.get_ident()

    team.run(work, 2)
    team.close()
    assert len(set(found.values())) == 2
    assert found[0] == threading.get_ident()


@pytest.mark.parametrize("who", [0, 1])
def test_an_error_of_any_thread_reaches_the_caller_when_all_have_stopped(who):
    team = ThreadTeam(2)
    meeting = threading.Barrier(2, timeout=60)
    done = []

    def work(thread, piece):
        if piece < 2:
            meeting.wait()
        if thread == who:
            raise ValueError("a piece that cannot be done")
        done.append(piece)

    with pytest.raises(ValueError, match="cannot be done"):
        team.run(work, 1000)
    stopped = len(done)
    # The team is as good as before.
    team.run(lambda thread, piece: done.append(piece), 3)
    assert len(done) == stopped + 3
    team.close()


def test_all_helpers_have_stopped_when_the_first_of_them_fails(monkeypatch):
    team = ThreadTeam(3)
    meeting = threading.Barrier(3, timeout=60)
    waited_for = threading.Event()
    real_wait = thread_team.wait
    working = []

    def release_and_wait(helping):
        waited_for.set()
        return real_wait(helping)

    def work(thread, piece):
        meeting.wait()
        if thread == 1:
            raise ValueError("a piece that cannot be done")
        if thread == 2:
            # At work for as long as nobody waits for all helpers.
            working.append(piece)
            waited_for.wait(60)
            working.remove(piece)

    monkeypatch.setattr(thread_team, "wait", release_and_wait)
    try:
        with pytest.raises(ValueError, match="cannot be done"):
            team.run(work, 3)
        assert working == []
    finally:
        waited_for.set()
        team.close()


def test_a_team_is_as_large_as_torch_allows_and_computes_alone():
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with team_of_all_threads() as team:
                assert team.threads == threads
                seen = set()
                meeting = threading.Barrier(threads, timeout=60)

                def look(thread, piece, meeting=meeting, seen=seen):
                    meeting.wait()
                    seen.add(torch.get_num_threads())

                team.run(look, threads)
                assert seen == {1}
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
