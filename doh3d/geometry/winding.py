"""Winding numbers of a surface, by whichever of two ways looks at fewer triangles for a point.

libigl's tree takes far triangles together, and looks at those near by one after the other. Near is
what lies within its own length: where tens of thousands of slivers lie side by side, as in the lids
and the wall of a fine cylinder, that is most of them, for every point. Then rays are followed
through a grid, see :mod:`doh3d.geometry.crossings`. They need a closed surface; an open one is
closed with caps, and what these add is taken away again, since winding numbers add up (Jacobson,
Kavan, Sorkine-Hornung, SIGGRAPH 2013).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np

from doh3d.geometry.crossings import RayCrossings, best_view, caps
from doh3d.geometry.pieces import in_pieces
from doh3d.geometry.repair import FloatArray, IntArray

# libigl's own default, for winding numbers right to about 0.01.
_ACCURACY = 2.0

# Points and triangles by which the work of a tree is measured.
_WORK_PROBES = 64
_WORK_TRIANGLES = 1 << 15

# A tree that looks at no more triangles for a point than this is quick, a tenth of a millisecond.
_QUICK = 500

# Rays are taken where they look at so many times fewer.
_WORTH_RAYS = 4

# What was prepared, by a digest of its surface, as long as someone holds it.
_prepared: WeakValueDictionary[bytes, _Tree | _Rays] = WeakValueDictionary()


class Winding(Protocol):
    """Gives winding numbers.

    Attributes
    ----------
    work : float
        Triangles that are looked at for a point, about; 0.1 to 0.3 microseconds each.
    """

    @property
    def work(self) -> float:
        """See the class."""
        ...

    def winding_number(self, points: FloatArray) -> FloatArray:
        """Measure (N,) winding numbers of (N, 3) normalised points."""
        ...


@dataclass(frozen=True)
class _Tree:
    """The fast winding number (Barill et al., SIGGRAPH 2018)."""

    work: float
    _engine: Any

    @classmethod
    def of(cls, points: FloatArray, faces: IntArray) -> _Tree:
        from igl import FastWindingNumberBVH

        vertices, pieces = points, faces
        # Solid angles of pieces add up to those of the whole.
        short, _ = in_pieces(points[faces])
        if len(short) > len(faces):
            vertices = short.reshape(-1, 3)
            pieces = np.arange(len(vertices), dtype=np.int64).reshape(-1, 3)
        tree = FastWindingNumberBVH()
        tree.init(vertices, pieces, 2)
        return cls(nearby(vertices, pieces), tree)

    def winding_number(self, points: FloatArray) -> FloatArray:
        order = along_curve(points)
        winding = np.empty(len(points))
        winding[order] = self._engine.winding_number(points[order], _ACCURACY)
        return winding


@dataclass(frozen=True)
class _Rays:
    """Crossings of the surface closed with caps, less the caps' own winding number."""

    work: float
    _closed: RayCrossings
    _caps: _Tree | None

    @classmethod
    def of(cls, points: FloatArray, faces: IntArray, cap: IntArray) -> _Rays:
        closed = RayCrossings.of(points, np.concatenate([faces, cap]))
        tree = _Tree.of(points, cap) if len(cap) else None
        work = float(closed.candidates(_probes(points, faces)).mean())
        return cls(work + (tree.work if tree else 0.0), closed, tree)

    def winding_number(self, points: FloatArray) -> FloatArray:
        winding = self._closed.winding_number(points)
        return winding - self._caps.winding_number(points) if self._caps else winding


def winding_of(points: FloatArray, faces: IntArray) -> Winding:
    """Prepare the winding number of (F, 3) faces over (V, 3) welded, normalised points.

    The choice is by counting, not by time: the same mesh always gets the same answers. While one
    who asked for a surface holds what was prepared, others who ask for the same surface get it too.
    """
    key = hashlib.sha256(points.tobytes() + faces.tobytes()).digest()
    known = _prepared.get(key)
    if known is None:
        known = _prepared[key] = _chosen(points, faces)
    return known


def _chosen(points: FloatArray, faces: IntArray) -> _Tree | _Rays:
    tree = _Tree.of(points, faces)
    if tree.work <= _QUICK:
        return tree
    cap = caps(points, faces)
    closed = np.concatenate([faces, cap])
    if best_view(points, closed).candidates * _WORTH_RAYS > tree.work:
        return tree
    rays = _Rays.of(points, faces, cap)
    return rays if rays.work * _WORTH_RAYS < tree.work else tree


def along_curve(points: FloatArray) -> IntArray:
    """Order (N,) points of the cube [-1, 1]^3 along a Morton curve of 1024^3 cells.

    Neighbours walk through the same parts of a tree: twice as fast, same answers.
    """
    cells = ((points + 1) * 512).clip(0, 1023).astype(np.int64)
    # Spread each coordinate's ten bits to every third bit.
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | (cells << shift)) & mask
    code = cells[:, 0] | (cells[:, 1] << 1) | (cells[:, 2] << 2)
    return np.argsort(code, kind="stable")


def nearby(points: FloatArray, faces: IntArray) -> float:
    """Count the triangles within twice their size of a point, on average over some points."""
    step = -(-len(faces) // _WORK_TRIANGLES)
    corners = points[faces[::step]]
    middle = corners.mean(axis=1)
    reach = _ACCURACY * np.linalg.norm(corners - middle[:, None], axis=2).max(axis=1)
    probes = _probes(points, faces)
    x, y, z = np.ascontiguousarray(middle.T)
    near = 0
    for u, v, w in probes:
        distance = np.sqrt(np.square(x - u) + np.square(y - v) + np.square(z - w))
        near += int(np.count_nonzero(distance < reach))
    return step * near / len(probes)


def _probes(points: FloatArray, faces: IntArray) -> FloatArray:
    """Place half of the probes all over the bounding box and half on the surface."""
    generator = np.random.Generator(np.random.PCG64(0))
    used = points[faces[:: -(-len(faces) // _WORK_TRIANGLES)]]
    low, high = used.min(axis=(0, 1)), used.max(axis=(0, 1))
    uniform = generator.uniform(low, high, (_WORK_PROBES // 2, 3))
    chosen = used[generator.integers(0, len(used), _WORK_PROBES // 2)]
    return np.concatenate([uniform, chosen.mean(axis=1)])
