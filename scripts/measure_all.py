"""Measure what the results of a release lack of the present code, the most important first.

    python scripts/measure_all.py --meshes DIR --images DIR --volumes DIR            # list
    python scripts/measure_all.py --meshes DIR --images DIR --volumes DIR --minutes 50

Lists for each group of results how many rows of the present code are there, and about how many
seconds the missing ones take, by earlier rows. With `--minutes` it runs the scripts that measure
them until the time is over: what is begun then is stopped, and loses the row that it was at. The
next run goes on. Groups without a folder of inputs are left out. Two processes share the work with
`--shard 1/2` and `--shard 2/2`. Output of the scripts goes to out/measure_all/.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import doh3d
from provenance import ROOT, is_present
from release_jobs import Job, Key, jobs

LOGS = ROOT / "out" / "measure_all"
# Less than so many seconds is not worth a start.
LEAST = 20.0

Rows = dict[str, list[dict[str, str]]]


def read_rows(folders: Iterable[Path]) -> Rows:
    """All rows of these folders' tables, by the table's name."""
    rows: Rows = {}
    for path in sorted(path for folder in folders for path in folder.glob("*.tsv")):
        with path.open(newline="") as file:
            found = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows.setdefault(path.stem, []).extend(found)
    return rows


def matches(row: dict[str, str], key: Key) -> bool:
    return all(row.get(column) == str(value) for column, value in key.items())


def missing(job: Job, rows: Rows) -> list[Key]:
    """Keys of a job of which the present code has no row."""
    present = [row for row in rows.get(job.table, []) if is_present(job.table, row)]
    return [key for key in job.keys if not any(matches(row, key) for row in present)]


def estimate(job: Job, key: Key, earlier: Rows) -> float:
    """Seconds of a key's rows by earlier ones: its own, else those most like it."""
    rows = [row for row in earlier.get(job.table, []) if row.get("seconds")]
    # A row of speed.tsv has the seconds of what it measures, not of measuring it.
    if job.table == "speed" or not rows:
        return job.seconds
    own = [row for row in rows if matches(row, key)]
    if own:
        # A key of several rows takes their sum, and of several commits their mean.
        commits = {(row.get("version"), row.get("commit")) for row in own}
        return sum(float(row["seconds"]) for row in own) / len(commits)
    names = ("method", "preset", "target_bytes", "target_bpp", "max_bytes")
    alike_in = {name: key[name] for name in names if name in key}
    alike = [float(row["seconds"]) for row in rows if matches(row, alike_in)]
    return statistics.mean(alike) if alike else job.seconds


def listing(chosen: list[Job], now: Rows, earlier: Rows) -> None:
    """Print a line a group, and the sum."""
    total = 0.0
    print("group\trows there\tmissing\tseconds for these\tcommand of the first")
    for group in dict.fromkeys(job.group for job in chosen):
        own = [job for job in chosen if job.group == group]
        lacking = [(job, key) for job in own for key in missing(job, now)]
        seconds = sum(estimate(job, key, earlier) for job, key in lacking)
        total += seconds
        there = sum(len(job.keys) for job in own) - len(lacking)
        command = " ".join(lacking[0][0].commands[-1][1:]) if lacking else ""
        print(group, there, len(lacking), f"{seconds:.0f}", command, sep="\t")
    print(f"about {total / 3600:.1f} hours are missing")


def run(job: Job, limit: float) -> str:
    """Run a job's commands for so many seconds at most; say how it ended."""
    end = time.monotonic() + limit
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{job.group}-{job.name}.log".replace(" ", "_").replace("/", "_")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("w") as file:
        for command in job.commands:
            output = Path(command[-1])
            if command[-2] == "-o":
                if output.exists():
                    continue
                output.parent.mkdir(parents=True, exist_ok=True)
            try:
                done = subprocess.run(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    timeout=max(1.0, end - time.monotonic()),
                )
            except subprocess.TimeoutExpired:
                return "stopped: the time is over"
            if done.returncode:
                return f"FAILED with {done.returncode}, see {log}"
    return "done"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("meshes", "images", "volumes"):
        parser.add_argument(f"--{name}", type=Path, help="folder of inputs")
    parser.add_argument("--minutes", type=float, help="measure for so long; without it, only list")
    parser.add_argument("--only", help="groups whose name begins so, with commas")
    parser.add_argument("--shard", default="1/1", help="I/N: every N-th job, beginning with I")
    arguments = parser.parse_args()
    for name in ("meshes", "images", "volumes"):
        folder = getattr(arguments, name)
        if folder is not None and not folder.is_dir():
            parser.error(f"--{name} {folder}: there is no such folder")
        setattr(arguments, name, folder and folder.resolve())
    index, count = map(int, arguments.shard.split("/"))
    chosen = list(jobs(arguments.meshes, arguments.images, arguments.volumes))
    if arguments.only:
        chosen = [job for job in chosen if job.group.startswith(tuple(arguments.only.split(",")))]
    results = ROOT / "results"
    now = results / doh3d.__version__
    earlier = read_rows(sorted(path for path in results.iterdir() if path.is_dir()))
    if arguments.minutes is None:
        listing(chosen, read_rows([now]), earlier)
        return
    end = time.monotonic() + 60 * arguments.minutes
    for job in chosen[index - 1 :: count]:
        lacking = missing(job, read_rows([now]))
        left = end - time.monotonic()
        # A single row that does not fit would be lost.
        if not lacking or left < max(LEAST, estimate(job, lacking[0], earlier)):
            continue
        started = time.monotonic()
        ended = run(job, left)
        print(f"{job.group} {job.name}: {ended}, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
