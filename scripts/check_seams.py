"""How far the surface shows where cells meet.

    python scripts/check_seams.py MESH... [--sizes 4000 16000] [--preset fast] [--seeds 1]
        [--label NAME] [--output results/<version>/seams.tsv]

Compresses each mesh to each size and extracts it at resolution 256. A row a file, with three
measures, each a 95th percentile; the columns' names are in brackets:

- the fold at an edge of the mesh, the angle in degrees between its two triangles' normals, weighted
  by the edge's length: of edges whose triangles reach over a cell's face (`fold_across`), and of
  edges whose triangles are within one cell (`fold_within`). Across faces it sees tilts and steps.
  That a shape has no seams means that the first is no larger than the second;
- the angle in degrees between the normals at both ends of an edge, each by the network of its own
  cell, not blended: of edges that reach over a face (`angle_across`), and of the others
  (`angle_within`). It sees tilts only;
- the distance between both networks' zero sets at a face, not blended, in cells of the lattice, to
  first order, where an edge crosses it (`gap`). Within a cell it is 0.

The first tells what is seen; the others, by how much networks differ that the field blends.

Edges across mirror planes count nowhere. `error` is 1 - IoU of the field by the bbox protocol. A
second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import trimesh

import doh3d
from doh3d.codec.container import parse
from doh3d.codec.shape_code import domain_half_sides
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.field import OccupancyField
from doh3d.geometry.lattice import Lattice
from doh3d.hypernetwork.cells import cells_of, to_cell_coordinates
from doh3d.hypernetwork.target import encode_coordinates, fold_points, target_forward
from doh3d.limits import Limits
from doh3d.signals.shape import PreparedShape, prepare
from result_table import ResultTable, results_path

COLUMNS = """
mesh size preset label cells bytes error fold_across fold_within angle_across angle_within gap
seconds
""".split()  # noqa: SIM905
RESOLUTION = 256
PERCENTILE = 0.95
# A network that does not change at a point is taken to change by this much per unit.
TINY = 1e-12
# What tells one row from another.
KEY = ("mesh", "size", "preset", "seed", "label")

FloatArray = npt.NDArray[np.float64]


def percentile(values: FloatArray, weights: FloatArray | None = None) -> float:
    """Value below which 95% of the weight is, all weights being alike unless given; 0 of none."""
    if not len(values):
        return 0.0
    order = np.argsort(values)
    total = np.cumsum(np.ones(len(values)) if weights is None else weights[order])
    return float(values[order][np.searchsorted(total, PERCENTILE * total[-1])])


def angles(one: FloatArray, other: FloatArray) -> FloatArray:
    """Angles in degrees between (N, 3) vectors, exact for small ones too."""
    sine = np.linalg.norm(np.cross(one, other), axis=1)
    return np.degrees(np.arctan2(sine, np.einsum("ij,ij->i", one, other)))


def folds(mesh: trimesh.Trimesh, cells: npt.NDArray[np.integer]) -> tuple[float, float]:
    """95th percentiles of the folds across cells' faces and within cells, in degrees.

    Parameters
    ----------
    cells : (V,) int
        The vertices' cells; those of negative ones are left out with all their triangles.
    """
    faces = mesh.faces[mesh.face_adjacency]
    inside = (mesh.area_faces > 0)[mesh.face_adjacency].all(axis=1)
    of_pairs = cells[faces].reshape(len(faces), 6)
    inside &= (of_pairs >= 0).all(axis=1)
    across = (of_pairs != of_pairs[:, :1]).any(axis=1)
    fold = np.degrees(mesh.face_adjacency_angles)
    ends = mesh.vertices[mesh.face_adjacency_edges]
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    one, other = (
        percentile(fold[chosen], length[chosen]) for chosen in (inside & across, inside & ~across)
    )
    return one, other


@dataclass(frozen=True)
class Surface:
    """A file's mesh in folded, normalised coordinates, and the field's networks."""

    field: OccupancyField
    mesh: trimesh.Trimesh
    vertices: torch.Tensor
    cells: npt.NDArray[np.int64]
    spacing: float

    @classmethod
    def of(cls, field: OccupancyField) -> Surface:
        """Extract a field's mesh."""
        code = field.code
        mesh = field.to_mesh(RESOLUTION)
        mesh.vertices = code.transform.to_normalized(mesh.vertices)
        vertices = fold_points(
            code.architecture, torch.from_numpy(np.asarray(mesh.vertices, dtype=np.float32))
        )
        cells = cells_of(code.architecture.partition, vertices).numpy().astype(np.int64)
        lattice = Lattice.over_box(code.half_extents, RESOLUTION)
        return cls(field, mesh, vertices, cells, float(np.max(lattice.spacing)))

    def network(self, cell: int, points: torch.Tensor) -> tuple[FloatArray, FloatArray]:
        """Logits (N,) and their gradients (N, 3) at (N, 3) folded points by one cell's network."""
        architecture = self.field.code.architecture
        points = points.clone().requires_grad_()
        inputs = encode_coordinates(
            architecture, to_cell_coordinates(architecture.partition, points, cell)
        )
        logits = target_forward(architecture, self.field.weights.of_cell(cell), inputs).squeeze(1)
        (gradient,) = torch.autograd.grad(logits.sum(), points)
        return logits.detach().numpy().astype(np.float64), gradient.numpy().astype(np.float64)

    def networks(
        self, cells: npt.NDArray[np.int64], points: torch.Tensor
    ) -> tuple[FloatArray, FloatArray]:
        """Evaluate each point by the network of the cell named for it."""
        logits, gradients = np.zeros(len(cells)), np.zeros((len(cells), 3))
        for cell in np.unique(cells):
            own = np.flatnonzero(cells == cell)
            logits[own], gradients[own] = self.network(int(cell), points[torch.from_numpy(own)])
        return logits, gradients

    def measures(self) -> dict[str, float]:
        """All columns that measure seams."""
        mirrored = list(self.field.code.architecture.mirrored)
        sides = self.mesh.vertices[:, mirrored] < 0
        edges = self.mesh.edges_unique
        edges = edges[(sides[edges[:, 0]] == sides[edges[:, 1]]).all(axis=1)]
        ends = self.cells[edges]
        across = ends[:, 0] != ends[:, 1]
        _, normals = self.networks(self.cells, self.vertices)
        angle = angles(normals[edges[:, 0]], normals[edges[:, 1]])
        # Triangles across a mirror plane have vertices on both sides of it.
        mixed = np.zeros(len(sides), dtype=bool)
        faces = self.mesh.faces
        mixed[faces[(sides[faces] != sides[faces[:, :1]]).any(axis=(1, 2))]] = True
        fold_across, fold_within = folds(self.mesh, np.where(mixed, -1, self.cells))
        return {
            "fold_across": fold_across,
            "fold_within": fold_within,
            "angle_across": percentile(angle[across]),
            "angle_within": percentile(angle[~across]),
            "gap": percentile(self.gaps(edges[across])),
        }

    def gaps(self, edges: npt.NDArray[np.int64]) -> FloatArray:
        """Distances, in cells of the lattice, of both networks' surfaces where edges cross faces.

        Edges between cells that have no face in common are left out.
        """
        partition = self.field.code.architecture.partition
        low, high = partition.corners
        one, other = self.cells[edges].T
        ends = self.vertices.numpy()[edges]
        planes = np.where(high[one] == low[other], high[one], np.nan)
        planes = np.where(low[one] == high[other], low[one], planes)
        # Cells may touch along two axes; only one of the planes lies between the edge's ends.
        between = (planes - ends[:, 0]) * (planes - ends[:, 1]) <= 0
        single = between.sum(axis=1) == 1
        axis = between[single].argmax(axis=1)
        rows = np.arange(len(axis))
        start, end = ends[single, 0], ends[single, 1]
        run = (end - start)[rows, axis]
        share = (planes[single][rows, axis] - start[rows, axis]) / np.where(run == 0, 1, run)
        points = torch.from_numpy(start + share[:, None] * (end - start))
        signed = []
        for cells in (one[single], other[single]):
            logits, gradients = self.networks(cells, points)
            signed.append(logits / np.maximum(np.linalg.norm(gradients, axis=1), TINY))
        return np.abs(signed[0] - signed[1]) / self.spacing


