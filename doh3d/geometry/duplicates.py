"""Surfaces that a file holds twice: copies of faces, and walls between bodies that touch."""

from __future__ import annotations

import numpy as np

from doh3d.geometry.half_edges import HalfEdges
from doh3d.geometry.repair import BoolArray, FloatArray, IntArray, groups_of_equal_rows

# Copies of a polygon that are cut along different diagonals count as one surface where the faces
# of each are so nearly flat: their normals, added up, keep this share of their length.
_FLAT_SHARE = 0.99


def align_copies(points: FloatArray, faces: IntArray) -> IntArray:
    """Cut copies of polygons alike, so that `drop_duplicates` knows them.

    Surfaces that are doubled for display hold each polygon twice, and some writers cut the two
    copies along different diagonals. Such copies are patches without vertices of their own that
    have one rim, and nearly lie in a plane. All get the triangles of the first one.

    Parameters
    ----------
    points : (V, 3) float64
        Normalised positions.
    faces : (F, 3) int64
        Over welded vertices.

    Returns
    -------
    (F, 3) int64
        As many faces, in the same order; each copy keeps its winding.
    """
    half = HalfEdges.of(faces)
    at_edge = half.faces_at_edge()
    if at_edge.max(initial=0) < 4:
        return faces
    patch = half.patches(len(faces))
    size = np.bincount(patch)
    of = patch[half.face]
    rim = at_edge[half.edge] != 2
    open_rim = np.bincount(of, weights=at_edge[half.edge] == 1) > 0
    # A disc of n corners and no vertex within has n - 2 triangles.
    polygon = (size >= 2) & ~open_rim & (np.bincount(of, weights=rim) == size + 2)
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack([np.bincount(patch, weights=n) for n in normals.T], axis=1)
    lengths = np.bincount(patch, weights=np.linalg.norm(normals, axis=1))
    polygon &= np.linalg.norm(total, axis=1) >= _FLAT_SHARE * lengths
    if not polygon.any():
        return faces

    # A rim is told by the sum of random numbers for its edges, which turns with its direction.
    generator = np.random.Generator(np.random.PCG64(0))
    number = generator.integers(-(2**62), 2**62, len(at_edge))[half.edge] * half.sign
    rims = np.zeros(len(size), dtype=np.int64)
    np.add.at(rims, of[rim], number[rim])
    first_face = np.full(len(size), len(faces))
    np.minimum.at(first_face, patch, np.arange(len(faces)))
    by_patch = np.argsort(patch, kind="stable")
    start = np.cumsum(size) - size
    aligned = faces.copy()
    for count in np.unique(size[polygon]):
        same = np.flatnonzero(polygon & (size == count))
        same = same[np.argsort(first_face[same], kind="stable")]
        _, model, group = np.unique(np.abs(rims[same]), return_index=True, return_inverse=True)
        model = same[model][group]
        copies, model = same[model != same], model[model != same]
        rows = by_patch[start[model][:, None] + np.arange(count)]
        triangles = faces[rows]
        reverse = rims[copies] != rims[model]
        triangles[reverse] = triangles[reverse][:, :, ::-1]
        aligned[by_patch[start[copies][:, None] + np.arange(count)]] = triangles
    return aligned


def drop_duplicates(faces: IntArray) -> tuple[IntArray, BoolArray]:
    """Keep one of the faces on the same three corners, or none where two bodies touch.

    Among copies of both windings the more frequent one stays. A wall between two bodies, that
    is a patch of faces which all come in two opposite copies and which meets faces that do not at
    its rim, separates inside from inside: both copies go. Where all that meets is given twice, for
    two-sided display, one copy stays; a wall between two such bodies is there four times.

    Returns
    -------
    faces : (K, 3) int64
    two_sided : (K,) bool
        Faces that come as often in one winding as in the other: the file does not tell theirs.
    """
    lowest = np.argmin(faces, axis=1)
    rows = np.arange(len(faces))
    positive = faces[rows, (lowest + 1) % 3] < faces[rows, (lowest + 2) % 3]
    sign = np.where(positive, 1, -1)
    group, first = groups_of_equal_rows(np.sort(faces, axis=1))
    if len(first) == len(faces):
        return faces, np.zeros(len(faces), dtype=np.bool_)
    net = np.bincount(group, weights=sign)
    wanted = np.where(net == 0, sign[first], np.sign(net)).astype(np.int64)
    candidates = np.flatnonzero(sign == wanted[group])
    _, position = np.unique(group[candidates], return_index=True)
    unique = faces[candidates[position]]

    half = HalfEdges.of(unique)
    patch = half.patches(len(unique))
    unpaired = np.bincount(patch, weights=net != 0)
    shared = np.diff(half.start)[half.edge] > 2
    # Faces at each edge that are given one way only.
    one_way = np.bincount(half.edge, weights=(net != 0)[half.face])
    four = np.bincount(group)[half.face] >= 4
    at_wall = shared & ((one_way[half.edge] > 0) | four)
    wall = (unpaired == 0) & (np.bincount(patch[half.face], weights=at_wall) > 0)
    kept = ~wall[patch]
    return unique[kept], (net == 0)[kept]
