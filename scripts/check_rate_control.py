"""Whether sizes and qualities asked for are met, on real meshes.

    python scripts/check_rate_control.py MESH... [--preset default] [--max-bytes 300,500,...]
        [--min-iou 0.9,0.95,0.97] [--output results/<version>/rate_control.tsv]

A row a target: the file's size on disk, the share of the bytes allowed that it uses, the IoU of
the extracted mesh by the bbox protocol, how many fits it took, and, for a quality, the largest
smaller size that was tried and what it reached. A second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import doh3d
from doh3d.evaluation.evaluate import mesh_iou
from result_table import ResultTable, results_path

COLUMNS = """
mesh preset target bytes used iou fits tried seconds
""".split()  # noqa: SIM905
KEY = ("mesh", "preset", "target")


class Trials(logging.Handler):
    """Collects what rate control logs about its trials."""

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.tried.append(record.getMessage())


def measure(mesh: Path, preset: str, target: str, folder: Path) -> dict[str, object]:
    name, value = target.split("=")
    trials = Trials()
    log = logging.getLogger("doh3d.fitting.rate_control")
    log.addHandler(trials)
    log.setLevel(logging.INFO)
    started = time.perf_counter()
    if name == "max_bytes":
        shape = doh3d.compress(mesh, max_bytes=int(value), preset=preset)
    else:
        shape = doh3d.compress(mesh, min_iou=float(value), preset=preset)
    seconds = time.perf_counter() - started
    log.removeHandler(trials)
    file = folder / f"{mesh.stem}.doh"
    shape.save(file)
    size = file.stat().st_size
    iou = mesh_iou(doh3d.load_mesh(mesh), doh3d.load(file).to_mesh()).iou
    refits = sum("instead" in message for message in trials.tried)
    measured = sum("reach IoU" in message for message in trials.tried)
    return {
        "mesh": mesh.stem,
        "preset": preset,
        "target": target,
        "bytes": size,
        "used": f"{size / int(value):.4f}" if name == "max_bytes" else "",
        "iou": f"{iou:.5f}",
        "fits": refits + max(measured, 1),
        "tried": "; ".join(trials.tried),
        "seconds": f"{seconds:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--max-bytes", default="300,500,1000,2000,4000,8000,16000,64000")
    parser.add_argument("--min-iou", default="0.9,0.95,0.97")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or results_path("rate_control")
    table = ResultTable(output, COLUMNS, KEY, device="auto")
    targets = [f"max_bytes={n}" for n in arguments.max_bytes.split(",") if n]
    targets += [f"min_iou={x}" for x in arguments.min_iou.split(",") if x]
    with tempfile.TemporaryDirectory() as folder:
        for target in targets:
            for mesh in arguments.meshes:
                key = {"mesh": mesh.stem, "preset": arguments.preset, "target": target}
                if table.has(**key):
                    continue
                row = table.add(**measure(mesh, arguments.preset, target, Path(folder)))
                print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
