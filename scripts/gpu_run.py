"""One run of check_gpu.py: its device, its time, and the table that it writes."""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "gpu"
INPUTS = FOLDER / "inputs"

COLUMNS = "part what signals seconds value unit note driver torch".split()  # noqa: SIM905
KEY = ("part", "what", "signals", "unit")


class Rows:
    """The table of a run, a row at a time."""

    def __init__(self, path: Path, device: str) -> None:
        # The package can be imported only once `check_gpu.py run` has said where it is.
        from result_table import ResultTable

        self._machine = machine(device)
        self._table = ResultTable(path, COLUMNS, KEY, device=device)

    def add(self, part: str, what: str, **values: object) -> None:
        """Write a row in place of an earlier run's, and print it."""
        row = {key: f"{v:.5g}" if isinstance(v, float) else v for key, v in values.items()}
        print(part, what, *(f"{key}={value}" for key, value in row.items()), flush=True)
        key = {"part": part, "what": what, "signals": "", "unit": ""}
        self._table.add(**key | row | self._machine)


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
        self.rows = Rows(out / "gpu.tsv", self.device)

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
        "driver": said(*query).split("\n")[0] if on_gpu else "",
        "torch": torch.__version__,
    }
