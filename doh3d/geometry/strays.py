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
        far = ~binary_dilation(near, np.ones((3, 3, 3), dtype=np.bool_))
        self._centres = (np.argwhere(far) + 0.5 - shape / 2) * self.spacing
        # No surface passes through a far cell, which is on one side as a whole.
        self._are_inside = inside(self._centres)

    def strays(
        self, logits: Logits, *, thorough: bool = False
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Find points of far cells that a field has on the wrong side of its surface.

        Parameters
        ----------
        logits : callable
            Maps (N, 3) float32 points to (N,) float32, positive inside.
        thorough : bool
            Whether the smallest blobs are looked for.

        Returns
        -------
        points : (M, 3) float64
            Fewer where the field is sure.
        are_inside : (M,) bool
            The side that they should be on.
        """
        count, cuts = _THOROUGH if thorough else _QUICK
        points, are_inside, spacing = self._centres, self._are_inside, self.spacing
        found, sides = [], []
        for cut in range(cuts + 1):
            values = logits(points.astype(np.float32))
            wrong = (values > 0) != are_inside
            found.append(points[wrong])
            sides.append(are_inside[wrong])
            if cut == cuts:
                break
            sureness = np.where(are_inside, values, -values)
            least_sure = np.argsort(sureness, kind="stable")[:count]
            spacing /= 2
            points = (points[least_sure][:, None] + spacing * _OCTANTS).reshape(-1, 3)
            are_inside = np.repeat(are_inside[least_sure], len(_OCTANTS))
        return np.concatenate(found), np.concatenate(sides)
