"""Which way the bodies of a mesh face: outwards, but cavities inwards.

Coordinates are normalised. Terms: a *patch* is a set of faces connected over edges that exactly
two faces share. A *body* is a closed patch, or all open patches that meet at shared edges.
"""

from __future__ import annotations

import numpy as np

from doh3d.geometry.repair import BoolArray, FloatArray, HalfEdges, IntArray, components, flip

# A body of less volume than this share of its area (times the unit length) is flat: the sign of
# its volume is rounding, and says nothing about its orientation.
_FLAT_THICKNESS = 1e-9

# How far inside a body its probe lies, as a share of the square root of a face's area.
_PROBE_DEPTH = 1e-3


def _bodies(faces: IntArray, patch: IntArray) -> tuple[IntArray, BoolArray]:
    """Label (F,) faces by body, and tell (3 F,) which half-edges bound an open body."""
    half = HalfEdges.of(faces)
    is_open = np.bincount(np.repeat(patch, 3), weights=half.unbalanced(patch)) > 0
    one, two = half.pairs(most=None)
    f, g = one // 3, two // 3
    joined = (patch[f] == patch[g]) | (is_open[patch[f]] & is_open[patch[g]])
    # The first face at an edge may be closed while two later ones are open: those stay apart,
    # which costs nothing but a common sign.
    body = components(len(faces), f[joined], g[joined])
    return body, half.unbalanced(body)


def signed_volumes(
    points: FloatArray, faces: IntArray, patch: IntArray
) -> tuple[FloatArray, IntArray]:
    """Measure each body's signed volume; openings are closed towards the middle of their rims.

    Returns
    -------
    volume : (B,) float64
        Positive where the faces wind outwards, 0 for flat bodies.
    body : (F,) int64
        Each face's body.
    """
    body, rim = _bodies(faces, patch)
    count = int(body.max(initial=-1)) + 1
    tail, head = points[faces].reshape(-1, 3), points[np.roll(faces, -1, axis=1)].reshape(-1, 3)
    half_body = np.repeat(body, 3)
    has_rim = np.bincount(half_body, weights=rim, minlength=count) > 0
    # Closed bodies may use any reference point; the mean of their edges keeps rounding small.
    weight = np.linalg.norm(head - tail, axis=1) * np.where(has_rim[half_body], rim, True)
    middle = (tail + head) / 2
    total = np.maximum(np.bincount(half_body, weights=weight, minlength=count), 1e-300)
    sums = [
        np.bincount(half_body, weights=weight * middle[:, k], minlength=count) for k in range(3)
    ]
    reference = np.column_stack(sums) / total[:, None]
    a, b, c = (points[faces] - reference[body][:, None]).transpose(1, 0, 2)
    sixfold = np.einsum("ij,ij->i", a, np.cross(b, c))
    volume = np.asarray(np.bincount(body, weights=sixfold) / 6, dtype=np.float64)
    area = np.bincount(body, weights=np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)
    volume[np.abs(volume) <= _FLAT_THICKNESS * area] = 0.0
    return volume, body


def orient_outwards(points: FloatArray, faces: IntArray, patch: IntArray) -> IntArray:
    """Turn each body so that it encloses positive volume, but keep cavities.

    A mesh of negative volume as a whole is turned first. After that a body of negative volume
    is a cavity where it lies inside a positive one, and is turned where it does not.
    """
    volume, body = signed_volumes(points, faces, patch)
    if volume.sum() < 0:
        faces, volume = faces[:, ::-1], -volume
    negative = volume < 0
    if not negative.any():
        return faces
    is_cavity = np.zeros(len(volume), dtype=np.bool_)
    of_positive = faces[~negative[body]]
    if len(of_positive):
        from igl import fast_winding_number

        probes, probed = _probes(points, faces, body, negative)
        winding = fast_winding_number(
            points, np.ascontiguousarray(of_positive), np.ascontiguousarray(probes)
        )
        is_cavity[probed] = winding > 0.5
    return flip(faces, (negative & ~is_cavity)[body])


def _probes(
    points: FloatArray, faces: IntArray, body: IntArray, negative: BoolArray
) -> tuple[FloatArray, IntArray]:
    """Find one point just inside each `negative` body, behind the middle of its largest face."""
    corners = points[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    # Of equal body numbers the last, largest face is kept.
    order = np.lexsort((length, body))
    last = np.append(body[order][1:] != body[order][:-1], True)
    largest = order[last]
    largest = largest[negative[body[largest]]]
    # The normals of a body turned inside out point into it; of length a, the depth is sqrt(a).
    depth = _PROBE_DEPTH / np.sqrt(np.maximum(length[largest], 1e-300))
    probes = corners[largest].mean(axis=1) + normal[largest] * depth[:, None]
    return probes, body[largest]
