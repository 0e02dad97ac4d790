"""Whether a surface encloses volume: what is refused, and why."""

from __future__ import annotations

import numpy as np

from doh3d.errors import MeshError
from doh3d.geometry.half_edges import open_edge_count
from doh3d.geometry.repair import FloatArray, IntArray
from doh3d.geometry.winding import nearby, winding_of

# In normalised units, about a tenth of a cell at the finest resolution of extraction: walls that
# are thinner can not come back from any field.
_THINNEST = 2e-4

# An open mesh encloses volume when behind enough of its surface at least three quarters of all
# directions are blocked. Behind a flat surface it is one half; under a hemisphere without its base
# it is more than three quarters, in a dish it is less. Where less than a quarter is blocked behind
# the surface, the triangles face every which way, and count against it, thrice.
_BLOCKED_DIRECTIONS = 0.75
_WRONG_SIDE = 0.25
_WRONG_SIDE_WEIGHT = 3.0
_ENCLOSING_SHARE = 0.2
_ENCLOSURE_PROBES = 2048

# Where more of a closed surface than this has before it what it encloses inside out, it is not for
# being thin that it encloses nothing.
_INVERTED_SHARE = 0.05

# Where triangles lie close, fewer probes do: so many triangles are looked at for all of them.
_ENCLOSURE_WORK = 1 << 24
_FEWEST_PROBES = 64

# Triangles that may be looked at for a point: with more, a fit's million points take many minutes.
MOST_WORK = 3000


def no_volume(name: str, why: str) -> MeshError:
    """Make the error that says why a mesh encloses no volume."""
    return MeshError(
        f"{name}: the mesh encloses no volume ({why}); a closed or nearly closed surface is needed"
    )


def check_volume(points: FloatArray, faces: IntArray, name: str) -> None:
    """Raise MeshError unless a surface encloses volume.

    Parameters
    ----------
    points : (V, 3) float64
        Normalised positions.
    faces : (F, 3) int64
        Wound outwards.
    name : str
        What the error calls the mesh.
    """
    if not len(faces):
        raise no_volume(name, "all its faces are degenerate or cancel in pairs")
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled_area = np.linalg.norm(normals, axis=1)
    if not doubled_area.any():
        raise no_volume(name, "its faces have no area")
    open_edges = open_edge_count(faces)
    if not open_edges:
        middle = points.mean(axis=0)
        a, b, c = (corners - middle).transpose(1, 0, 2)
        volume = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())) / 6
        # A plate of thickness t has volume t * area / 2, both of its sides being area.
        if volume * 4 / float(doubled_area.sum()) > _THINNEST:
            return
    winding = winding_of(points, faces)
    affordable = int(_ENCLOSURE_WORK / max(winding.work, 1.0))
    face = _spread_over(doubled_area, min(max(affordable, _FEWEST_PROBES), _ENCLOSURE_PROBES))
    unit = normals[face] / np.maximum(doubled_area[face], 1e-300)[:, None]
    # Behind an open surface so near that only the surface itself counts, behind a closed one
    # where the other side of a wall that is too thin has been passed.
    depth = 1e-3 * np.sqrt(doubled_area[face]) if open_edges else np.full(len(face), _THINNEST)
    middles, steps = corners[face].mean(axis=1), unit * depth[:, None]
    found = winding.winding_number(middles - steps)
    right, wrong = (found > _BLOCKED_DIRECTIONS).mean(), (found < _WRONG_SIDE).mean()
    if right - _WRONG_SIDE_WEIGHT * wrong >= _ENCLOSING_SHARE:
        return
    if open_edges:
        raise no_volume(name, f"its surface is open at {open_edges} edges")
    before = winding.winding_number(middles + steps)
    if (before < -_BLOCKED_DIRECTIONS).mean() > _INVERTED_SHARE:
        raise no_volume(name, "its parts wind in opposite ways, and what is inside is not told")
    raise no_volume(name, f"it is flat: thinner than {_THINNEST / 1.8:.1g} of its longest side")


def check_work(points: FloatArray, faces: IntArray, name: str) -> None:
    """Raise MeshError where triangles lie so that telling inside from outside takes too long."""
    # Most meshes need no preparation to be known as quick.
    if nearby(points, faces) <= MOST_WORK:
        return
    work = winding_of(points, faces).work
    if work > MOST_WORK:
        raise MeshError(
            f"{name}: its triangles are too long for their number: {work:.0f} of them count for a "
            f"point of space on average, at most {MOST_WORK} may; remesh it"
        )


def _spread_over(area: FloatArray, count: int) -> IntArray:
    """Choose `count` faces evenly spaced in area: no random numbers needed."""
    total = np.cumsum(area)
    at = (np.arange(count) + 0.5) / count * total[-1]
    return np.asarray(
        np.minimum(np.searchsorted(total, at, side="right"), len(area) - 1), dtype=np.int64
    )
