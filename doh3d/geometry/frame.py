"""The frame in which a shape is fitted: the rotation in which it is expected to err least.

The encoding is octaves along the axes, so that flat faces along the axes cost least, and a plane
about which the shape is its own mirror image halves what is to be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.geometry.alignment import Normals, aligned_about, aligned_rotations
from doh3d.geometry.rotation import NO_FRAME, Frame, nearest_frame, rotation_matrix, to_frame
from doh3d.geometry.symmetry import Inside, Moments, mirrored_axes

if TYPE_CHECKING:
    import trimesh

FloatArray: TypeAlias = npt.NDArray[np.float64]

# The logarithm of the error, as far as the rotation decides it, is about
# 0.5 log(energy - 0.9) - 0.35 for each mirror plane.
_ENERGY_WEIGHT, _LEAST_ENERGY, _MIRROR_WEIGHT = 0.5, 0.9, 0.35

# A frame is taken where it is expected to lower the error by this share at least. Scans of
# natural shapes would gain 0.06 by the best of their frames, a CAD part that is turned 0.1 or more.
_LEAST_GAIN = 0.08

# Cosine above which two axes are the same.
_SAME = 1 - 1e-6


def find_frame(mesh: trimesh.Trimesh, inside: Inside) -> Frame:
    """Find the frame in which a shape is expected to err least.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        Repaired and normalised, along its own axes.
    inside : function
        Whether (N, 3) points are inside of it, (N,) bool. It is asked only where moments leave
        open which mirror planes there are, and where that matters.

    Returns
    -------
    three integers
        As `doh3d.geometry.rotation.rotation_matrix` reads them: 0, 0, 0 where no other frame is
        clearly better than the mesh's own axes.
    """
    return _Search(mesh, inside).run()


@dataclass(frozen=True)
class _Candidate:
    """A frame, and the axes along which the shape may be its own mirror image."""

    frame: Frame
    energy: float
    mirrored: tuple[int, ...]

    @property
    def log_error(self) -> float:
        """Expected logarithm of the error, but for a constant."""
        excess = math.log(self.energy - _LEAST_ENERGY)
        return _ENERGY_WEIGHT * excess - _MIRROR_WEIGHT * len(self.mirrored)


def _order(candidate: _Candidate) -> tuple[float, Frame]:
    """Least error first; of equal ones the order must not be that of a set."""
    return candidate.log_error, candidate.frame


class _Search:
    def __init__(self, mesh: trimesh.Trimesh, inside: Inside) -> None:
        self._points, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
        self._inside = inside
        self._normals = Normals.of(self._points, faces)
        self._moments = Moments.of(self._points, faces)

    def run(self) -> Frame:
        own = self._candidate(NO_FRAME)
        frames = {nearest_frame(rotation) for rotation in self._rotations()} - {NO_FRAME}
        candidates = sorted((self._candidate(frame) for frame in frames), key=_order)
        unmirrored = replace(own, mirrored=())
        if candidates and candidates[0].log_error < unmirrored.log_error - _LEAST_GAIN:
            own = replace(own, mirrored=self._planes(NO_FRAME, own.mirrored))
        best, most = own, own.log_error - _LEAST_GAIN
        for candidate in candidates:
            if candidate.log_error < most:
                proved = self._proved(candidate, own)
                if proved.log_error < most:
                    best, most = proved, proved.log_error
        return best.frame

    def _rotations(self) -> list[FloatArray]:
        rotations = aligned_rotations(self._normals)
        inertia = self._moments.principal_frame()
        for axis in self._moments.may_be_mirrored(inertia):
            rotations.append(aligned_about(self._normals, inertia, axis))
        return [*rotations, inertia]

    def _candidate(self, frame: Frame) -> _Candidate:
        rotation = rotation_matrix(frame)
        mirrored = self._moments.may_be_mirrored(rotation)
        return _Candidate(frame, self._normals.energy(rotation), mirrored)

    def _proved(self, candidate: _Candidate, own: _Candidate) -> _Candidate:
        """Keep of a candidate's mirror planes those about which the inside is mirrored.

        Those that the mesh's own axes have too are judged once: a frame is not better for them.
        """
        cosines = np.abs(rotation_matrix(candidate.frame))
        same = {a: int(cosines[:, a].argmax()) for a in range(3) if cosines[:, a].max() > _SAME}
        others = tuple(axis for axis in candidate.mirrored if axis not in same)
        mirrored = self._planes(candidate.frame, others) if others else ()
        shared = tuple(axis for axis in candidate.mirrored if same.get(axis) in own.mirrored)
        return replace(candidate, mirrored=mirrored + shared)

    def _planes(self, frame: Frame, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Find the axes of a frame, among these, along which the inside is mirrored."""
        rotation = rotation_matrix(frame)
        points = to_frame(self._points, rotation)
        low, high = points.min(axis=0), points.max(axis=0)
        middle = (low + high) / 2
        return mirrored_axes(
            lambda points: self._inside(to_frame(points + middle, rotation.T)),
            np.stack([low - middle, high - middle]),
            axes,
            clearly=True,
        )
