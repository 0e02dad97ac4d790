"""Philox4x32-10, the counter-based generator behind everything random in a file.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

Library generators promise no stable streams across versions and devices, so no decoder may
depend on them. This one is integer arithmetic only: a word is a pure function of
(seed, layer, stream, position), and it can be read from any position.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = 0x9E3779B9
_WEYL_1 = 0xBB67AE85
_MASK = 0xFFFFFFFF
_ROUNDS = 10


class Stream(IntEnum):
    """What a word is drawn for; each use has its own sequence."""

    INPUT_SIGNS = 0
    PERMUTATION = 1
    OUTPUT_SIGNS = 2
    DENSE_SIGNS = 3


def philox4x32(counter: npt.NDArray[np.uint32], key: tuple[int, int]) -> npt.NDArray[np.uint32]:
    """Encrypt counters with ten Philox4x32 rounds.

    Parameters
    ----------
    counter : (N, 4) uint32
        One 128-bit counter a row, least significant word first.
    key : two integers in [0, 2^32)

    Returns
    -------
    (N, 4) uint32
        Four random words for each counter.
    """
    x0, x1, x2, x3 = (counter[:, i].astype(np.uint64) for i in range(4))
    key_0, key_1 = key
    mask = np.uint64(_MASK)
    shift = np.uint64(32)
    for _ in range(_ROUNDS):
        product_0 = x0 * _MULTIPLIER_0
        product_1 = x2 * _MULTIPLIER_1
        x0 = (product_1 >> shift) ^ x1 ^ np.uint64(key_0)
        x1 = product_1 & mask
        x2 = (product_0 >> shift) ^ x3 ^ np.uint64(key_1)
        x3 = product_0 & mask
        key_0 = (key_0 + _WEYL_0) & _MASK
        key_1 = (key_1 + _WEYL_1) & _MASK
    return np.stack([x0, x1, x2, x3], axis=1).astype(np.uint32)


def random_words(
    seed: int, layer: int, stream: Stream, start: int, count: int
) -> npt.NDArray[np.uint32]:
    """Words `start` to `start + count` of the sequence (seed, layer, stream).

    Word i is output i mod 4 of the counter (i // 4 low, i // 4 high, layer, stream) under the
    key (seed, 0).

    Returns
    -------
    (count,) uint32
    """
    first = start // 4
    last = -(-(start + count) // 4)
    index = np.arange(first, last, dtype=np.uint64)
    counter = np.empty((len(index), 4), dtype=np.uint32)
    counter[:, 0] = index & np.uint64(_MASK)
    counter[:, 1] = index >> np.uint64(32)
    counter[:, 2] = layer
    counter[:, 3] = int(stream)
    words = philox4x32(counter, (seed, 0)).reshape(-1)
    return words[start - 4 * first :][:count]


def random_signs(
    seed: int, layer: int, stream: Stream, start: int, count: int
) -> npt.NDArray[np.int8]:
    """Signs `start` to `start + count`: sign i is -1 where bit i mod 32 of word i // 32 is set.

    Returns
    -------
    (count,) int8
        Each -1 or +1.
    """
    first = start // 32
    last = -(-(start + count) // 32)
    words = random_words(seed, layer, stream, first, last - first)
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    offset = start - 32 * first
    return (1 - 2 * bits[offset : offset + count].astype(np.int8)).astype(np.int8)
