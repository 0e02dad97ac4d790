"""What a mesh encloses, by points all over its box: how much, how clearly, and who agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from doh3d.geometry.clarity import unclear_share
from doh3d.geometry.judge import UNDECIDED, Judge
from doh3d.geometry.occupancy import InsideTest
from doh3d.geometry.stratified import cell_points

if TYPE_CHECKING:
    import trimesh

# Cells along each side of the box: where the file's faces are closed and were left as they are,
# where they were not, and where few points of the box are enclosed.
_FEW_CELLS = 40
_CELLS = 64
_MOST_CELLS = 128

# With fewer points inside, shares of them are noise.
_ENOUGH_INSIDE = 500

# Triangles that may be looked at for all points; with more of them fewer points are taken.
_MOST_WORK = 1 << 27


@dataclass(frozen=True)
class Survey:
    """Shares of what a mesh encloses, as measured on points spread evenly over its box.

    Attributes
    ----------
    fill : float
        Share of the box that is enclosed.
    unclear : float
        Share of what is enclosed, or nearly, where the winding number is close to one half, or
        well below zero.
    overlap : float
        Share of what is enclosed that lies in more than one body.
    undecided : float
        Points on which the judge's two tests disagree, as a share of these and of those that it
        has inside.
    difference : float
        Points on which the judge and the repaired mesh differ, as a share of those that the judge
        has inside; undecided ones left out. It may be more than 1.
    """

    fill: float
    unclear: float
    overlap: float
    undecided: float
    difference: float

    @classmethod
    def of(
        cls, mesh: trimesh.Trimesh, inside: InsideTest, judge: Judge, *, untouched: bool
    ) -> Survey:
        """Survey a repaired mesh, and its judge beside it.

        Parameters
        ----------
        mesh : trimesh.Trimesh
            Repaired, in any units.
        inside : InsideTest
            The mesh's own, reproducible one.
        judge : Judge
            Of the file's own faces.
        untouched : bool
            Whether these are the repaired mesh's, so that less can be expected to be found.
        """
        low, high = np.asarray(mesh.bounds, dtype=np.float64)
        affordable = int(np.cbrt(_MOST_WORK / max(inside.work, 1.0)))
        for cells in (_FEW_CELLS if untouched else _CELLS, _MOST_CELLS):
            side = max(min(cells, affordable), 1)
            points = list(cell_points(low, high, side, seed=0))
            windings = [inside.winding_numbers(p) for p in points]
            winding = np.concatenate(windings)
            enclosed = int((winding > 0.5).sum())
            if enclosed >= _ENOUGH_INSIDE or side == affordable:
                break
        shared = judge.asks(inside)
        verdict = np.concatenate(
            [judge(p, w if shared else None) for p, w in zip(points, windings, strict=True)]
        )
        undecided, judged = verdict == UNDECIDED, verdict == 1
        differing = ~undecided & (judged != (winding > 0.5))
        return cls(
            fill=enclosed / len(winding),
            unclear=unclear_share(winding),
            overlap=float((winding > 1.5).sum() / max(enclosed, 1)),
            undecided=float(undecided.sum() / max(int((judged | undecided).sum()), 1)),
            difference=float(differing.sum() / max(int(judged.sum()), 1)),
        )
