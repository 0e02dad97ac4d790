"""Extraction with nothing left out: what `doh3d.geometry.extraction` must agree with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doh3d.geometry.lattice import index_grid
from doh3d.geometry.search import LatticeField
from doh3d.geometry.surface import SlabMesher, closed_values


def dense_values(field: LatticeField) -> npt.NDArray[np.float32]:
    """Evaluate every node: (x, y, z) float32, the shape of the field."""
    values = np.empty(field.shape, dtype=np.float32)
    plane = index_grid(np.array([1, *field.shape[1:]]))
    for i in range(field.shape[0]):
        values[i] = field.logits(plane + np.array([i, 0, 0])).reshape(field.shape[1:])
    return values


def dense_surface(
    values: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Mesh the values of all nodes at once; vertices and faces as `extract` gives them."""
    at_box = np.ones(values.shape, dtype=np.bool_)
    at_box[1:-1, 1:-1, 1:-1] = False
    values = closed_values(values, at_box)
    mesher = SlabMesher()
    mesher.add(values, np.ones(np.array(values.shape) - 1, dtype=np.bool_), np.zeros(3, dtype=int))
    return mesher.mesh()
