"""Whether `doh3d batch` survives the death of its driver at any moment.

    python scripts/check_batch_kills.py MESHES [--kills 20] [--workers 2] [--batch-fit 1] [--seed 0]

Runs the command over a folder of meshes with quick fits, ends it by SIGKILL after a random time,
runs the same again, and so on until so many kills were sent; whenever a run comes to its end the
next starts a new dataset. After each kill every worker must be gone within seconds. In the end of
each dataset every shape must be there once, with the bytes of an undisturbed run unless several
are fitted together, and no fit begun more often than once and once more for each kill that found
it in flight. Prints counts, those in capitals being faults; exit status 1 where there is one.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Workers load this file too, and with it what makes their fits quick and counts them.
from doh3d.dataset import tasks
from doh3d.signals import shape_plan

SMALL = ["--preset", "fast", "--latent", "100", "--width", "8", "--depth", "1", "--device", "cpu"]
LOG = "DOH3D_CHECK_LOG"
# A driver that is killed has no more time than this to take its workers along.
ORPHAN_SECONDS = 20.0


def make_quick() -> None:
    """Fits of a tenth of a second, each noted when it begins."""
    shape_plan.PRESETS["fast"] = shape_plan.Preset(steps=60, batch_size=512, pool_size=5_000)
    tasks.IOU_POINTS, tasks.CHAMFER_RESOLUTION = 2**13, 32
    real = tasks.CompressTask._begun

    def noted(self, source, stack):
        with open(os.environ[LOG], "a") as file:
            file.write(f"{source.id}\n")
        return real(self, source, stack)

    tasks.CompressTask._begun = noted


if LOG in os.environ:
    make_quick()


class Check:
    """One collection, compressed again and again."""

    def __init__(self, meshes: Path, workers: int, batch_fit: int, folder: Path, seed: int) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._workers = workers
        self._batch_fit = batch_fit
        self._meshes = meshes
        self._random = random.Random(seed)
        self._out = folder / "out"
        self._log = folder / "log"
        started = time.monotonic()
        assert self._start().wait() in (0, 4), "the undisturbed run failed"
        self._seconds = time.monotonic() - started
        self._expected = self._rows()
        print(f"{len(self._expected)} shapes in {self._seconds:.1f} s undisturbed", flush=True)

    def dataset(self, kills: int) -> None:
        """Kill runs until one gets through, or all the kills allowed were sent."""
        shutil.rmtree(self._out)
        self._log.unlink()
        sent = 0
        while True:
            driver = self._start()
            try:
                wait = self._random.uniform(0, self._seconds) if sent < kills else None
                status = driver.wait(wait)
            except subprocess.TimeoutExpired:
                workers = children(driver.pid)
                driver.send_signal(signal.SIGKILL)
                driver.wait()
                sent += 1
                self.counts["kills"] += 1
                self.counts["kills with rows in a journal"] += self._has_journal()
                self.counts["ORPHANS"] += not gone(workers)
                continue
            self.counts["FAILED RUNS"] += status not in (0, 4)
            break
        begun = collections.Counter(self._log.read_text().split("\n")[:-1])
        again = sum(begun.values()) - len(begun)
        self.counts["datasets"] += 1
        self.counts["fits begun again"] += again
        self.counts["DONE TWICE"] += max(0, again - sent * self._workers * self._batch_fit)
        self.counts["WRONG ROWS"] += self._rows() != self._expected
        left = set(os.listdir(self._out / "journal")) - {"lock"}
        self.counts["FILES LEFT"] += bool(left)

    def _start(self) -> subprocess.Popen[bytes]:
        command = ["batch", str(self._meshes), "-o", str(self._out)]
        command += ["--workers", str(self._workers), "--batch-fit", str(self._batch_fit), *SMALL]
        return subprocess.Popen(
            [sys.executable, __file__, "--drive", *command],
            env=os.environ | {LOG: str(self._log)},
            stdout=subprocess.DEVNULL,
        )

    def _rows(self) -> list[tuple[str, bytes | None, str | None]]:
        import pyarrow.parquet as pq

        table = pq.read_table(self._out / "shapes", columns=["id", "doh", "error"])
        # Of shapes that are fitted together, the bytes follow from who is left.
        return sorted(
            (row["id"], row["doh"] if self._batch_fit == 1 else None, row["error"])
            for row in table.to_pylist()
        )

    def _has_journal(self) -> bool:
        journals = (self._out / "journal").glob("*.jsonl")
        return any(journal.read_bytes().count(b"\n") > 1 for journal in journals)


def children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def gone(processes: list[int]) -> bool:
    """Whether all of them end soon."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-fit", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        meshes, workers = arguments.meshes.resolve(), arguments.workers
        check = Check(meshes, workers, arguments.batch_fit, Path(folder), arguments.seed)
        while check.counts["kills"] < arguments.kills:
            check.dataset(arguments.kills - check.counts["kills"])
            print(dict(check.counts), flush=True)
    sys.exit(any(count for name, count in check.counts.items() if name == name.upper()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        from doh3d import cli

        sys.argv = ["doh3d", *sys.argv[2:]]
        cli.main()
    else:
        main()
