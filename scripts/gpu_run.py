"""One run of check_gpu.py: its device, its time, and the table that it writes."""

from __future__ import annotations

import argparse
import csv
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "gpu"
INPUTS = FOLDER / "inputs"

COLUMNS = "part what signals seconds value unit note card driver torch commit".split()  # noqa: SIM905


class Rows:
    """The table of a run, a row at a time."""

    def __init__(self, path: Path, machine: dict[str, str]) -> None:
        self._machine = machine
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS, delimiter="\t", restval="")
        if is_new:
            self._writer.writeheader()

    def add(self, part: str, what: str, **values: object) -> None:
        """Append a row, and print it."""
        row = {key: f"{v:.5g}" if isinstance(v, float) else v for key, v in values.items()}
        print(part, what, *(f"{key}={value}" for key, value in row.items()), flush=True)
        self._writer.writerow({"part": part, "what": what} | row | self._machine)
        self._file.flush()


class Check:
    """One run: its device, its rows, and how much time is left."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.device, self.quick = options.device, options.quick
        self._end = time.monotonic() + options.seconds
        self.at_the_end: list[Callable[[], None]] = []
        out = options.out
        if out is None:
            import doh3d

            out = ROOT / "results" / doh3d.__version__
        self.rows = Rows(out / "gpu.tsv", machine(self.device))

    @property
    def seconds_left(self) -> float:
        """Seconds before nothing more is begun."""
        return self._end - time.monotonic()

    def timed(self, work: Callable[[], object]) -> tuple[object, float]:
        """Do some work; what it gives, and its seconds on the device."""
        import torch

        self.wait()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        found = work()
        self.wait()
        return found, time.perf_counter() - started

    def wait(self) -> None:
        """Wait for the device."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def preset(self, name: str) -> str:
        """Name a preset, which is short where only the script is tried."""
        from doh3d.signals import image_plan, shape_plan

        if self.quick:
            for presets in (shape_plan.PRESETS, image_plan.PRESETS):
                presets[name] = replace(presets[name], steps=60, pool_size=20_000)
        return name


def machine(device: str) -> dict[str, str]:
    import torch

    def said(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()
        except OSError:
            return ""

    on_gpu = device == "cuda"
    query = "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"
    return {
        "card": torch.cuda.get_device_name() if on_gpu else "none",
        "driver": said(*query).split("\n")[0] if on_gpu else "",
        "torch": torch.__version__,
        "commit": said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or given_commit(),
    }


def given_commit() -> str:
    """Read the commit that `prepare` has left, where there is no repository."""
    path = FOLDER / "commit"
    return path.read_text().strip() if path.exists() else ""
