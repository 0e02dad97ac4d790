"""Make doh3d/codec/entropy_tables.npz, the integer frequency tables of the entropy coder.

The shipped file is part of the format and must never change for a released version: run this
only to add a new table set under a new version.

    python scripts/make_entropy_tables.py OUTPUT.npz
"""

import sys

import numpy as np
from scipy.special import gammainc, gammaln

SHAPES = (0.75, 1.0, 1.5, 2.0)
SCALE_COUNT = 64
RADIUS = 128
TOTAL = 2**24


def cumulative(x: np.ndarray, shape: float, deviation: float) -> np.ndarray:
    """P(0 <= X <= x) of a generalised Gaussian with that shape and standard deviation."""
    alpha = deviation * np.exp((gammaln(1 / shape) - gammaln(3 / shape)) / 2)
    return 0.5 * gammainc(1 / shape, (x / alpha) ** shape)


def table(shape: float, deviation: float) -> np.ndarray:
    """Frequencies of |v| = 0, 1, ..., 127 and of an escape beyond, each for one sign.

    Integers >= 1 with f[0] + 2 sum(f[1:]) = 2^24.
    """
    edges = np.arange(RADIUS) + 0.5
    below = cumulative(edges, shape, deviation)
    one_sided = np.concatenate([np.diff(below), [0.5 - below[-1]]])
    frequencies = np.maximum(1, np.floor(one_sided * TOTAL)).astype(np.int64)
    centre = TOTAL - 2 * int(frequencies.sum())
    return np.concatenate([[centre], frequencies]).astype(np.uint32)


def main() -> None:
    """Write the tables to the path given."""
    tables = np.stack(
        [
            np.stack([table(shape, 2.0 ** (index / 8 - 4)) for index in range(SCALE_COUNT)])
            for shape in SHAPES
        ]
    )
    assert tables.shape == (len(SHAPES), SCALE_COUNT, RADIUS + 1)
    assert (tables >= 1).all()
    assert (tables[..., 0] + 2 * tables[..., 1:].sum(axis=-1, dtype=np.int64) == TOTAL).all()
    np.savez_compressed(sys.argv[1], frequencies=tables)


if __name__ == "__main__":
    main()
