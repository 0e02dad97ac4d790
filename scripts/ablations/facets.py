"""How far meshes' facets are from smooth surfaces, beside what the codec errs at many bytes.

python scripts/ablations/facets.py MESH... [--table results/0.1.0/rd.tsv]

A smooth surface through a mesh's corners, square to their normals (Phong tessellation: Boubekeur,
Alexa, SIGGRAPH Asia 2008), is away from the facets; the best such surface of all, between the two,
by the mean absolute deviation that is printed, as a share of the volume. A field that errs less
than that tells facet from facet. Faces at edges of more than 40 degrees are left out: meshes with
large flat faces have no smooth surface to compare with.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from doh3d.signals.shape import prepare

_SHARP = np.radians(40)
_SHAPE_FACTOR = 0.75
_PLACES = np.array(
    [[1, 1, 1], [3, 1, 1], [1, 3, 1], [1, 1, 3], [4.5, 4.5, 1], [1, 4.5, 4.5], [4.5, 1, 4.5]]
)


def facet_deviation(mesh):
    """Mean absolute deviation, in the mesh's units; nan where all faces are at sharp edges."""
    corners, normals = mesh.vertices[mesh.faces], mesh.vertex_normals[mesh.faces]
    smooth = np.ones(len(mesh.faces))
    smooth[mesh.face_adjacency[mesh.face_adjacency_angles > _SHARP].ravel()] = 0.0
    if not smooth.any():
        return float("nan")
    heights = []
    for place in _PLACES / _PLACES.sum(axis=1, keepdims=True):
        point = np.einsum("k,fkj->fj", place, corners)
        above = ((point[:, None] - corners) * normals).sum(axis=2, keepdims=True)
        projected = np.einsum("k,fkj->fj", place, point[:, None] - above * normals)
        heights.append(_SHAPE_FACTOR * ((projected - point) * mesh.face_normals).sum(axis=1))
    weights = np.tile(smooth * mesh.area_faces, (len(heights), 1))
    heights = np.array(heights)
    mean = np.average(heights, weights=weights)
    return float(np.average(np.abs(heights - mean), weights=weights))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("meshes", nargs="+", type=Path)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    errors = {}
    if arguments.table:
        with arguments.table.open() as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if (row["method"], row["preset"]) == ("codec", "default"):
                    errors[row["mesh"], row["target_bytes"]] = 1 - float(row["iou"])
    print("mesh\tfaces\tfacets\t7000\t16000")
    for path in arguments.meshes:
        mesh = prepare(path).normalized
        share = facet_deviation(mesh) * mesh.area / abs(mesh.volume)
        codec = [errors.get((path.stem, size), float("nan")) for size in ("7000", "16000")]
        print(path.stem, len(mesh.faces), *(f"{x:.5f}" for x in (share, *codec)), sep="\t")


if __name__ == "__main__":
    main()
