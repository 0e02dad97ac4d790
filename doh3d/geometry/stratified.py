"""Points spread evenly over a box: one in each cell of a division."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from doh3d.geometry.repair import FloatArray

# Points at a time: some 3 MB of coordinates, so that memory stays bounded for any number and an
# inside test still has enough to spread over its threads.
CHUNK_POINTS = 2**17


def cell_points(
    low: FloatArray, high: FloatArray, side: int, seed: int | None
) -> Iterator[FloatArray]:
    """Yield one point of each of side^3 cells: a uniform one, or its centre where seed is None."""
    rng = None if seed is None else np.random.default_rng(seed)
    cell_size = (high - low) / side
    for start in range(0, side**3, CHUNK_POINTS):
        index = np.arange(start, min(start + CHUNK_POINTS, side**3))
        cell = np.stack(np.unravel_index(index, (side, side, side)), axis=1)
        within = 0.5 if rng is None else rng.random((len(index), 3))
        yield low + (cell + within) * cell_size
