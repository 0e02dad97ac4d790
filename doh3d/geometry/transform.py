"""The similarity between a mesh's own coordinates and the normalised cube [-1, 1]^3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Longest side of a normalised mesh. The margin to the cube's faces leaves the field room
# to be outside on every side of the shape.
NORMALIZED_LONGEST_SIDE = 1.8

# A float32 transform is kept where rounding moves no point by more than this share of the
# longest side; coordinates far from the origin need float64.
_FLOAT32_TOLERANCE = 1e-5


@dataclass(frozen=True)
class NormalizingTransform:
    """``world = centre + scale * normalised``.

    Attributes
    ----------
    centre : (3,) float64
        Centre of the mesh's bounding box, in the mesh's own units.
    scale : float
        The mesh's own units for one normalised unit, > 0.
    double : bool
        Whether centre and scale need float64; otherwise both are exact in float32.
    """

    centre: tuple[float, float, float]
    scale: float
    double: bool = False

    @classmethod
    def from_bounds(cls, bounds: npt.NDArray[np.float64]) -> NormalizingTransform:
        """Fit the transform that centres `bounds` and scales its longest side to 1.8.

        Parameters
        ----------
        bounds : (2, 3) float64
            Lowest and highest corner, in the mesh's own units; the longest side is > 0.
        """
        low, high = np.asarray(bounds, dtype=np.float64)
        # Halve before adding: the sum of two large coordinates may overflow.
        centre = low / 2 + high / 2
        scale = float((high / 2 - low / 2).max()) * 2 / NORMALIZED_LONGEST_SIDE
        with np.errstate(over="ignore", under="ignore"):
            centre32 = centre.astype(np.float32).astype(np.float64)
            scale32 = float(np.float32(scale))
        tiny = float(np.finfo(np.float32).tiny)
        fits = (
            np.isfinite(centre32).all()
            and tiny <= scale32 < np.inf
            and float(np.abs(centre32 - centre).max()) <= _FLOAT32_TOLERANCE * scale
        )
        if fits:
            x, y, z = centre32.tolist()
            return cls((x, y, z), scale32, double=False)
        x, y, z = centre.tolist()
        return cls((x, y, z), scale, double=True)

    def to_normalized(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map (N, 3) points in the mesh's own units to the normalised cube, float64."""
        world = np.asarray(points, dtype=np.float64)
        normalized: npt.NDArray[np.float64] = (world - np.asarray(self.centre)) / self.scale
        return normalized

    def to_world(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map (N, 3) normalised points to the mesh's own units, float64."""
        normalized = np.asarray(points, dtype=np.float64)
        world: npt.NDArray[np.float64] = normalized * self.scale + np.asarray(self.centre)
        return world
