"""Whether `doh3d compress` survives being stopped at any moment.

    python scripts/check_kills.py MESH [--kills 100] [--seed 0] [--options "--max-bytes 400"]

Stops the command, with a checkpoint and quick fits, after random times by random ones of SIGINT,
SIGTERM and SIGKILL, runs it again until it is done, and starts over, until so many have been
sent. Every time the target must be absent or old (whichever it was) or whole, and in the end
whole, byte for byte as of an undisturbed run, with no other file beside it. Prints counts, those
in capitals being faults; exit status 1 where there is one.

The runs are forked from a process that has imported everything, so that signals meet the work
and not the loading of torch.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import random
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

import igl  # noqa: F401
import scipy.sparse.csgraph  # noqa: F401

from doh3d import cli
from doh3d.api import compress  # noqa: F401
from doh3d.evaluation import fidelity
from doh3d.fitting import checkpoint
from doh3d.signals import shape_plan

SMALL = "--latent 150 --width 12 --depth 2"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def make_quick() -> None:
    """Fits and measurements of less than a second, and a checkpoint at each opportunity."""
    shape_plan.PRESETS["fast"] = shape_plan.Preset(steps=300, batch_size=256, pool_size=5_000)
    checkpoint.SAVE_SECONDS, checkpoint.SAVE_SHARE = 0.0, float("inf")
    fidelity._RESOLUTION, fidelity._POINTS = 32, 2**13


def command(arguments: list[str], errors: Path) -> None:
    """Run the command with its output in a file."""
    with errors.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # A shell has its background jobs ignore it, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["doh3d", *arguments]
    cli.main()


class Check:
    """One mesh and one set of options, stopped again and again."""

    def __init__(self, mesh: Path, options: list[str], folder: Path, seed: int) -> None:
        self.folder = folder / "run"
        self.folder.mkdir()
        self.target = self.folder / "target.doh"
        self.counts: collections.Counter[str] = collections.Counter()
        self._errors = folder / "errors"
        self._random = random.Random(seed)
        self._arguments = ["compress", str(mesh), "-o", str(self.target), "--preset", "fast"]
        self._arguments += ["--checkpoint", str(self.folder / "checkpoint"), "--device", "cpu"]
        self._arguments += options
        started = time.monotonic()
        self._start().join()
        self._seconds = time.monotonic() - started
        self._expected = self.target.read_bytes()

    def compression(self, kills: int) -> None:
        """Stop a compression until it gets through, or all the kills allowed were sent."""
        old = self._random.choice([None, b"old"])
        self.target.unlink(missing_ok=True)
        if old is not None:
            self.target.write_bytes(old)
        stopped = 0
        while self._run(old, may_stop=stopped < kills):
            stopped += 1
        self.counts["compressions"] += 1
        self.counts["WRONG BYTES"] += self.target.read_bytes() != self._expected
        self.counts["FILES LEFT"] += os.listdir(self.folder) != [self.target.name]

    def _start(self) -> multiprocessing.Process:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=command, args=(self._arguments, self._errors))
        process.start()
        return process

    def _run(self, old: bytes | None, *, may_stop: bool) -> bool:
        """Run the command once; whether it was stopped."""
        number = self._random.choice(SIGNALS)
        started = time.monotonic()
        process = self._start()
        process.join(self._random.uniform(0, self._seconds) if may_stop else None)
        if process.exitcode is None:
            os.kill(process.pid, number)
            process.join()
        if process.exitcode == 0:
            # On a machine that others use as well runs come to take more or less time.
            self._seconds = time.monotonic() - started
            self.counts["signals that came too late"] += may_stop
            return False
        errors = self._errors.read_text()
        if "Traceback" in errors or process.exitcode not in (-number, 128 + number):
            self.counts["UNTIDY ENDS"] += 1
            print(process.exitcode, errors, file=sys.stderr)
        self.counts["stopped"] += 1
        self.counts[f"by {number.name}"] += 1
        left = os.listdir(self.folder)
        self.counts["leaving a temporary file"] += any(name.endswith(".part") for name in left)
        self.counts["leaving a checkpoint"] += "checkpoint" in left
        found = self.target.read_bytes() if self.target.exists() else None
        self.counts["after the file was written"] += found == self._expected
        self.counts["HALF A FILE"] += found not in (old, self._expected)
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", default=SMALL, help="of the command")
    arguments = parser.parse_args()
    make_quick()
    with tempfile.TemporaryDirectory() as folder:
        check = Check(
            arguments.mesh.resolve(), shlex.split(arguments.options), Path(folder), arguments.seed
        )
        while check.counts["stopped"] < arguments.kills:
            check.compression(arguments.kills - check.counts["stopped"])
            print(dict(check.counts), flush=True)
    sys.exit(any(count for name, count in check.counts.items() if name == name.upper()))


if __name__ == "__main__":
    main()
