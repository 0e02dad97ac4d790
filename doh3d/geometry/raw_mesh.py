"""Triangles as a file has them, before anything is repaired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class RawMesh:
    """What a reader finds in a file: triangles, not welded, and not checked for more than range.

    Attributes
    ----------
    vertices : (V, 3) float64
        In the file's own units.
    faces : (F, 3) int64
        Corners, each a row of `vertices`.
    unit : str or None
        What one unit is ("millimetre"), where the format says so.
    notes : tuple of str
        What the reader left out or changed on purpose, one line each, for people to read.
    """

    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64]
    unit: str | None = None
    notes: tuple[str, ...] = ()
