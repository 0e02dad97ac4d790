"""Which way the bodies of a mesh face: outwards, but cavities inwards.

Coordinates are normalised. Terms: a *patch* is a set of faces connected over edges that exactly
two faces share. A *body* is a closed patch, or all open patches that meet at shared edges.
"""

from __future__ import annotations

import numpy as np

from doh3d.geometry.repair import BoolArray, FloatArray, HalfEdges, IntArray, components, flip
from doh3d.geometry.winding import winding_of

# A body of less volume than this share of its area (times the unit length) is flat: the sign of
# its volume is rounding, and says nothing about its orientation.
_FLAT_THICKNESS = 1e-9

# How far before a face its probe lies, as a share of the square root of the face's area.
_PROBE_DEPTH = 1e-3

# Faces measured at a time: bounds the memory.
_CHUNK = 1 << 18

# Probes of a body, fewer where there are very many bodies.
_PROBES_A_BODY = 32
_MOST_PROBES = 300_000


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
    rim = rim.reshape(-1, 3)
    has_rim = np.bincount(body, weights=rim.any(axis=1), minlength=count) > 0
    chunks = [slice(begin, begin + _CHUNK) for begin in range(0, len(faces), _CHUNK)]
    # Closed bodies may use any reference point; the mean of their edges keeps rounding small.
    total, sums = np.zeros(count), np.zeros((count, 3))
    for chunk in chunks:
        tail, of = points[faces[chunk]], body[chunk]
        head = np.roll(tail, -1, axis=1)
        counts = np.where(has_rim[of][:, None], rim[chunk], True)
        weight = np.linalg.norm(head - tail, axis=2) * counts
        total += np.bincount(of, weights=weight.sum(axis=1), minlength=count)
        middles = np.einsum("fk,fkj->fj", weight, (tail + head) / 2)
        for axis in range(3):
            sums[:, axis] += np.bincount(of, weights=middles[:, axis], minlength=count)
    reference = sums / np.maximum(total, 1e-300)[:, None]
    volume, area = np.zeros(count), np.zeros(count)
    for chunk in chunks:
        of = body[chunk]
        a, b, c = (points[faces[chunk]] - reference[of][:, None]).transpose(1, 0, 2)
        sixfold = np.einsum("ij,ij->i", a, np.cross(b, c))
        volume += np.bincount(of, weights=sixfold / 6, minlength=count)
        doubled = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        area += np.bincount(of, weights=doubled / 2, minlength=count)
    volume[np.abs(volume) <= _FLAT_THICKNESS * area] = 0.0
    return volume, body


def orient_outwards(points: FloatArray, faces: IntArray, patch: IntArray) -> tuple[IntArray, int]:
    """Turn each body so that it encloses positive volume, but keep cavities.

    An outermost body of negative volume is turned, and with it all that lies wholly within it and
    in no other outermost body: a hollow body inside out keeps its cavity. After that a body of
    negative volume is a cavity where it lies wholly within others, and is turned where it does not.

    Returns
    -------
    faces : (F, 3) int64
        The same faces, some reversed.
    crossing : int
        Bodies turned although part of them lies in another: cavities that break through, or
        bodies that overlap, one of them inside out. Nothing says which.
    """
    volume, body = signed_volumes(points, faces, patch)
    negative = volume < 0
    if not negative.any():
        return faces, 0
    upright = flip(faces, negative[body])
    solid = volume != 0
    probes, probed = _probes(points, upright, body, solid)
    some, contained = _within(points, upright, probes, probed, len(volume))
    outermost = solid & ~contained
    turned = negative & outermost
    crossing = int((turned & some).sum())
    if contained.any() and turned.any():
        lying = contained[probed]
        probes, probed = probes[lying], probed[lying]
        of_turned = upright[turned[body]]
        _, in_turned = _within(points, of_turned, probes, probed, len(volume))
        of_others = upright[(outermost & ~turned)[body]]
        in_others, _ = _within(points, of_others, probes, probed, len(volume))
        turned |= in_turned & ~in_others
    return flip(faces, turned[body]), crossing


def _within(
    points: FloatArray, faces: IntArray, probes: FloatArray, probed: IntArray, bodies: int
) -> tuple[BoolArray, BoolArray]:
    """Tell (B,) whether some, and whether all, of a body's probes are inside of what faces enclose.

    Both are false for a body without probes.
    """
    if not len(faces):
        return np.zeros(bodies, dtype=np.bool_), np.zeros(bodies, dtype=np.bool_)
    inside = winding_of(points, faces).winding_number(probes) > 0.5
    found = np.bincount(probed, weights=inside, minlength=bodies)
    count = np.bincount(probed, minlength=bodies)
    return found > 0, (found == count) & (count > 0)


def _probes(
    points: FloatArray, faces: IntArray, body: IntArray, solid: BoolArray
) -> tuple[FloatArray, IntArray]:
    """Find points just outside each `solid` body, before some of its faces, and their bodies.

    The largest face is one of them; the others are spread evenly over the faces' order.
    """
    corners = points[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    # Of each body the largest face comes first.
    order = np.lexsort((np.arange(len(faces)), body))
    count = np.bincount(body, minlength=len(solid))
    start = np.cumsum(count) - count
    largest = np.lexsort((-length, body))[start]
    each = int(np.clip(_MOST_PROBES // max(int(solid.sum()), 1), 2, _PROBES_A_BODY))
    spread = start[:, None] + np.arange(each) * count[:, None] // each
    chosen = np.where(np.arange(each) == 0, largest[:, None], order[spread])[solid].ravel()
    chosen = chosen[length[chosen] > 0]
    # Of length a, the depth is sqrt(a).
    depth = _PROBE_DEPTH / np.sqrt(length[chosen])
    return corners[chosen].mean(axis=1) + normal[chosen] * depth[:, None], body[chosen]
