"""What belongs to the results of a release, as commands in order of importance."""

from __future__ import annotations

import argparse
import importlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers.published import published_rows
from provenance import ROOT, code

SCRIPTS = ROOT / "scripts"
PYTHON = sys.executable
# Files that jobs make for those after them, by the code that made them.
MADE = ROOT / "out" / "measured"

RD_SIZES = (500, 1200, 3000, 7000, 16_000)
DRACO_SEARCHES = ("fast_simplification+open3d_qem", "meshoptimizer")
PEERS = ("mlp", "coin", "doh_published")
KODAK_RATES = (0.07, 0.15, 0.3, 0.6)
PARTS = ("fandisk", "abc4", "thingi_58011", "thingi_73416")
PIECES_OF = """
armadillo fertility lucy nefertiti rocker-arm spot stanford-bunny xyzrgb_dragon
""".split()  # noqa: SIM905
SEAMS_OF = ("stanford-bunny", "armadillo", "rocker-arm", "nefertiti", "fandisk")
CONTROLLED = ("armadillo", "fandisk", "stanford-bunny", "thingi_58011")
TURNED = ("fandisk", "abc4", "thingi_73416", "thingi_58011", "spot", "nefertiti")
LABELS = (1, 2, 3, 4, 5, 6, 7, 11, 14, 18, 19, 20, 30, 31, 32, 52, 63, 64, 86, 87, 117)
MAP = "ct_labels_3mm.nii.gz"

ABLATIONS = (
    ("training", "armadillo", 1),
    ("projection", "stanford-bunny", 3),
    ("quantizer", "stanford-bunny", 3),
    ("encoding", "stanford-bunny", 3),
    ("target_size", "stanford-bunny", 3),
    ("byte_shares", "stanford-bunny", 3),
)

Key = dict[str, object]
Command = list[str]


@dataclass(frozen=True)
class Job:
    """Commands that make rows with these keys.

    `seconds` is what a row takes where no earlier row says it.
    """

    group: str
    name: str
    table: str
    keys: tuple[Key, ...]
    commands: tuple[Command, ...]
    seconds: float = 60.0


def script(name: str, *arguments: object) -> Command:
    return [PYTHON, str(SCRIPTS / name), *map(str, arguments)]


def files(folder: Path | None) -> list[Path]:
    """All inputs of a folder; none where no folder is given."""
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder else []


def jobs(meshes: Path | None, images: Path | None, volumes: Path | None) -> Iterator[Job]:
    """All jobs for which there are inputs, the most important first."""
    paths = {path.stem: path for path in files(meshes)}
    yield from rate_distortion(meshes, paths, "codec", "fast", RD_SIZES)
    yield from rate_distortion(meshes, paths, "codec", "default", RD_SIZES)
    yield from kodak(images, "default")
    yield from draco(meshes, paths)
    yield from rate_distortion(meshes, paths, "codec", "best", (1200, 16_000))
    for peer in PEERS:
        yield from rate_distortion(meshes, paths, peer, "fast", RD_SIZES)
    yield from kodak(images, "fast")
    yield from necgs(meshes, paths)
    if paths:
        yield from of_shapes(paths)
    if volumes:
        yield from of_volumes(volumes)
    if paths:
        yield from ablations(paths)
    if images:
        yield from image_studies(images)


def rate_distortion(
    folder: Path | None, paths: dict[str, Path], method: str, preset: str, sizes: Sequence[int]
) -> Iterator[Job]:
    for mesh in paths:
        keys = [
            {"mesh": mesh, "method": method, "preset": preset, "target_bytes": most}
            for most in sizes
        ]
        command = script("benchmark_rd.py", "--meshes", folder, "--only", mesh)
        command += ["--methods", method, "--preset", preset, "--sizes", ",".join(map(str, sizes))]
        group = f"rd {method} {preset}"
        yield Job(group, mesh, "rd", tuple(keys), (command,))


def draco(folder: Path | None, paths: dict[str, Path]) -> Iterator[Job]:
    for mesh in paths:
        keys = tuple({"mesh": mesh, "method": "draco", "search": each} for each in DRACO_SEARCHES)
        command = script("benchmark_rd.py", "--meshes", folder, "--only", mesh)
        command += ["--methods", "draco", "--sizes", "0"]
        yield Job("rd draco", mesh, "rd", keys, (command,), seconds=300)


