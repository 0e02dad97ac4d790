"""Whether other releases of torch decode the golden files to the same weights.

    python scripts/check_torch_versions.py [--versions 2.6.0,2.15.0]
        [--pip "--index-url https://download.pytorch.org/whl/cpu"]

Makes a virtual environment for each version in a temporary folder, decodes every file under
tests/golden there, and compares with the torch that runs this script: weights bit for bit by
their SHA-256, logits to 1e-5 of the largest, occupancy wherever the logit is further from 0 than
that. Exit status 1 where anything differs. Outside CI: torch's default wheels bring gigabytes of
CUDA libraries along, which nothing here uses; where its index of CPU wheels can be reached,
--pip takes it from there. --reuse keeps the environments in a folder for another run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"

# What decoding needs beside torch, in the versions of the environment that runs this.
NEEDED = ["numpy", "constriction"]

LOGIT_TOLERANCE = 1e-5
POINTS = 20_000

DECODE = """
import hashlib, json, sys
import numpy as np, torch, doh3d

report = {"torch": torch.__version__, "weights": {}}
for path in sys.argv[2:]:
    field = doh3d.load(path, "cpu")
    data = [tensor.numpy().tobytes() for tensor in field.weights.matrices + field.weights.biases]
    report["weights"][path] = hashlib.sha256(b"".join(data)).hexdigest()
    points = np.random.default_rng(0).uniform(*field.bounds, (POINTS, 3))
    np.save(sys.argv[1] + path.rpartition("/")[2] + ".npy", field.logits(points))
print(json.dumps(report))
""".replace("POINTS", str(POINTS))


def environment(folder: Path, version: str, pip_options: list[str]) -> Path:
    """Python of a virtual environment with that torch, made unless it is there."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        others = [f"{name}=={installed(name)}" for name in NEEDED]
        subprocess.run([*pip, f"torch=={version}", *pip_options], check=True)
        subprocess.run([*pip, *others], check=True)
        subprocess.run([*pip, "--no-deps", str(ROOT)], check=True)
        (folder / "complete").touch()
    return python


def decode(python: Path, folder: Path, files: list[Path]) -> tuple[dict, list[np.ndarray]]:
    """Digests of the files' weights, and their logits, under that Python."""
    folder.mkdir()
    command = [str(python), "-c", DECODE, f"{folder}/", *map(str, files)]
    # From a folder without the package, so that the installed one is imported.
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    return json.loads(output.stdout), [np.load(folder / f"{file.name}.npy") for file in files]


def difference(logits: np.ndarray, others: np.ndarray) -> tuple[float, int]:
    """Largest difference as a share of the largest logit; decided points whose side differs."""
    largest = np.abs(logits).max()
    decided = np.abs(logits) > LOGIT_TOLERANCE * largest
    flipped = ((logits > 0) != (others > 0)) & decided
    return float(np.abs(logits - others).max() / largest), int(flipped.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--versions", default="2.6.0,2.15.0", help="separated by commas")
    parser.add_argument("--pip", default="", help="options for installing torch")
    parser.add_argument("--reuse", type=Path, help="a folder for the environments")
    arguments = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = []
        for golden in sorted(GOLDEN.glob("*.hex")):
            files.append(folder / f"{golden.stem}.doh")
            files[-1].write_bytes(bytes.fromhex(golden.read_text()))
        ours, our_logits = decode(Path(sys.executable), folder / "own", files)
        for version in arguments.versions.split(","):
            where = (arguments.reuse or folder) / f"torch-{version}"
            python = environment(where, version, shlex.split(arguments.pip))
            theirs, their_logits = decode(python, folder / f"logits-{version}", files)
            for file, logits, others in zip(files, our_logits, their_logits, strict=True):
                equal = ours["weights"][str(file)] == theirs["weights"][str(file)]
                share, flipped = difference(logits, others)
                # A raw latent is summed in any order: only its logits are compared.
                exact = file.stem != "raw"
                good = (equal or not exact) and share <= LOGIT_TOLERANCE and not flipped
                faults += not good
                print(
                    f"{'ok' if good else 'DIFFERS':8}{theirs['torch']} against {ours['torch']}  "
                    f"{file.stem:9} weights {'equal' if equal else 'differ'}, "
                    f"logits within {share:.1e}, {flipped} of {POINTS} decided points flipped",
                    flush=True,
                )
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
