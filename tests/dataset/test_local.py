import os
import signal
import subprocess
import sys
import time

import pytest

from doh3d.dataset.local import LocalEngine
from doh3d.errors import ConfigError, Doh3dError


def outcomes(engine, task, jobs):
    return {outcome.job: outcome for outcome in engine.run(task, jobs)}


def test_every_job_has_its_result(stubs):
    jobs = [f"job {number}" for number in range(20)]
    found = outcomes(LocalEngine(2), stubs.act, jobs)
    assert {job: found[job].result for job in jobs} == {job: job.upper() for job in jobs}
    assert all(outcome.failure is None and outcome.attempts == 1 for outcome in found.values())
    assert outcomes(LocalEngine(2), stubs.act, []) == {}


def test_a_worker_that_dies_costs_its_job_a_retry_and_no_other(stubs, tmp_path):
    once = f"die-once {tmp_path / 'died'}"
    jobs = ["a", "die SIGKILL", "b", "die SIGSEGV", once, "exit 3", "raise oh no", "c"]
    found = outcomes(LocalEngine(2, retries=1), stubs.act, jobs)
    assert {job for job in jobs if found[job].failure is None} == {"a", "b", "c", once}
    assert (found[once].result, found[once].attempts) == (once.upper(), 2)
    messages = {job: found[job].failure.message for job in jobs if found[job].failure}
    assert messages == {
        "die SIGKILL": "its process was ended by SIGKILL, as when memory runs out, the last of "
        "2 times",
        "die SIGSEGV": "its process was ended by SIGSEGV, the last of 2 times",
        "exit 3": "its process ended with exit status 3, the last of 2 times",
        "raise oh no": "ValueError: oh no",
    }
    assert found["raise oh no"].failure.kind == "internal"
    # The job is what is at fault: trying again would change nothing.
    assert found["raise oh no"].attempts == 1
    assert found["exit 3"].failure.kind == "died"


def test_a_job_that_takes_too_long_is_ended(stubs):
    found = outcomes(LocalEngine(1, timeout=1), stubs.act, ["sleep 60", "a"])
    assert found["sleep 60"].failure.kind == "timeout"
    assert found["sleep 60"].failure.message == "took longer than 1 s"
    assert found["sleep 60"].attempts == 1
    assert found["a"].result == "A"


def in_parts(job):
    return [(part,) for part in job]


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_group_whose_worker_dies_is_tried_one_by_one(stubs, retries):
    jobs = [("a", "b"), ("c", "die SIGKILL", "d"), ("raise oh no", "e"), ("f",)]
    engine = LocalEngine(1, retries=retries)
    found = {outcome.job: outcome for outcome in engine.run(stubs.act_all, jobs, in_parts)}
    dead = ("die SIGKILL",)
    assert {job: (each.result, each.attempts) for job, each in found.items() if each.result} == {
        ("a", "b"): (("A", "B"), 1),
        ("c",): (("C",), 2),
        ("d",): (("D",), 2),
        ("f",): (("F",), 1),
    }
    assert set(found) - {("a", "b"), ("c",), ("d",), ("f",)} == {dead, ("raise oh no", "e")}
    assert found[dead].failure.kind == "died"
    # Once with its group and once alone, however few retries there are.
    assert found[dead].attempts == max(2, retries + 1)


@pytest.mark.slow
def test_a_group_has_the_time_of_its_jobs_and_each_its_own_thereafter(stubs):
    jobs = [("sleep 0.6", "sleep 0.6", "a"), ("b", "sleep 60")]
    engine = LocalEngine(1, timeout=1)
    found = {outcome.job: outcome for outcome in engine.run(stubs.act_all, jobs, in_parts)}
    assert set(found) == {jobs[0], ("b",), ("sleep 60",)}
    assert found[jobs[0]].failure is None
    assert (found["b",].result, found["b",].attempts) == (("B",), 2)
    assert found["sleep 60",].failure.kind == "timeout"
    assert found["sleep 60",].failure.message == "took longer than 1 s"


def test_workers_live_on_and_jobs_are_drawn_as_needed(stubs):
    drawn = []

    def jobs():
        for number in range(50):
            drawn.append(number)
            yield f"pid {number}"

    processes = set()
    for ended, outcome in enumerate(LocalEngine(2).run(stubs.act, jobs()), start=1):
        processes.add(outcome.result)
        assert len(drawn) <= ended + 3
    assert len(processes) <= 2
    assert os.getpid() not in processes


def test_workers_use_one_thread_and_are_numbered(stubs):
    jobs = ["environment OMP_NUM_THREADS", "environment DOH3D_WORKER_INDEX"]
    found = outcomes(LocalEngine(1), stubs.act, jobs)
    assert [found[job].result for job in jobs] == ["1", "0"]


def test_closing_ends_the_workers(stubs):
    run = LocalEngine(2).run(stubs.act, ["pid", *["sleep 60"] * 5])
    process = next(run).result
    run.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_workers_that_never_start_end_the_run(stubs):
    with pytest.raises(Doh3dError, match=r"no worker process starts: .* exit status 7"):
        list(LocalEngine(2).run(stubs.NeverStarts(), ["a"]))


DRIVER = """
import sys

import batch_stubs
from doh3d.dataset.local import LocalEngine

if __name__ == "__main__":
    jobs = ["pid", "pid 2", *["doze " + sys.argv[1]] * 4]
    for outcome in LocalEngine(2).run(batch_stubs.act, jobs):
        print(outcome.result, flush=True)
"""


def test_no_worker_outlives_a_killed_driver(stubs, tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    log = tmp_path / "log"
    log.touch()
    command = [sys.executable, tmp_path / "driver.py", log]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        processes = [int(driver.stdout.readline()) for _ in range(2)]
        # Busy, so that no end of a pipe tells them.
        while len(log.read_text().split()) < 2:
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
    # They sleep for ten minutes.
    deadline = time.monotonic() + 300
    while any(map(is_running, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"workers": 1, "retries": -1}, "retries is -1"),
        ({"workers": 1, "timeout": 0}, "timeout is 0"),
        ({"workers": 1, "timeout": float("nan")}, "timeout is nan"),
    ],
)
def test_options_out_of_range_are_named(options, named):
    with pytest.raises(ConfigError, match=named):
        LocalEngine(**options)
