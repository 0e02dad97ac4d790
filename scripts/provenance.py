"""What every row of results says about itself: of which code, where, when and with which seed.

**The code's hash.** Rows are comparable if the same code made them, whatever was done meanwhile to
pages, tests and commands. So a row carries a hash of the sources that its numbers depend on, and
comments, docstrings and layout are not part of it: words may change without voiding hours of
measurements. There are four. `codec` is the package without what only shows or collects results
(`SHOWN`). `images` is that without what only shapes need (`OF_SHAPES`). `peers` is what other
methods are encoded and judged with. Learned peers borrow the codec's trainer, but stand for methods
that do not change with it; the commit says which trainer it was. `web` is the decoder in
JavaScript. The scripts that measure are in no hash but that of the peers: whoever changes what a
column means names the column anew.
"""

from __future__ import annotations

import ast
import datetime
import functools
import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Columns of every table, after its own.
PROVENANCE = ("seed", "version", "commit", "code", "machine", "processor", "date")

# Packages and modules of doh3d that neither make nor measure a file.
SHOWN = {
    "__init__.py",
    "__main__.py",
    "cli.py",
    "commands",
    "console.py",
    "dataset",
    "interop",
    "interrupts.py",
    "open3d_import.py",
    "sweep",
    "view",
}

# What an image does not need: loading them or not, its files and their quality are the same.
OF_SHAPES = (
    "evaluation/",
    "field.py",
    "field_lattice.py",
    "geometry/",
    "operations/",
    "signals/grid.py",
    "signals/shape.py",
    "signals/shape_plan.py",
    "signals/strays.py",
    "volumes/",
)

# Codes before it that make the same files and figures, by the present one's hash: any further
# change voids them. Whoever adds one has compared files of each kind, byte by byte, and says so.
ALIKE: dict[str, tuple[str, ...]] = {
    # c0712662: errors said less. Files of three meshes and an organ, meshes of them with normals, a
    # mask and an evaluation are the same byte for byte.
    # a78cc7af: PLY files of float64 coordinates had no normals. Files of three meshes and a grid, a
    # mesh of either kind of PLY, and an evaluation are the same byte for byte.
    # 2b1a646e: curved shapes of one network got a rate of their own with `best`, of which no
    # earlier rows were kept. All other configurations are equal.
    # c85918a3: `method="dual"` moved vertices otherwise, which only `dual.tsv` measures; it has no
    # rows before f540bfa5. Files of two meshes are the same byte for byte.
    "f540bfa5": ("c85918a3", "c0712662", "a78cc7af", "2b1a646e"),
    # 9d81da0d: the same errors. Of a mesh four rows of `mlp` and COIN are the same and 94 of Draco,
    # but for one IoU by 1e-5, on another processor.
    # 49de32bf: the same PLY files. COIN's rows of a mesh are the same.
    # 52f2bdf1: `mlp` says that its range cuts off, as it did before there was a choice: figures of
    # two meshes and two sizes are the same, but for one by 1e-5. COIN and D'OH as published train
    # without a range, and Draco has none.
    "9387577c": ("9d81da0d", "49de32bf", "52f2bdf1"),
}

# What check_gpu.py leaves for a machine that has a copy without a repository.
COMMIT_FILE = ROOT / "build" / "gpu" / "commit"


def provenance(table: str, row: Mapping[str, object], device: str = "cpu") -> dict[str, str]:
    """Return these columns for a row that is measured now, of a table that is called so."""
    import doh3d

    return {
        "seed": "0",
        "version": doh3d.__version__,
        "commit": commit(),
        "code": code(part_of(table, row)),
        "machine": f"{platform.system()} {platform.machine()}, {threads()}",
        "processor": processor(device),
        "date": datetime.date.today().isoformat(),
    }


def part_of(table: str, row: Mapping[str, object]) -> str:
    """Name the part of the code that a row's numbers depend on."""
    if table.startswith("web"):
        return "web"
    if table == "kodak" or table.startswith("image-"):
        return "images"
    return "codec" if row.get("method", "codec") == "codec" else "peers"


def is_present(table: str, row: Mapping[str, str]) -> bool:
    """Whether the row is of the present code, or of one `ALIKE`; before the hash rows had none."""
    present = code(part_of(table, row))
    return row.get("code", "") in (present, *ALIKE.get(present, ()))


def is_history(table: str, row: Mapping[str, str]) -> bool:
    """Whether the row tells on purpose what earlier code did: its label is not "now".

    A label of volumes is an organ's number.
    """
    return not table.startswith("volumes") and row.get("label", "") not in ("", "now")


@functools.cache
def code(part: str) -> str:
    """Hash of a part's sources: eight hexadecimal digits."""
    digest = hashlib.sha256()
    for name, path in sources(part):
        digest.update(name.encode())
        data = path.read_bytes()
        if path.suffix == ".py":
            data = repr(tree(without_docstrings(ast.parse(data)))).encode()
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()[:8]


def sources(part: str) -> Iterator[tuple[str, Path]]:
    """Files of a part, in order, with their names; the package is the one that is imported."""
    import doh3d

    package = Path(doh3d.__file__).parent
    if part == "images":
        for name, path in sources("codec"):
            if not name.startswith(OF_SHAPES) or name == "evaluation/image.py":
                yield name, path
        return
    if part == "codec":
        chosen = [
            path for path in sorted(package.iterdir()) if path.name not in {*SHOWN, "__pycache__"}
        ]
    elif part == "peers":
        peers = [ROOT / "scripts" / "peers" / f"{name}.py" for name in ("decimation", "networks")]
        chosen = [package / "evaluation", package / "geometry", *peers]
    elif part == "web":
        chosen = [ROOT / "web" / "src"]
    else:
        raise ValueError(f"part is {part!r}; it must be codec, images, peers or web")
    for path in chosen:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(path.parent).as_posix(), file


def without_docstrings(module: ast.Module) -> ast.Module:
    """Take the docstrings out of a module, its classes and its functions."""
    for node in ast.walk(module):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            del node.body[0]
    return module


def tree(node: object) -> object:
    """Names and values of a syntax tree; unlike `ast.dump`, alike in all versions of Python."""
    if isinstance(node, ast.AST):
        fields = [(name, tree(value)) for name, value in ast.iter_fields(node)]
        return type(node).__name__, *((name, value) for name, value in fields if value)
    if isinstance(node, list):
        return [tree(each) for each in node]
    return None if node is None else repr(node)


@functools.cache
def commit() -> str:
    """Short hash of the checkout, with a plus where its code has changes; empty if unknown."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "doh3d", "scripts", "web"])
    except (OSError, subprocess.CalledProcessError):
        return COMMIT_FILE.read_text().strip() if COMMIT_FILE.exists() else ""
    return head.stdout.strip() + ("+" if changed.returncode else "")


def threads() -> str:
    """How many threads torch has, in words."""
    import torch

    count = torch.get_num_threads()
    return f"{count} thread" + ("s" if count > 1 else "")


@functools.cache
def processor(device: str = "cpu") -> str:
    """Name the processor, or the card where `device` ("auto" too) is one."""
    import torch

    from doh3d.devices import resolve_device

    resolved = resolve_device(device)
    if resolved.type == "cuda":
        return torch.cuda.get_device_name(resolved)
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
