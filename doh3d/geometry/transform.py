"""The similarity between a mesh's own coordinates and the normalised cube [-1, 1]^3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from doh3d.geometry.rotation import NO_FRAME, Frame, rotation_matrix, to_frame

# Longest side of a normalised mesh. The margin to the cube's faces leaves the field room
# to be outside on every side of the shape.
NORMALIZED_LONGEST_SIDE = 1.8

# A float32 transform is kept where rounding moves no point by more than this share of the
# longest side; coordinates far from the origin need float64.
_FLOAT32_TOLERANCE = 1e-5


# Of a scale beside a frame the last bits are 0, since a file has the frame's first number there.
_SCALE_BITS = {False: 7, True: 36}


# What is farther away than this many normalised units is moved here before it is turned, since
# infinities of different signs have no sum.
FAR = 1e300


@dataclass(frozen=True)
class NormalizingTransform:
    """``world = centre + scale * rotation @ normalised``.

    Attributes
    ----------
    centre : (3,) float64
        Centre of the mesh's bounding box in the frame, in the mesh's own units and axes.
    scale : float
        The mesh's own units for one normalised unit, > 0. With a frame its significand has 7 bits
        after the point, or 36 where `double` is set.
    double : bool
        Whether centre and scale need float64; otherwise both are exact in float32.
    frame : three integers
        The rotation, see `doh3d.geometry.rotation.rotation_matrix`; 0, 0, 0 for the mesh's own
        axes.
    """

    centre: tuple[float, float, float]
    scale: float
    double: bool = False
    frame: Frame = NO_FRAME

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
        return cls._of(centre, scale, NO_FRAME)

    def in_frame(self, frame: Frame, points: npt.NDArray[np.float64]) -> NormalizingTransform:
        """Fit the transform that does the same in a frame.

        Parameters
        ----------
        frame : three integers
        points : (N, 3) float64
            Vertices of the mesh, as this transform, which has no frame, normalises them.
        """
        rotation = rotation_matrix(frame)
        turned = to_frame(points, rotation)
        low, high = turned.min(axis=0), turned.max(axis=0)
        middle = to_frame(((low + high) / 2)[None], rotation.T)
        centre = self.to_world(middle)[0]
        scale = self.scale * float((high - low).max()) / NORMALIZED_LONGEST_SIDE
        return self._of(centre, scale, frame)

    @classmethod
    def _of(
        cls, centre: npt.NDArray[np.float64], scale: float, frame: Frame
    ) -> NormalizingTransform:
        """Round to float32 if that moves nothing."""
        with np.errstate(over="ignore", under="ignore"):
            centre32 = centre.astype(np.float32).astype(np.float64)
            scale32 = float(np.float32(_scale_in_file(scale, frame, double=False)))
        tiny = float(np.finfo(np.float32).tiny)
        fits = (
            np.isfinite(centre32).all()
            and tiny <= scale32 < np.inf
            and float(np.abs(centre32 - centre).max()) <= _FLOAT32_TOLERANCE * scale
        )
        if fits:
            x, y, z = centre32.tolist()
            return cls((x, y, z), scale32, double=False, frame=frame)
        x, y, z = centre.tolist()
        return cls((x, y, z), _scale_in_file(scale, frame, double=True), double=True, frame=frame)

    @cached_property
    def rotation(self) -> npt.NDArray[np.float64]:
        """(3, 3) rotation from the frame to the mesh's own axes."""
        return rotation_matrix(self.frame)

    @property
    def scale_fits(self) -> bool:
        """Whether the scale leaves room for the frame, where there is one."""
        return self.scale == _scale_in_file(self.scale, self.frame, double=self.double)

    def to_normalized(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map (N, 3) points in the mesh's own units to the normalised cube, float64."""
        world = np.asarray(points, dtype=np.float64)
        normalized: npt.NDArray[np.float64] = (world - np.asarray(self.centre)) / self.scale
        if self.frame == NO_FRAME:
            return normalized
        return to_frame(normalized.clip(-FAR, FAR), self.rotation)

    def to_world(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map (N, 3) normalised points to the mesh's own units, float64."""
        turned = np.asarray(points, dtype=np.float64)
        if self.frame != NO_FRAME:
            turned = to_frame(turned, self.rotation.T)
        world: npt.NDArray[np.float64] = turned * self.scale + np.asarray(self.centre)
        return world

    def box_bounds(self, half_sides: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(2, 3) corners, in the mesh's own units, of the box around a box of the frame.

        The box of the frame is that of (3,) half sides around 0, in normalised coordinates.
        """
        # Without a frame no product may round: the bounds are the corners themselves.
        reach = (np.abs(self.rotation) * half_sides).sum(axis=1) * self.scale
        return np.stack([np.asarray(self.centre) - reach, np.asarray(self.centre) + reach])


def _scale_in_file(scale: float, frame: Frame, *, double: bool) -> float:
    """Round a scale up, beside a frame, to what a file holds of it."""
    if frame == NO_FRAME:
        return scale
    significand, exponent = math.frexp(scale)
    unit = 2 ** (_SCALE_BITS[double] + 1)
    return math.ldexp(math.ceil(significand * unit) / unit, exponent)
