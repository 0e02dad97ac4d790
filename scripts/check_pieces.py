"""Pieces of a fit's surface where the mesh has nothing near: specks in space, voids in the solid.

    python scripts/check_pieces.py MESH... [--sizes 500 1200 4000] [--preset fast] [--seeds 1]
        [--label after] [--output results/<version>/pieces.tsv] [--keep FOLDER]

A row a fit, of the mesh that is extracted at resolution 256. A speck is a piece of the surface with
volume and no vertex inside the original, a void one around a hollow with every vertex inside it,
both nowhere within half a cell of the original surface: what is nearer is what a body that touches
its cover may look like. The faces and the distance of each are told. Bodies are those that
`doh3d eval` counts, larger than a speck. A second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

import doh3d
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField
from doh3d.geometry.distance import surface_distance
from doh3d.geometry.half_edges import HalfEdges, components
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.topology import mesh_topology
from doh3d.signals.shape import PreparedShape, prepare
from result_table import ResultTable, results_path

COLUMNS = """
label shape size preset bytes iou specks voids faces distances bodies reference_bodies undone
searches warned seconds
""".split()  # noqa: SIM905

RESOLUTION = 256
IOU_POINTS = 2**20


@dataclass(frozen=True)
class Piece:
    """A piece of a surface that the original has nowhere near."""

    is_void: bool
    faces: int
    distance: float


def stray_pieces(shape: PreparedShape, mesh: trimesh.Trimesh) -> list[Piece]:
    """Find the pieces of an extracted mesh, in its own units, that the original does not have."""
    faces = np.asarray(mesh.faces)
    if not len(faces):
        return []
    vertices = shape.transform.to_normalized(np.asarray(mesh.vertices))
    half = HalfEdges.of(faces)
    one, two = half.pairs(most=None)
    piece = components(len(faces), half.face[one], half.face[two])
    a, b, c = vertices[faces].transpose(1, 0, 2)
    volumes = np.bincount(piece, weights=np.einsum("ij,ij->i", a, np.cross(b, c)))
    distance = surface_distance(shape.normalized)
    cell = 2 * np.abs(shape.normalized.bounds).max() / RESOLUTION
    found = []
    for number in range(len(volumes)):
        own = vertices[np.unique(faces[piece == number])]
        inside = shape.inside(own)
        is_void = bool(volumes[number] < 0)
        if inside.all() if is_void else not inside.any():
            nearest = float(distance(own).min())
            if nearest > cell / 2:
                found.append(Piece(is_void, int((piece == number).sum()), nearest))
    return found


class Messages(logging.Handler):
    """Collects what a fit logs."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message and its level."""
        self.messages.append((record.levelno, record.getMessage()))

    def count(self, words: str) -> int:
        """How many messages have these words."""
        return sum(words in message for _, message in self.messages)


def measure(
    shape: PreparedShape, size: int, preset: str, seed: int, kept: Path | None
) -> dict[str, object]:
    """Fit once; the row without its key."""
    log, messages = logging.getLogger("doh3d"), Messages()
    log.addHandler(messages)
    log.setLevel(logging.INFO)
    started = time.process_time()
    compressed = doh3d.compress(shape, max_bytes=size, preset=preset, seed=seed, device="cpu")
    seconds = time.process_time() - started
    log.removeHandler(messages)
    if kept is not None:
        compressed.save(kept)
    field: OccupancyField = compressed.field("cpu")
    pieces = stray_pieces(shape, field.to_mesh(RESOLUTION))
    reference = mesh_topology(shape.mesh, inside_test(shape.mesh, reproducible=False))
    return {
        "bytes": len(compressed.data),
        "iou": f"{field_iou(shape.reading, field, points=IOU_POINTS).iou:.5f}",
        "specks": sum(not piece.is_void for piece in pieces),
        "voids": sum(piece.is_void for piece in pieces),
        "faces": ",".join(str(piece.faces) for piece in pieces),
        "distances": ",".join(f"{piece.distance:.3f}" for piece in pieces),
        "bodies": mesh_topology(field.to_mesh(RESOLUTION)).components,
        "reference_bodies": reference.components,
        "undone": messages.count("going back"),
        "searches": "; ".join(text for _, text in messages.messages if "strays" in text),
        "warned": sum(level >= logging.WARNING for level, _ in messages.messages),
        "seconds": f"{seconds:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 1200, 4000])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--label", default="now")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--keep", type=Path, help="write the files here")
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    output = arguments.output or results_path("pieces")
    key = ("label", "shape", "size", "preset", "seed")
    table = ResultTable(output, COLUMNS, key)
    shapes: dict[Path, PreparedShape] = {}
    for size, path, seed in itertools.product(
        arguments.sizes, arguments.meshes, range(arguments.seeds)
    ):
        values = (arguments.label, path.stem, size, arguments.preset, seed)
        if table.has(**dict(zip(key, values, strict=True))):
            continue
        if path not in shapes:
            shapes[path] = prepare(path)
        kept = None
        if arguments.keep is not None:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            kept = arguments.keep / ("-".join(map(str, values)) + ".doh")
        row = table.add(
            **dict(zip(key, values, strict=True)),
            **measure(shapes[path], size, arguments.preset, seed, kept),
        )
        print(*row.values(), sep="\t", flush=True)


if __name__ == "__main__":
    main()