def necgs(folder: Path | None, paths: dict[str, Path]) -> Iterator[Job]:
    """Compress to the bytes that NeCGS's published figures are at."""
    sizes = sorted({int(row["bytes_a_shape"]) for row in published_rows("necgs")})
    for mesh in paths:
        keys = tuple({"mesh": mesh, "preset": "default", "target_bytes": most} for most in sizes)
        command = script("compare_necgs.py", "--meshes", folder, "--only", mesh)
        yield Job("necgs", mesh, "necgs", keys, (command,))


def kodak(folder: Path | None, preset: str) -> Iterator[Job]:
    for path in files(folder):
        keys = tuple(
            {"image": path.stem, "preset": preset, "target_bpp": bpp} for bpp in KODAK_RATES
        )
        command = script("benchmark_kodak.py", "--images", folder, "--only", path.stem)
        command += ["--preset", preset, "--bpp", ",".join(map(str, KODAK_RATES))]
        yield Job(f"kodak {preset}", path.stem, "kodak", keys, (command,))


def of_shapes(paths: dict[str, Path]) -> Iterator[Job]:
    """Speed, rate control, soundness, pieces, seams, and what one does with a file."""
    cases = importlib.import_module("benchmark_speed").CASES
    for case, _, sizes in cases if "stanford-bunny" in paths else ():
        keys = tuple({"case": case, "size": size} for size in sizes)
        command = script("benchmark_speed.py", "--mesh", paths["stanford-bunny"], "--only", case)
        yield Job("speed", case, "speed", keys, (command,), seconds=45)
    targets = [f"max_bytes={most}" for most in (300, 500, 1000, 2000, 4000, 8000, 16_000, 64_000)]
    targets += [f"min_iou={iou}" for iou in ("0.9", "0.95", "0.97")]
    for mesh in _known(paths, CONTROLLED):
        keys = tuple({"mesh": mesh, "preset": "default", "target": target} for target in targets)
        yield Job(
            "rate control",
            mesh,
            "rate_control",
            keys,
            (script("check_rate_control.py", paths[mesh]),),
        )
    sound = importlib.import_module("check_soundness")
    shapes = [*sound.FORMULAS, *(Path(name).stem for name in sound.FILES)]
    for shape in shapes:
        keys = tuple(
            {"shape": shape, "rate": rate, "seed": seed}
            for rate, seed in itertools.product(sound.RATES, range(sound.SEEDS))
        )
        command = script("check_soundness.py", "--only", shape)
        yield Job("soundness", shape, "soundness", keys, (command,))
    for mesh in _known(paths, PIECES_OF):
        keys = tuple(
            {"label": "now", "shape": mesh, "size": most, "preset": "fast", "seed": 0}
            for most in (500, 1200, 4000)
        )
        yield Job("pieces", mesh, "pieces", keys, (script("check_pieces.py", paths[mesh]),))
    for mesh in _known(paths, SEAMS_OF):
        keys = tuple(
            {"label": "now", "mesh": mesh, "size": most, "preset": "fast", "seed": 0}
            for most in (4000, 16_000)
        )
        yield Job("seams", mesh, "seams", keys, (script("check_seams.py", paths[mesh]),))
    yield from of_files(paths)


def of_files(paths: dict[str, Path]) -> Iterator[Job]:
    """Measure files, which are made first."""
    wanted = (("stanford-bunny", 1000), ("armadillo", 3000), ("fandisk", 1200))
    for mesh, most in wanted:
        if mesh in paths:
            make, file = compressed(paths[mesh], most, f"{mesh}-{most}")
            commands = (make, script("measure_fields.py", file))
            yield Job("fields", file.stem, "fields", ({"file": file.stem},), commands, 120)
    for mesh, most in itertools.product(_known(paths, PARTS), (1200, 3000)):
        make, file = compressed(paths[mesh], most, f"{mesh}-{most}")
        keys = tuple({"file": file.stem, "resolution": each} for each in (32, 64, 128))
        commands = (make, script("measure_dual.py", f"{paths[mesh]}={file}"))
        yield Job("dual", file.stem, "dual", keys, commands, 20)
    for name, most in (("bunny-1k", 1000), ("bunny-16k", 16_000)):
        if "stanford-bunny" in paths:
            make, file = compressed(paths["stanford-bunny"], most, name)
            keys = tuple(
                {"file": file.name, "resolution": resolution, "how": how}
                for resolution, how in itertools.product((128, 256), ("WebAssembly", "JavaScript"))
            )
            commands = (make, script("measure_web.py", file, "--repeats", 3))
            yield Job("web", name, "web", keys, commands, 30)


