"""Which way the faces of a mesh wind: as the file has them, unless that cannot be right.

No face is turned unless two faces that meet run along their common edge in the same direction,
or a whole body is inside out. Coordinates are normalised. Terms: faces *meet* where they share an
edge, across small gaps and T-junctions too (:mod:`doh3d.geometry.seams`). A *patch* is a set of
faces that meet at edges of exactly two faces. A *body* is a closed patch, or all open patches that
meet at edges of more faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from doh3d.geometry.clarity import unclear_share
from doh3d.geometry.half_edges import HalfEdges, components
from doh3d.geometry.repair import BoolArray, FloatArray, IntArray, flip
from doh3d.geometry.seams import stitched
from doh3d.geometry.winding import winding_of

# A body of less volume than this share of its area (times the unit length) is flat: the sign of
# its volume is rounding, and says nothing about its orientation. Its edges may be open by a gap.
_FLAT_THICKNESS = 1e-9

# How far before a face its probe lies: this share of the square root of the face's area, and no
# farther than this; thinner walls are refused.
_PROBE_DEPTH = 1e-3
_DEEPEST_PROBE = 2e-5

# Edges and faces measured at a time: bounds the memory.
_CHUNK = 1 << 18

# Probes of a body, fewer where there are very many bodies.
_PROBES_A_BODY = 32
_MOST_PROBES = 300_000

# Open bodies, and patches whose faces disagree, that are judged each for itself; smaller ones stay
# as they are, or are judged together.
_MOST_OPEN_BODIES = 48
_MOST_PATCHES = 12

# Probes by which they are judged, and how near the surface the nearest lie, as a share of the
# body's size.
_CLARITY_PROBES = 512
_NEAREST = 0.01

# An open body is turned where the unclear share falls by more than this.
_CLEARER = 0.1


@dataclass(frozen=True)
class Bodies:
    """The bodies of a surface.

    Attributes
    ----------
    of : (F,) int64
        Each face's body.
    volume : (B,) float64
        Signed volume, positive where faces wind outwards; 0 for flat bodies. Openings are closed
        towards the middle of their rims.
    is_open : (B,) bool
        Whether a body's surface has rims.
    """

    of: IntArray
    volume: FloatArray
    is_open: BoolArray


@dataclass(frozen=True)
class Orientation:
    """How the faces of a surface wind in the end.

    Attributes
    ----------
    faces : (F, 3) int64
        The same faces, some reversed.
    mended : int
        Those reversed that are of a patch whose faces disagreed.
    crossing : int
        Bodies turned although part of them lies in another: cavities that break through, or
        bodies that overlap, one of them inside out. Nothing says which.
    """

    faces: IntArray
    mended: int
    crossing: int


def find_bodies(points: FloatArray, faces: IntArray) -> Bodies:
    """Find the bodies of (F, 3) faces over (V, 3) welded, normalised points."""
    return _bodies(points, faces, stitched(points, faces))


def orient(points: FloatArray, faces: IntArray, two_sided: BoolArray | None = None) -> Orientation:
    """Turn faces that disagree with those they meet, and bodies that are inside out.

    Where faces that meet disagree, the larger area of their patch has its way; but a patch is kept
    as it is unless that makes the inside clearer. An outermost closed body of negative volume is
    turned, and with it all that lies wholly within it and in no other outermost body: a hollow
    body inside out keeps its cavity. After that a closed body of negative volume is a cavity where
    it lies wholly within others, and is turned where it does not. The sign of an open body's
    volume says nothing, unless the file gives its faces both ways; it counts as inside out where
    the space around it becomes clearer without doubt once it is turned.

    Parameters
    ----------
    points : (V, 3) float64
        Normalised positions.
    faces : (F, 3) int64
        Over welded vertices.
    two_sided : (F,) bool, optional
        Faces whose winding the file does not tell; none unless given.
    """
    half = stitched(points, faces)
    area = _areas(points, faces)
    flipped = _reconciled(half, area)
    told = area if two_sided is None else area * ~two_sided
    oriented, crossing = _orient_bodies(
        points, flip(faces, flipped), half.turned(flipped), area, told
    )
    if not flipped.any():
        return Orientation(oriented, 0, crossing)
    patch = half.patches(len(faces))
    kept = _keep_what_clears(points, faces, oriented, patch, flipped)
    disagreed = (np.bincount(patch, weights=flipped) > 0)[patch]
    return Orientation(kept, int((disagreed & (kept[:, 0] != faces[:, 0])).sum()), crossing)


def _areas(points: FloatArray, faces: IntArray) -> FloatArray:
    """Twice the (F,) areas."""
    area = np.empty(len(faces))
    for begin in range(0, len(faces), _CHUNK):
        a, b, c = points[faces[begin : begin + _CHUNK]].transpose(1, 0, 2)
        area[begin : begin + _CHUNK] = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return area


def _reconciled(half: HalfEdges, area: FloatArray) -> BoolArray:
    """Tell (F,) which faces to reverse so that as many as can agree with those they meet.

    Faces that agree as they are stay together, and only such units are turned. Where units are in
    a circle that no choice satisfies (a Moebius strip), the fewest disagreements win.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    count = len(area)
    one, two = half.pairs(most=2)
    f, g = half.face[one], half.face[two]
    agree = half.sign[one] != half.sign[two]
    if agree.all():
        return np.zeros(count, dtype=np.bool_)
    unit = components(count, f[agree], g[agree])
    u, v = unit[f[~agree]], unit[g[~agree]]
    u, v = np.minimum(u, v)[u != v], np.maximum(u, v)[u != v]
    units = int(unit.max()) + 1
    # Equal entries add up: units with many edges in common come first.
    meeting = coo_array((-np.ones(len(u)), (u, v)), shape=(units, units)).tocsr()
    tree = minimum_spanning_tree(meeting).tocoo()
    # Two-colouring through the double cover: node u stands for unit u as given, u + units for u
    # reversed. Whom the tree joins disagree.
    u, v = tree.row.astype(np.int64), tree.col.astype(np.int64)
    sheet = components(2 * units, np.concatenate([u, u + units]), np.concatenate([v + units, v]))
    given, reverse = sheet[:units], sheet[units:]
    own = np.bincount(unit, weights=area, minlength=units)
    votes = np.bincount(given, weights=own, minlength=int(sheet.max()) + 1)
    ties = (votes[reverse] == votes[given]) & (reverse < given)
    return np.asarray(((votes[reverse] > votes[given]) | ties)[unit], dtype=np.bool_)


