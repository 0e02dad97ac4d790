"""Mirror planes of a solid: where they may be, by its moments, and whether they are, by points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Inside: TypeAlias = Callable[[FloatArray], npt.NDArray[np.bool_]]

# Share of the volume that may differ between a shape and its mirror image: at no rate is a file so
# good that half of it mattered.
_MIRROR_TOLERANCE = 5e-4

# Points that tell most shapes from their mirror images, and points that tell the others.
_MIRROR_TRIALS = (2**11, 2**16)

# Fewer points find the planes that are clear. Whether one at the tolerance is found hangs on the
# points, and must not make one frame better than another.
_CLEAR_TRIALS, _CLEAR_TOLERANCE = (2**11, 2**14), 2.5e-4

# Moments that a mirror plane makes 0 are below this share of the shape's own size to the same
# power, or there is none.
_MOMENT_TOLERANCE = 2e-3

# Weights and points, in a tetrahedron's barycentric coordinates, that integrate polynomials of
# the third degree exactly (Zienkiewicz, The Finite Element Method).
_WEIGHTS = (-0.8, 0.45, 0.45, 0.45, 0.45)
_BARYCENTRIC = (np.full((4, 4), 1 / 6) + np.eye(4) / 3).tolist()
_BARYCENTRIC.insert(0, [0.25] * 4)


@dataclass(frozen=True)
class Moments:
    """Central moments of a solid's volume, divided by the volume.

    Attributes
    ----------
    second : (3, 3) float64
    third : (3, 3, 3) float64
    """

    second: FloatArray
    third: FloatArray

    @classmethod
    def of(cls, points: FloatArray, faces: IntArray) -> Moments:
        """Integrate over what (F, 3) faces of (V, 3) points enclose, wound to face outwards."""
        corners = points[faces]
        origin = np.zeros(3)
        # The tetrahedra of the faces and one point; their sum is the solid, wherever that is.
        for _ in range(2):
            relative = corners - origin
            a, b, c = relative[:, 0], relative[:, 1], relative[:, 2]
            volumes = (a * np.cross(b, c)).sum(axis=1)
            total = float(volumes.sum())
            first = (volumes[:, None] * (a + b + c)).sum(axis=0) / (4 * total)
            origin = origin + first
        second, third = np.zeros((3, 3)), np.zeros((3, 3, 3))
        for weight, (_, *shares) in zip(_WEIGHTS, _BARYCENTRIC, strict=True):
            x = np.einsum("k,nki->ni", np.array(shares), relative)
            weighted = (weight / total) * volumes[:, None] * x
            second += np.einsum("ni,nj->ij", weighted, x)
            for i in range(3):
                third[i] += np.einsum("ni,nj->ij", weighted * x[:, i : i + 1], x)
        return cls(second, third)

    def principal_frame(self) -> FloatArray:
        """(3, 3) rotation whose columns are the axes of inertia."""
        axes: FloatArray = np.linalg.eigh(self.second)[1]
        axes[:, 0] *= np.linalg.det(axes)
        return axes

    def may_be_mirrored(self, rotation: FloatArray) -> tuple[int, ...]:
        """Columns of a (3, 3) rotation along which no moment tells shape from mirror image."""
        second = rotation.T @ self.second @ rotation
        third = np.einsum("abc,ai,bj,ck->ijk", self.third, rotation, rotation, rotation)
        size = float(np.sqrt(np.trace(self.second)))
        odd = np.abs(third) / size**3
        mixed = np.abs(second - np.diag(np.diag(second))) / size**2
        axes = []
        for axis in range(3):
            others = [i for i in range(3) if i != axis]
            worst = max(
                mixed[axis].max(),
                odd[axis][np.ix_(others, others)].max(),
                odd[axis, axis, axis],
            )
            if worst < _MOMENT_TOLERANCE:
                axes.append(axis)
        return tuple(axes)


def mirrored_axes(
    inside: Inside,
    bounds: FloatArray,
    axes: tuple[int, ...] = (0, 1, 2),
    *,
    clearly: bool = False,
) -> tuple[int, ...]:
    """Find the axes along which a shape is its own mirror image, about the origin.

    Parameters
    ----------
    inside : function
        Whether (N, 3) points are inside, (N,) bool.
    bounds : (2, 3) float64
        Lowest and highest corner of the shape.
    axes : axes that are tried
    clearly : whether only half as much may differ, on fewer points

    Returns
    -------
    tuple of 0, 1 and 2, ascending
    """
    trials = _CLEAR_TRIALS if clearly else _MIRROR_TRIALS
    tolerance = _CLEAR_TOLERANCE if clearly else _MIRROR_TOLERANCE
    generator = np.random.Generator(np.random.PCG64(0))
    low, high = bounds
    for count in trials:
        if axes:
            points = generator.uniform(low, high, (count, 3))
            found = inside(points)
            axes = tuple(a for a in axes if _is_mirrored(inside, a, points, found, tolerance))
    return axes


def _is_mirrored(
    inside: Inside,
    axis: int,
    points: FloatArray,
    found: npt.NDArray[np.bool_],
    tolerance: float,
) -> bool:
    mirror = np.where(np.arange(3) == axis, -1.0, 1.0)
    image = inside(points * mirror)
    return int((found != image).sum()) <= tolerance * int((found | image).sum())