def compressed(source: Path, most: int, name: str, *options: str) -> tuple[Command, Path]:
    """Say how a file is made with `fast`, and where it lies then."""
    file = MADE / code("codec") / f"{name}.doh"
    command = [PYTHON, "-m", "doh3d", "compress", str(source), "--max-bytes", str(most)]
    return [*command, "--preset", "fast", *options, "--force", "-o", str(file)], file


def of_volumes(folder: Path) -> Iterator[Job]:
    table = script("benchmark_volumes.py")
    studies = [(MAP, LABELS, 1000, "fast"), (MAP, (1, 2, 5), 300, "fast")]
    studies += [(MAP, (1, 5), 1000, "default"), ("aorta_1.5mm.nii.gz", (1,), 1000, "fast")]
    studies.append(("ct_labels_1mm.nii.gz", (5,), 1000, "fast"))
    for name, labels, most, preset in studies:
        if not (folder / name).exists():
            continue
        keys = tuple(
            {"file": name, "label": label, "max_bytes": most, "preset": preset, "seed": 0}
            for label in labels
        )
        options = ["--max-bytes", most, "--preset", preset, "--labels", *labels]
        command = [*table, str(folder / name), *map(str, options)]
        yield Job("volumes", f"{name} {most} {preset}", "volumes", keys, (command,))
    if (folder / MAP).exists():
        make, file = compressed(folder / MAP, 1000, "liver", "--label", "5")
        keys = ({"file": MAP, "label": 5, "lattice": "coarser", "side": 3},)
        commands = (make, [*table, str(folder / MAP), "--resample", str(file)])
        yield Job("volumes", "resampled", "volumes-resampled", keys, commands)


def ablations(paths: dict[str, Path]) -> Iterator[Job]:
    sys.path.insert(0, str(SCRIPTS / "ablations"))
    for study, mesh, seeds in ABLATIONS:
        if mesh in paths:
            variants = importlib.import_module(study).variants(argparse.Namespace(preset="fast"))
            keys = tuple(
                {"mesh": mesh, "preset": "fast", "variant": variant, "seed": seed}
                for seed, variant in itertools.product(range(seeds), variants)
            )
            command = script(f"ablations/{study}.py", paths[mesh], "--seeds", seeds)
            yield Job("ablations", study, f"ablation-{study}", keys, (command,), 15)
    for mesh in _known(paths, TURNED):
        keys = tuple(
            {"mesh": mesh, "preset": "fast", "max_bytes": 1200, "turn": turn, "seed": 0}
            for turn in range(3)
        )
        command = script("ablations/turned.py", paths[mesh])
        yield Job("ablations", f"turned {mesh}", "ablation-turned", keys, (command,), 30)


def image_studies(folder: Path) -> Iterator[Job]:
    """Studies of images: rounding, sizes, and how batches are drawn."""
    study = importlib.import_module("study_images")
    wanted = (
        ("quantization", ("kodim19", "kodim07"), 2, "fast"),
        ("sizes", ("kodim19",), 2, "fast"),
        ("sampling", ("kodim13", "kodim19"), 1, "default"),
        ("sampling", ("kodim04", "kodim07", "kodim19"), 1, "fast"),
    )
    for name, images, seeds, preset in wanted:
        variants = study.STUDIES[name](preset, 3)
        for image in images:
            if not (folder / f"{image}.png").exists():
                continue
            keys = tuple(
                {"image": image, "preset": preset, "variant": variant, "seed": seed}
                for seed, variant in itertools.product(range(seeds), variants)
            )
            command = script("study_images.py", folder / f"{image}.png", "--study", name)
            command += ["--seeds", str(seeds), "--preset", preset]
            yield Job(
                "image studies", f"{name} {image} {preset}", f"image-{name}", keys, (command,)
            )


def _known(paths: dict[str, Path], wanted: Sequence[str]) -> list[str]:
    return [mesh for mesh in wanted if mesh in paths]