def _bodies(points: FloatArray, faces: IntArray, half: HalfEdges) -> Bodies:
    """Find the bodies, whose faces are to wind as the half-edges say."""
    patch = half.patches(len(faces))
    patch_open = np.bincount(patch[half.face], weights=half.unbalanced(patch)) > 0
    one, two = half.pairs(most=None)
    f, g = half.face[one], half.face[two]
    joined = (patch[f] == patch[g]) | (patch_open[patch[f]] & patch_open[patch[g]])
    # The first face at an edge may be closed while two later ones are open: those stay apart,
    # which costs nothing but a common sign.
    body = components(len(faces), f[joined], g[joined])
    rim = half.unbalanced(body)
    count = int(body.max(initial=-1)) + 1
    is_open = np.bincount(body[half.face], weights=rim, minlength=count) > 0
    volume = _signed_volumes(points, faces, body, _references(points, half, body, rim, is_open))
    return Bodies(body, volume, is_open)


def _references(
    points: FloatArray, half: HalfEdges, body: IntArray, rim: BoolArray, is_open: BoolArray
) -> FloatArray:
    """Find the (B, 3) points that volumes are measured from: the middle of an open body's rims.

    Closed bodies may use any point; the mean of their edges keeps rounding small.
    """
    count = len(is_open)
    total, sums = np.zeros(count), np.zeros((count, 3))
    for begin in range(0, len(half.face), _CHUNK):
        some = slice(begin, begin + _CHUNK)
        of = body[half.face[some]]
        tail, head = points[half.tail[some]], points[half.head[some]]
        weight = np.linalg.norm(head - tail, axis=1) * np.where(is_open[of], rim[some], True)
        total += np.bincount(of, weights=weight, minlength=count)
        middles = weight[:, None] * (tail + head) / 2
        for axis in range(3):
            sums[:, axis] += np.bincount(of, weights=middles[:, axis], minlength=count)
    return sums / np.maximum(total, 1e-300)[:, None]


def _signed_volumes(
    points: FloatArray, faces: IntArray, body: IntArray, reference: FloatArray
) -> FloatArray:
    """Measure each body's signed volume; 0 where it is flat."""
    count = len(reference)
    volume, area = np.zeros(count), np.zeros(count)
    for begin in range(0, len(faces), _CHUNK):
        some = slice(begin, begin + _CHUNK)
        of = body[some]
        a, b, c = (points[faces[some]] - reference[of][:, None]).transpose(1, 0, 2)
        sixfold = np.einsum("ij,ij->i", a, np.cross(b, c))
        volume += np.bincount(of, weights=sixfold / 6, minlength=count)
        doubled = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        area += np.bincount(of, weights=doubled / 2, minlength=count)
    volume[np.abs(volume) <= _FLAT_THICKNESS * area] = 0.0
    return volume


def _orient_bodies(
    points: FloatArray, faces: IntArray, half: HalfEdges, area: FloatArray, told: FloatArray
) -> tuple[IntArray, int]:
    """Turn whole bodies; see `orient`."""
    bodies = _bodies(points, faces, half)
    body = bodies.of
    negative = ~bodies.is_open & (bodies.volume < 0)
    untold = np.bincount(body, weights=area - told) > np.bincount(body, weights=told)
    negative |= bodies.is_open & untold & (bodies.volume < 0)
    negative ^= _inverted(points, flip(faces, negative[body]), bodies, area)
    if not negative.any():
        return faces, 0
    upright = flip(faces, negative[body])
    solid = bodies.volume != 0
    probes, probed = _probes(points, upright, body, solid)
    count = len(solid)
    some, contained = _within(points, upright, probes, probed, count)
    outermost = solid & ~contained
    turned = negative & outermost
    crossing = int((turned & some & ~bodies.is_open).sum())
    if contained.any() and turned.any():
        lying = contained[probed]
        probes, probed = probes[lying], probed[lying]
        of_turned = upright[turned[body]]
        _, in_turned = _within(points, of_turned, probes, probed, count)
        of_others = upright[(outermost & ~turned)[body]]
        in_others, _ = _within(points, of_others, probes, probed, count)
        turned |= in_turned & ~in_others
    return flip(faces, turned[body]), crossing


