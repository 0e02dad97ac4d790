"""How clearly a surface tells inside from outside."""

from __future__ import annotations

import numpy as np

from doh3d.geometry.repair import FloatArray

# A winding number this near to one half is a guess rather than an answer. As far below zero, what
# is there would be enclosed if the surface were wound the other way.
_UNCLEAR = 0.25


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
