"""Rotations in which a surface lies along the axes.

The energy of a rotation is the mean of |x| + |y| + |z| over the surface, of the unit normals'
coordinates in the frame: 1 where all faces lie along the axes, sqrt(3) at most, 1.5 where normals
point anywhere. Polycube maps minimise it (Huang et al., "L1-based construction of polycube maps",
ACM TOG 2014). It has a sharp minimum where much of the area is flat, or curved in one direction
only, and hardly depends on the rotation where a surface is curved everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.geometry.rotation import rotations_of, smallest_equivalent, to_frame

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

# Normals are gathered so finely, in parts of 1: to look everywhere, and to move to a minimum.
_COARSE, _FINE = 8, 64

# Rodrigues vectors that are looked at first, along each axis: 12 degrees from one to the next.
_STARTS_PER_AXIS = 9

# Of those the best that differ by at least this angle are moved to the minimum near them.
_STARTS, _DEGREES_APART = 6, 15

# Of the minima so many are moved on over all normals, as they are.
_MINIMA = 3

# |x| is minimised as x^2 / (2 w) with w = sqrt(x^2 + softness^2), again and again (iteratively
# reweighted least squares), while the softness falls.
_SOFTNESSES = np.geomspace(0.2, 1e-5, 12)
_LAST_SOFTNESSES = np.geomspace(1e-3, 1e-6, 4)


@dataclass(frozen=True)
class Normals:
    """Unit normals of a surface, and the area of each, in any unit.

    Attributes
    ----------
    directions : (N, 3) float64
    areas : (N,) float64
    """

    directions: FloatArray
    areas: FloatArray

    @classmethod
    def of(cls, points: FloatArray, faces: IntArray) -> Normals:
        """Measure the faces of a mesh that have an area."""
        corners = points[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        areas = np.sqrt((normals**2).sum(axis=1))
        flat = areas > 0
        return cls(normals[flat] / areas[flat, None], areas[flat])

    def gathered(self, fineness: int) -> Normals:
        """Replace normals that are equal to 1 / fineness, but for the sign, by their mean."""
        cells = np.rint(self.directions * fineness).astype(np.int64)
        side = 2 * fineness + 1
        keys = (cells[:, 0] * side + cells[:, 1]) * side + cells[:, 2]
        signs = np.where(keys < 0, -1, 1)
        _, groups = np.unique(keys * signs, return_inverse=True)
        weights = self.areas * signs
        sums = np.stack([np.bincount(groups, weights * axis) for axis in self.directions.T], axis=1)
        lengths = np.sqrt((sums**2).sum(axis=1))
        some = lengths > 0
        areas = np.bincount(groups, self.areas)
        return Normals(sums[some] / lengths[some, None], areas[some])

    def energy(self, rotation: FloatArray) -> float:
        """Mean of |x| + |y| + |z| over the surface, along the columns of a (3, 3) rotation."""
        return _mean_length(to_frame(self.directions, rotation), self.areas)


def aligned_rotations(normals: Normals) -> list[FloatArray]:
    """Find rotations in which a surface lies along the axes, the one of least energy first.

    Returns
    -------
    list of (3, 3) float64
        Local minima of the energy; which of their axes is which means nothing.
    """
    steps = np.linspace(1 - np.sqrt(2), np.sqrt(2) - 1, _STARTS_PER_AXIS)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    rotations = rotations_of(grid)
    coarse, fine = normals.gathered(_COARSE), normals.gathered(_FINE)
    components = np.einsum("nj,rji->rni", coarse.directions, rotations)
    energies = np.einsum("rni,n->r", np.abs(components), coarse.areas)
    starts: list[FloatArray] = []
    for index in np.argsort(energies, kind="stable"):
        rotation = rotations[index]
        if all(_differ(rotation, start, _DEGREES_APART) for start in starts):
            starts.append(rotation)
        if len(starts) == _STARTS:
            break
    minima: list[FloatArray] = []
    for minimum in sorted((minimise(fine, start) for start in starts), key=fine.energy):
        if len(minima) < _MINIMA and all(_differ(minimum, other, 1) for other in minima):
            minima.append(minimum)
    return [minimise(normals, minimum, _LAST_SOFTNESSES) for minimum in minima]


def aligned_about(normals: Normals, frame: FloatArray, axis: int) -> FloatArray:
    """Turn a frame about one of its axes, (3, 3) float64, to where the energy is least."""
    fine = normals.gathered(_FINE)
    turns = np.zeros((_STARTS_PER_AXIS, 3))
    turns[:, axis] = np.linspace(1 - np.sqrt(2), np.sqrt(2) - 1, _STARTS_PER_AXIS)
    best: FloatArray = min((frame @ turn for turn in rotations_of(turns)), key=fine.energy)
    best = minimise(fine, best, about=(axis,))
    return minimise(normals, best, _LAST_SOFTNESSES, about=(axis,))


def minimise(
    normals: Normals,
    rotation: FloatArray,
    softnesses: FloatArray = _SOFTNESSES,
    about: tuple[int, ...] = (0, 1, 2),
) -> FloatArray:
    """Move a (3, 3) rotation towards less energy, turning about these of its own axes only."""
    best, least = rotation, np.inf
    axes = np.array(about)
    for softness in (*softnesses, 0.0):
        components = to_frame(normals.directions, rotation)
        energy = _mean_length(components, normals.areas)
        if energy < least:
            best, least = rotation, energy
        if softness == 0:
            break
        hessian, gradient = _normal_equations(components, normals.areas, float(softness))
        matrix = hessian[np.ix_(axes, axes)] + 1e-9 * np.trace(hessian) * np.eye(len(axes))
        turn = np.zeros((1, 3))
        turn[0, axes] = -np.linalg.solve(matrix, gradient[axes]) / 2
        rotation = rotation @ rotations_of(turn)[0]
    return best


def _mean_length(components: FloatArray, areas: FloatArray) -> float:
    lengths = np.abs(components).sum(axis=1)
    return float((lengths * areas).sum() / areas.sum())


def _normal_equations(
    components: FloatArray, areas: FloatArray, softness: float
) -> tuple[FloatArray, FloatArray]:
    """Return Hessian (3, 3) and gradient (3,) of the weighted squares, by a small rotation.

    A rotation by the vector r changes the components m of a normal to m + m x r.
    """
    x, y, z = components.T
    u, v, w = (areas[:, None] / np.sqrt(components**2 + softness**2)).T
    xy, xz, yz = -(w * x * y).sum(), -(v * x * z).sum(), -(u * y * z).sum()
    hessian = np.array(
        [
            [(v * z * z + w * y * y).sum(), xy, xz],
            [xy, (u * z * z + w * x * x).sum(), yz],
            [xz, yz, (u * y * y + v * x * x).sum()],
        ]
    )
    gradient = [((v - w) * y * z).sum(), ((w - u) * x * z).sum(), ((u - v) * x * y).sum()]
    return hessian, np.array(gradient)


def _differ(one: FloatArray, other: FloatArray, degrees: float) -> bool:
    """Whether two rotations differ by more than an angle, whichever of their axes is which."""
    trace = float(np.trace(smallest_equivalent(one.T @ other)))
    return trace < 1 + 2 * math.cos(math.radians(degrees))
