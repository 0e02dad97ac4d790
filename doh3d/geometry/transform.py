"""The similarity between a mesh's own coordinates and the normalised cube [-1, 1]^3."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from doh3d.geometry.rotation import NO_FRAME, Frame, rotation_matrix, to_frame

# Longest side of a normalised mesh. The margin to the cube's faces leaves the field room
# to be outside on every side of the shape.
NORMALIZED_LONGEST_SIDE = 1.8

# A file holds a scale as (256 + m) 2^(e - 8), m from 0 to 255 and e one of these. It holds the
# centre as whole numbers of so many bytes, in steps of 2^e halved so many times. Steps that were
# halved 7 times move a shape by a 256th of its domain's half side at most, before it is sampled.
# That is too much for mirror planes, which must go through the middle.
_SIGNIFICANDS = 256
_EXPONENTS = range(-128, 128)
LATTICES = ((2, 7), (3, 15), (4, 15))

# Bytes that centre and scale take on each of these lattices, and as four float64.
TRANSFORM_BYTES = (*(2 + 3 * size for size, _ in LATTICES), 32)
FLOAT64_FORM = len(LATTICES)

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
        The mesh's own units for one normalised unit, > 0.
    frame : three integers
        The rotation, see `doh3d.geometry.rotation.rotation_matrix`; 0, 0, 0 for the mesh's own
        axes.
    """

    centre: tuple[float, float, float]
    scale: float
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
        x, y, z = centre.tolist()
        return cls((x, y, z), scale)

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
        x, y, z = self.to_world(middle)[0].tolist()
        scale = self.scale * float((high - low).max()) / NORMALIZED_LONGEST_SIDE
        return NormalizingTransform((x, y, z), scale, frame=frame)

    def rounded(self, *, finely: bool = False) -> NormalizingTransform:
        """Round centre and scale to what takes few bytes in a file, the scale upwards.

        Where no lattice reaches, far off or beyond the scales there are, nothing is rounded.

        Parameters
        ----------
        finely : bool
            Whether the centre is moved by less than 2^-16 of the scale; otherwise by 2^-8 of it.
        """
        significand, exponent = math.frexp(self.scale)
        unit = 2 * _SIGNIFICANDS
        # Beyond the lattices anyway, a scale may have no room to be rounded up.
        if exponent > _EXPONENTS.stop:
            return self
        scale = math.ldexp(math.ceil(significand * unit) / unit, exponent)
        for size, halvings in LATTICES[finely:]:
            step = _step(scale, halvings)
            if step is None:
                break
            steps = [number / step for number in self.centre]
            if all(abs(number) <= 2 ** (8 * size - 1) - 1 for number in steps):
                x, y, z = (round(number) * step for number in steps)
                return replace(self, centre=(x, y, z), scale=scale)
        return self

    @cached_property
    def form(self) -> int:
        """The first of `LATTICES` that holds centre and scale as they are, or `FLOAT64_FORM`."""
        if math.frexp(self.scale)[0] * 2 * _SIGNIFICANDS % 1 == 0:
            for form, (size, halvings) in enumerate(LATTICES):
                step, most = _step(self.scale, halvings), 2 ** (8 * size - 1)
                if step is not None and all(
                    number % step == 0 and -most <= number / step < most for number in self.centre
                ):
                    return form
        return FLOAT64_FORM

    @cached_property
    def rotation(self) -> npt.NDArray[np.float64]:
        """(3, 3) rotation from the frame to the mesh's own axes."""
        return rotation_matrix(self.frame)

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


def lattice_step(exponent: int, halvings: int) -> float:
    """Step of the centre's numbers beside a scale of 2^exponent and more, below its double."""
    return math.ldexp(1.0, exponent - halvings)


def _step(scale: float, halvings: int) -> float | None:
    exponent = math.frexp(scale)[1] - 1
    return lattice_step(exponent, halvings) if exponent in _EXPONENTS else None