def measure(
    shape: PreparedShape,
    judge: LabelledPoints,
    size: int,
    preset: str,
    seed: int,
    kept: Path | None,
) -> dict[str, object]:
    """Compress once; the row without its key. The file is kept where a path is given."""
    started = time.perf_counter()
    data = doh3d.compress(shape, max_bytes=size, preset=preset, seed=seed, device="cpu").data
    seconds = time.perf_counter() - started
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
    field = OccupancyField(parse(data, Limits.of_format()), "cpu")
    measures = Surface.of(field).measures()
    return {
        "cells": field.code.architecture.cells,
        "bytes": len(data),
        "error": f"{1 - judge.iou(field).iou:.5f}",
        "seconds": f"{seconds:.1f}",
    } | {name: f"{value:.2f}" for name, value in measures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4000, 16_000])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--label", default="now", help="what tells these rows from others")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the files")
    arguments = parser.parse_args()
    output = arguments.output or results_path("seams")
    table, preset = ResultTable(output, COLUMNS, KEY), arguments.preset
    for path in arguments.meshes:
        keys = [
            dict(zip(KEY, (path.stem, size, preset, seed, arguments.label), strict=True))
            for size, seed in itertools.product(arguments.sizes, range(arguments.seeds))
        ]
        wanted = [key for key in keys if not table.has(**key)]
        if not wanted:
            continue
        shape = prepare(path)
        half = domain_half_sides(shape.extents)
        judge = LabelledPoints.of(shape.mesh, shape.transform.to_world([-half, half]))
        for key in wanted:
            size, seed = key["size"], key["seed"]
            name = "-".join(str(part) for part in key.values())
            kept = arguments.keep and arguments.keep / f"{name}.doh"
            row = table.add(**key, **measure(shape, judge, size, preset, seed, kept))
            print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
