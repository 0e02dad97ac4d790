"""How clearly a surface tells inside from outside."""

from __future__ import annotations

import numpy as np

from doh3d.geometry.repair import FloatArray, IntArray
from doh3d.geometry.winding import winding_of

# A winding number this near to one half is a guess rather than an answer. As far below zero, what
# is there would be enclosed if the surface were wound the other way.
_UNCLEAR = 0.25

# Points by which a surface is judged, fewer where more triangles than this would be looked at.
_PROBES = 20_000
_PROBE_WORK = 1 << 25


def unclear_share(winding: FloatArray) -> float:
    """Measure which share of what is enclosed, or nearly, is enclosed for no certain.

    Parameters
    ----------
    winding : (N,) float64
        Winding numbers of points spread evenly over space.

    Returns
    -------
    float
        Points whose winding number is near one half, or well below zero, as a share of these and
        of those inside. 1 where there is neither: nothing is enclosed then.
    """
    unclear = (np.abs(winding - 0.5) < _UNCLEAR) | (winding < -_UNCLEAR)
    enclosed = (winding > 0.5) | unclear
    return float(unclear.sum() / enclosed.sum()) if enclosed.any() else 1.0


def unclear_volume(points: FloatArray, faces: IntArray) -> float:
    """Measure `unclear_share` all over the box of (F, 3) faces over (V, 3) normalised points."""
    winding = winding_of(points, faces)
    corners = points[faces].reshape(-1, 3)
    count = min(_PROBES, round(_PROBE_WORK / max(winding.work, 1.0)))
    generator = np.random.Generator(np.random.PCG64(0))
    probes = generator.uniform(corners.min(axis=0), corners.max(axis=0), (count, 3))
    return unclear_share(winding.winding_number(probes))
