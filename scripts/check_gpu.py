"""What a GPU does for the codec: whether it is right, how fast it is, and how good.

    python scripts/check_gpu.py prepare --meshes DIR [--images DIR]
    python scripts/check_gpu.py run [--out results/<version>] [--seconds 460] [--only right,one]

`prepare` puts into build/gpu what a bare machine lacks: wheels of what is imported, meshes of
twelve shapes and four images. The folder is not tracked, and stays below 64 MiB. `run` needs it,
this checkout, Python 3.12, torch, numpy and scipy, and no network; it takes less than eight
minutes, and does what there is time for, first the most important. It appends a row to gpu.tsv as
soon as it is known, so that one that is cut off has told what it found. `--device cpu --quick`
tries the script itself without a GPU, by fits of a few steps.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

from gpu_parts import PARTS, compressed
from gpu_run import FOLDER, INPUTS, ROOT, Check
from provenance import COMMIT_FILE, commit

WHEELS, SITE = FOLDER / "wheels", FOLDER / "site"

# What the package, and its tests on a GPU, import beyond what a machine for torch has.
PACKAGES = """
constriction fsspec libigl manifold3d markdown-it-py mdurl pygments pysdf-easy rich shellingham
trimesh typer hypothesis sortedcontainers iniconfig pluggy pytest pytest-benchmark py-cpuinfo pillow
""".split()  # noqa: SIM905
PLATFORMS = ["2_28", "2_27", "2_24", "2_17"]

IMAGES = ("kodim01", "kodim05", "kodim19", "kodim23")


def prepare(meshes: Path, images: Path | None) -> None:
    WHEELS.mkdir(parents=True, exist_ok=True)
    INPUTS.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip"]
    platforms = [f"--platform=manylinux_{each}_x86_64" for each in PLATFORMS]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=manylinux1_x86_64"]
    for package in PACKAGES:
        command = [*pip, "download", "-q", "--no-deps", "--only-binary=:all:", *platforms]
        command += ["--python-version=3.12", "--implementation=cp", "-d", str(WHEELS), package]
        if subprocess.run(command, check=False).returncode:
            print(f"{package}: no wheel for Python 3.12; the run says whether it is missed")
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(WHEELS), str(ROOT)], check=True)
    COMMIT_FILE.write_text(commit())
    pack_meshes(meshes)
    for name in IMAGES if images is not None else ():
        shutil.copyfile(images / f"{name}.png", INPUTS / f"{name}.png")
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    print(f"{FOLDER}: {size / 2**20:.1f} MiB")
    if size > 64 * 2**20:
        raise SystemExit("more than 64 MiB: leave out some meshes")


def pack_meshes(folder: Path) -> None:
    """Repair meshes here, so that the run does not, and write them without loss in less space."""
    import numpy as np

    from doh3d.geometry.reading import read_shape

    for path in sorted(folder.iterdir()):
        mesh = read_shape(path).mesh
        kind = np.uint16 if len(mesh.vertices) < 2**16 else np.uint32
        vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(kind)
        np.savez_compressed(INPUTS / f"{path.stem}.npz", vertices=vertices, faces=faces)


def run(options: argparse.Namespace) -> None:
    if WHEELS.exists() and not SITE.exists() and sys.version_info[:2] == (3, 12):
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        wheels = [str(path) for path in WHEELS.glob("*.whl")]
        subprocess.run([*pip, "--no-compile", "--target", str(SITE), *wheels], check=True)
    # What is installed there is younger than what a machine may have; the code is this checkout's.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(SITE)])
    sys.path[:0] = [str(ROOT), str(SITE)]
    check = Check(options)
    for name in options.only.split(",") if options.only else PARTS:
        started = time.perf_counter()
        try:
            PARTS[name](check)
        # Whatever is wrong with one part, the others are to tell what they find.
        except Exception as error:
            traceback.print_exc()
            check.rows.add(name, "FAILED", note=f"{type(error).__name__}: {error}"[:300])
        check.rows.add(name, "all of it", seconds=time.perf_counter() - started)
    for work in check.at_the_end:
        work()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare")
    preparing.add_argument("--meshes", type=Path, required=True)
    preparing.add_argument("--images", type=Path)
    running = commands.add_parser("run")
    running.add_argument("--out", type=Path)
    running.add_argument("--seconds", type=float, default=460.0)
    running.add_argument("--only")
    running.add_argument("--device", default="cuda")
    running.add_argument("--quick", action="store_true")
    # What `run` starts beside itself.
    on_cpu = commands.add_parser("cpu")
    on_cpu.add_argument("mesh")
    on_cpu.add_argument("size", type=int)
    on_cpu.add_argument("preset")
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.meshes, options.images)
    elif options.command == "cpu":
        print(json.dumps(compressed(options.mesh, options.size, options.preset, "cpu")))
    else:
        run(options)


if __name__ == "__main__":
    main()