def _inverted(points: FloatArray, faces: IntArray, bodies: Bodies, area: FloatArray) -> BoolArray:
    """Tell (B,) which open bodies are inside out: without doubt, and on the whole.

    All of them are turned together first, then the largest one by one, as long as the space around
    them becomes clearer.
    """
    inverted = np.zeros(len(bodies.is_open), dtype=np.bool_)
    total = np.bincount(bodies.of, weights=area, minlength=len(inverted))
    by_area = np.argsort(-np.where(bodies.is_open, total, 0.0), kind="stable")
    largest = [b for b in by_area[:_MOST_OPEN_BODIES].tolist() if bodies.is_open[b]]
    if not largest:
        return inverted
    parts = [faces[bodies.of == b] for b in largest]
    probes = np.concatenate([_around(points, part) for part in parts])
    around = np.repeat(np.arange(len(parts)), _CLARITY_PROBES)
    winding = winding_of(points, faces).winding_number(probes)
    if unclear_share(winding) <= _CLEARER:
        return inverted
    open_faces = bodies.is_open[bodies.of]
    single = len(parts) == 1 and bool(open_faces.all())
    own = [winding if single else winding_of(points, p).winding_number(probes) for p in parts]
    every = winding if single else winding_of(points, faces[open_faces]).winding_number(probes)
    if unclear_share(winding - 2 * every) < unclear_share(winding) - _CLEARER:
        inverted[bodies.is_open] = True
        winding = winding - 2 * every
        own = [-w for w in own]
    for k, b in enumerate(largest):
        near = around == k
        turned = winding - 2 * own[k]
        if unclear_share(turned[near]) < unclear_share(winding[near]) - _CLEARER:
            inverted[b] = ~inverted[b]
            winding = turned
    return inverted


def _keep_what_clears(
    points: FloatArray, given: IntArray, oriented: IntArray, patch: IntArray, flipped: BoolArray
) -> IntArray:
    """Take faces back as they were given where turning some of their patch made nothing clearer.

    The largest patches are judged each for itself, near those of its faces that were turned, the
    others together.
    """
    concerned = np.bincount(patch, weights=flipped) > 0
    size = np.bincount(patch)
    order = np.argsort(-np.where(concerned, size, 0), kind="stable")[: int(concerned.sum())]
    groups = [order[k : k + 1] for k in range(min(len(order), _MOST_PATCHES))]
    if len(order) > _MOST_PATCHES:
        groups.append(order[_MOST_PATCHES:])
    differs = given[:, 0] != oriented[:, 0]
    turned = [differs & np.isin(patch, group) for group in groups]
    turned = [faces for faces in turned if faces.any()]
    if not turned:
        return oriented
    probes = np.concatenate([_around(points, given[faces]) for faces in turned])
    around = np.repeat(np.arange(len(turned)), _CLARITY_PROBES)
    winding = winding_of(points, oriented).winding_number(probes)
    result = oriented.copy()
    for k, faces in enumerate(turned):
        before = winding + 2 * winding_of(points, given[faces]).winding_number(probes)
        near = around == k
        if unclear_share(winding[near]) >= unclear_share(before[near]):
            result[faces] = given[faces]
            winding = before
    return result


def _around(points: FloatArray, faces: IntArray) -> FloatArray:
    """Place probes on both sides of faces, at all distances up to the size of what they span."""
    generator = np.random.Generator(np.random.PCG64(0))
    corners = points[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    weight = np.cumsum(np.maximum(length, 1e-300))
    at = np.searchsorted(weight, generator.random(_CLARITY_PROBES) * weight[-1], side="right")
    at = at.clip(0, len(faces) - 1)
    share = generator.dirichlet((1.0, 1.0, 1.0), _CLARITY_PROBES)
    on = np.einsum("nk,nkj->nj", share, corners[at])
    size = float(np.ptp(corners.reshape(-1, 3), axis=0).max())
    away = size * np.exp(generator.uniform(np.log(_NEAREST), 0.0, _CLARITY_PROBES))
    away *= np.where(np.arange(_CLARITY_PROBES) % 2 == 0, -1.0, 1.0)
    steps = (away / np.maximum(length[at], 1e-300))[:, None] * normal[at]
    return np.asarray(on + steps, dtype=np.float64)


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
    depth = np.minimum(_PROBE_DEPTH * np.sqrt(length[chosen]), _DEEPEST_PROBE)
    steps = normal[chosen] * (depth / length[chosen])[:, None]
    return corners[chosen].mean(axis=1) + steps, body[chosen]
