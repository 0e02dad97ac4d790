"""Where a field has an inside, or an outside, that a surface has nowhere near.

A blob of it far from the surface costs a fit next to nothing: few samples are there, and the mean
over all of them hardly tells. No measure of volume does either; but it is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.geometry.lattice import index_grid

FloatArray: TypeAlias = npt.NDArray[np.float64]
Inside: TypeAlias = Callable[[FloatArray], npt.NDArray[np.bool_]]
Logits: TypeAlias = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

# Cells along the longest side of the box. A surface is near to those that it passes through, and to
# their neighbours.
_CELLS = 48

# A thorough search leaves out the neighbours of these, too: a fit that just deviates, as one of few
# bytes may by a cell, has not strayed.
_NEIGHBOURS_OF_THOROUGH = 2

# How far within a box of the field a point on its faces is, as a share of a cell's side.
_WITHIN = 1e-3

# So many of the cells whose logit is the least sure are looked at more closely, and the same number
# of their octants, and of these, until they have been cut so often: in a quick search, and in a
# thorough one, which takes twice as long.
_QUICK, _THOROUGH = (1024, 2), (4096, 3)

_OCTANTS = index_grid(np.full(3, 2)) - 0.5


class FarCells:
    """The cells of a box that a surface is nowhere near.

    Planes that prove the field's sign, as extraction has them, would find every blob; but they
    prove little before blocks are so small that it takes ten times as long, which is a tenth of a
    quick fit. A field is smooth: where it has a blob it is unsure some way around.

    Parameters
    ----------
    surface : (N, 3) float64
        Points all over the surface, some to each cell that it passes through.
    half_extents : (3,) float64
        Half sides of the box, whose middle is the origin.
    inside : callable
        Maps (N, 3) float64 points to (N,) bool: the side of the surface they are on.

    Attributes
    ----------
    spacing : float
        Side of a cell.
    """

    def __init__(self, surface: FloatArray, half_extents: FloatArray, inside: Inside) -> None:
        from scipy.ndimage import binary_dilation

        self.spacing = 2 * float(half_extents.max()) / _CELLS
        shape = np.ceil(2 * half_extents / self.spacing - 1e-9).astype(np.int64)
        near = np.zeros(shape, dtype=np.bool_)
        cells = np.floor(surface / self.spacing + shape / 2).astype(np.int64)
        near[tuple(np.clip(cells, 0, shape - 1).T)] = True
        neighbours = np.ones((3, 3, 3), dtype=np.bool_)
        far = ~binary_dilation(near, neighbours)
        self._centres = (np.argwhere(far) + 0.5 - shape / 2) * self.spacing
        self._are_farther = ~binary_dilation(near, neighbours, _NEIGHBOURS_OF_THOROUGH)[far]
        # No surface passes through a far cell, which is on one side as a whole.
        self._are_inside = inside(self._centres)

    def strays(
        self, logits: Logits, boxes: FloatArray, *, thorough: bool = False
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Find points of far cells that a field has on the wrong side of its surface.

        Parameters
        ----------
        logits : callable
            Maps (N, 3) float32 points to (N,) float32, positive inside.
        boxes : (C, 2, 3) float64
            Lowest and highest corners of the boxes in which the field is smooth. It is unlike
            anything on their faces, where blobs are cut off.
        thorough : bool
            Whether the smallest blobs are looked for, but not next to where the surface is near.

        Returns
        -------
        points : (M, 3) float64
            Fewer where the field is sure.
        are_inside : (M,) bool
            The side that they should be on.
        """
        count, cuts = _THOROUGH if thorough else _QUICK
        cells = np.flatnonzero(self._are_farther) if thorough else np.arange(len(self._centres))
        points, cells, low, high = self._first_points(cells, boxes)
        are_inside = self._are_inside[cells]
        spacing = self.spacing
        found, sides = [], []
        for cut in range(cuts + 1):
            values = logits(points.astype(np.float32))
            wrong = (values > 0) != are_inside
            found.append(points[wrong])
            sides.append(are_inside[wrong])
            if cut == cuts:
                break
            spacing /= 2
            sureness = np.where(are_inside, values, -values)
            least_sure = np.argsort(sureness, kind="stable")[:count]
            octants = points[least_sure][:, None] + spacing * _OCTANTS
            least_sure = np.repeat(least_sure, len(_OCTANTS))
            low, high, are_inside = low[least_sure], high[least_sure], are_inside[least_sure]
            points = np.clip(octants.reshape(-1, 3), low, high)
        return np.concatenate(found), np.concatenate(sides)

    def _first_points(
        self, cells: npt.NDArray[np.int64], boxes: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.int64], FloatArray, FloatArray]:
        """Return points to begin with, their cells, and corners that their octants do not leave.

        They are the cells' middles, and of cells that a face of a box passes through points just
        within the box, too.
        """
        points, owners = [self._centres[cells]], [cells]
        lows, highs = [np.full((len(cells), 3), -np.inf)], [np.full((len(cells), 3), np.inf)]
        for box in boxes:
            low, high = box[0] + _WITHIN * self.spacing, box[1] - _WITHIN * self.spacing
            apart = np.maximum(box[0] - self._centres[cells], self._centres[cells] - box[1])
            touching = cells[apart.max(axis=1) < self.spacing / 2]
            for axis, face in ((axis, face) for axis in range(3) for face in (low, high)):
                at = touching[
                    np.abs(self._centres[touching, axis] - face[axis]) <= self.spacing / 2
                ]
                on_face = np.clip(self._centres[at], low, high)
                on_face[:, axis] = face[axis]
                points.append(on_face)
                owners.append(at)
                lows.append(np.broadcast_to(low, on_face.shape))
                highs.append(np.broadcast_to(high, on_face.shape))
        return (
            np.concatenate(points),
            np.concatenate(owners),
            np.concatenate(lows),
            np.concatenate(highs),
        )
