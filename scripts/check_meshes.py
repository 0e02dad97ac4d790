"""Load, inspect and compress every mesh of a folder, each in a process with limits.

    python scripts/check_meshes.py DIR [--max-bytes 2000] [--preset fast] [--output TABLE.tsv]

A row a file, written as it is done; a second run goes on where the first stopped. Verdicts:
`good` reached --min-iou, `poor` did not, `refused` is a MeshError with its message; `error`,
`crashed` and `too slow` are faults.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

COLUMNS = """
file verdict defects iou bytes seconds cpu_seconds peak_mb message
""".split()  # noqa: SIM905

_IOU_POINTS = 2**18


def check(file: Path, max_bytes: int, preset: str) -> dict[str, object]:
    """Do one file in this process; what it says is the last line on standard output."""
    import doh3d
    from doh3d.errors import Doh3dError, MeshError
    from doh3d.evaluation.evaluate import mesh_iou
    from doh3d.geometry.inspection import inspect_mesh
    from doh3d.geometry.reading import read_shape

    found = inspect_mesh(file)
    defects = {k: v for k, v in (found.to_dict()["contents"] or {}).items() if v}
    row: dict[str, object] = {
        "defects": " ".join(
            f"{k}={v}" for k, v in defects.items() if k not in ("vertices", "faces")
        ),
        "message": "; ".join(found.notes),
    }
    started = time.perf_counter()
    try:
        shape = doh3d.compress(file, max_bytes=max_bytes, preset=preset)
        row["seconds"] = f"{time.perf_counter() - started:.1f}"
        iou = mesh_iou(read_shape(file), shape.field().to_mesh(), points=_IOU_POINTS).iou
        row |= {"verdict": "good", "iou": f"{iou:.4f}", "bytes": len(shape.data)}
    except MeshError as error:
        row |= {"verdict": "refused", "message": str(error)}
    except Doh3dError as error:
        row |= {"verdict": "error", "message": str(error)}
    row.setdefault("seconds", f"{time.perf_counter() - started:.1f}")
    row["cpu_seconds"] = f"{time.process_time():.1f}"
    row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return row


def check_apart(file: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Do one file in a process of its own, which may take so long and so much memory."""
    command = [sys.executable, __file__, str(file), "--one", "--preset", arguments.preset]
    limit = arguments.memory_mb << 20
    try:
        result = subprocess.run(
            [*command, "--max-bytes", str(arguments.max_bytes)],
            capture_output=True,
            text=True,
            timeout=arguments.seconds,
            # Data, not address space: libraries reserve far more than they touch.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        )
    except subprocess.TimeoutExpired:
        return {"verdict": "too slow", "message": f"more than {arguments.seconds} s"}
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        return {"verdict": "crashed", "message": lines[-1]}
    row = dict(json.loads(result.stdout.splitlines()[-1]))
    if row["verdict"] == "good" and float(row["iou"]) < arguments.min_iou:
        row["verdict"] = "poor"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of meshes, or one mesh")
    parser.add_argument("--max-bytes", type=int, default=2000)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--min-iou", type=float, default=0.9)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--memory-mb", type=int, default=2048)
    parser.add_argument("--output", type=Path, default=Path("out/check_meshes.tsv"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(check(arguments.folder, arguments.max_bytes, arguments.preset)))
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if arguments.output.exists():
        with arguments.output.open() as file:
            done = {row["file"] for row in csv.DictReader(file, delimiter="\t")}
    with arguments.output.open("a", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", restval="-")
        if not done:
            rows.writeheader()
        single = arguments.folder.is_file()
        for mesh in [arguments.folder] if single else sorted(arguments.folder.iterdir()):
            if mesh.name in done or not mesh.is_file():
                continue
            row = {"file": mesh.name, **check_apart(mesh, arguments)}
            # A message may be any text; in the table it is one cell.
            rows.writerow({key: " ".join(str(value).split()) for key, value in row.items()})
            file.flush()
            print(*(row.get(key, "-") for key in ("file", "verdict", "iou", "bytes", "seconds")))


if __name__ == "__main__":
    main()
