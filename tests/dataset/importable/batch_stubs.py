"""Tasks that test engines. Workers import them by name, which they can't a test module."""

import dataclasses
import os
import signal
import time
from pathlib import Path

from doh3d.dataset.engine import Failure
from doh3d.dataset.tasks import CompressTask, changed_sources, failed_row, sha256
from doh3d.options import CompressOptions

# Of a preset whose bytes matter, and not what it has learnt.
BRIEF = {"steps": 60, "batch_size": 512, "pool_size": 5_000}


def act(job):
    """Do what the job says: its first word, with the rest as its argument."""
    action, _, argument = job.partition(" ")
    if action == "die":
        os.kill(os.getpid(), getattr(signal, argument))
    if action == "exit":
        os._exit(int(argument))
    if action == "die-once":
        path = Path(argument)
        if not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if action == "sleep":
        time.sleep(float(argument))
    if action == "gate":
        wait_at_gate(Path(argument))
    if action == "doze":
        with open(argument, "a") as file:
            file.write("dozing\n")
        time.sleep(600)
    if action == "raise":
        raise ValueError(argument)
    if action == "pid":
        return os.getpid()
    if action == "environment":
        return os.environ.get(argument)
    return job.upper()


def wait_at_gate(log):
    """Wait where seven attempts or more are in the log, until there is a file beside it: open."""
    while len(log.read_text().split()) >= 7 and not log.with_name("open").exists():
        time.sleep(0.02)


def act_all(jobs):
    """Do what each job of a group says."""
    return tuple(act(job) for job in jobs)


def slowly_changed_sources(checks):
    """Look at finished shapes' sources, each in more than half a second."""
    time.sleep(0.6 * len(checks))
    return changed_sources(checks)


class BriefTask(CompressTask):
    """Compresses in short fits, in whichever process."""

    def __call__(self, group):
        from doh3d.signals import shape_plan

        shape_plan.PRESETS["fast"] = shape_plan.Preset(**BRIEF)
        return super().__call__(group)


class NeverStarts:
    """Cannot be loaded by a worker."""

    def __reduce__(self):
        return os._exit, (7,)

    def __call__(self, job):
        raise AssertionError


@dataclasses.dataclass(frozen=True)
class StubTask:
    """Makes rows of two bytes, noting each attempt; what a source's text says, it does first."""

    options: CompressOptions
    log: Path

    def __call__(self, group):
        return tuple(self.one(source, len(group)) for source in group)

    def one(self, source, together):
        text = Path(source.path).read_text()
        with self.log.open("a") as file:
            file.write(f"{source.id}\n")
        row = failed_row(source, self.options, Failure("internal", "stub"))
        row = dataclasses.replace(row, source_sha256=sha256(text.encode()), source_bytes=len(text))
        if text.startswith("bad"):
            return dataclasses.replace(row, error_kind="mesh", error=f"{source.id}: {text}")
        act(text)
        return dataclasses.replace(
            row,
            error=None,
            error_kind=None,
            doh=text.encode()[:2],
            bytes=2,
            iou=0.5,
            batch_fit=together,
        )
