"""Long triangles in pieces that a tree of boxes can sort."""

from __future__ import annotations

import numpy as np

from doh3d.geometry.repair import FloatArray, IntArray

# Edges, of a surface about 2 long, that triangles are cut down to one after the other, as long as
# the pieces stay few enough.
_SHORT_EDGES = (0.4, 0.2, 0.1)
_MOST_PIECES = 400_000


def in_pieces(corners: FloatArray) -> tuple[FloatArray, IntArray]:
    """Split long triangles: the same surface, in pieces.

    The boxes around long triangles, as CAD parts have them, overlap all over the shape; among
    pieces a tree finds its way several times faster. Halving the longest edge cuts slivers along
    their length only. Pieces need not meet corner to corner.

    Parameters
    ----------
    corners : (F, 3, 3) float64
        The longest side of them all is about 2.

    Returns
    -------
    pieces : (P, 3, 3) float64
        The triangles themselves, in order, where none is long.
    whole : (P,) int64
        The triangle that each is a piece of.
    """
    most = _MOST_PIECES + 2 * len(corners)
    pieces, whole = corners, np.arange(len(corners))
    if not (_lengths(corners) > min(_SHORT_EDGES)).any():
        return pieces, whole
    for edge in _SHORT_EDGES:
        finer = _bisected(pieces, whole, edge, most)
        if finer is None:
            break
        pieces, whole = finer
    return pieces, whole


def _bisected(
    corners: FloatArray, whole: IntArray, edge: float, most: int
) -> tuple[FloatArray, IntArray] | None:
    """Halve (F, 3, 3) triangles until no edge is longer, or return None beyond `most` pieces."""
    done: list[FloatArray] = []
    done_whole: list[IntArray] = []
    count = 0
    while True:
        lengths = _lengths(corners)
        long = lengths.max(axis=1) > edge
        done.append(corners[~long])
        done_whole.append(whole[~long])
        count += len(done[-1])
        if not long.any():
            return np.concatenate(done), np.concatenate(done_whole)
        if count + 2 * int(long.sum()) > most:
            return None
        # Turned so that the longest edge is the first.
        turn = (lengths[long].argmax(axis=1)[:, None] + np.arange(3)) % 3
        a, b, c = np.take_along_axis(corners[long], turn[:, :, None], axis=1).transpose(1, 0, 2)
        middle = (a + b) / 2
        corners = np.concatenate(
            [np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)]
        )
        whole = np.tile(whole[long], 2)


def _lengths(corners: FloatArray) -> FloatArray:
    """Measure the (F, 3) edges of (F, 3, 3) triangles, each from the corner of its number."""
    lengths: FloatArray = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    return lengths
