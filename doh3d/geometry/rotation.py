"""Rotations that a file names by three integers, equal on every machine."""

from __future__ import annotations

from itertools import permutations, product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
Frame: TypeAlias = tuple[int, int, int]

NO_FRAME: Frame = (0, 0, 0)

# What stands for 1 in a frame's numbers: steps of 0.00003 rad.
_UNIT = 2**16

# Whatever the rotation, one of the 24 that differ from it by which axis is which has a Rodrigues
# vector with no component beyond tan(pi / 8) = sqrt(2) - 1.
LARGEST_COMPONENT = 27146


def _cube_rotations() -> FloatArray:
    """(24, 3, 3) rotations that map the axes to one another."""
    rotations = []
    for axes in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), axes] = signs
            if np.linalg.det(matrix) > 0:
                rotations.append(matrix)
    return np.array(rotations)


_CUBE_ROTATIONS = _cube_rotations()


def rotation_matrix(frame: Frame) -> FloatArray:
    """(3, 3) rotation from a frame's coordinates to the axes that it is named in.

    The frame is the Rodrigues vector (the axis times the tangent of half the angle) in steps of
    2^-16. Numerators and denominators are integers below 2^53, so that each number of the matrix
    is rounded once, by its division, and is the same on every machine.
    """
    x, y, z = frame
    w = _UNIT
    numerators = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    return np.array(numerators, dtype=np.float64) / float(w * w + x * x + y * y + z * z)


def nearest_frame(rotation: FloatArray) -> Frame:
    """Name a (3, 3) rotation, but for which of its axes is which, by the nearest frame."""
    x, y, z = np.rint(_UNIT * rodrigues_vector(smallest_equivalent(rotation))).astype(int).tolist()
    return x, y, z


def smallest_equivalent(rotation: FloatArray) -> FloatArray:
    """Exchange the axes of a (3, 3) rotation so that it turns by the smallest angle."""
    equivalents = rotation @ _CUBE_ROTATIONS
    traces = np.trace(equivalents, axis1=1, axis2=2)
    best: FloatArray = equivalents[int(np.argmax(traces))]
    return best


def rodrigues_vector(rotation: FloatArray) -> FloatArray:
    """(3,) axis of a rotation by less than half a turn, times the tangent of half its angle."""
    skew = rotation - rotation.T
    vector: FloatArray = np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / (1 + np.trace(rotation))
    return vector


def rotations_of(vectors: FloatArray) -> FloatArray:
    """(N, 3, 3) rotations whose Rodrigues vectors are (N, 3)."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    square = (vectors**2).sum(axis=1)[:, None, None]
    outer = vectors[:, :, None] * vectors[:, None, :]
    rotations: FloatArray = ((1 - square) * np.eye(3) + 2 * outer + 2 * cross) / (1 + square)
    return rotations


def to_frame(points: FloatArray, rotation: FloatArray) -> FloatArray:
    """Return the coordinates along the columns of a rotation, of (N, 3) points."""
    # No product of matrices: how a library splits it depends on the number of threads.
    coordinates: FloatArray = np.einsum("ni,ij->nj", points, rotation)
    return coordinates
