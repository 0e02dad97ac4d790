"""What a fit is fitted to: points and the values that a signal has there."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Samples(Protocol):
    """Points of a signal in random order: every contiguous slice is an unbiased batch."""

    @property
    def points(self) -> npt.NDArray[np.float32]:
        """(N, in_dim) float32 in [-1, 1]."""

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """(N, out_dim) float32: what the network should give at each point."""

    def __len__(self) -> int:
        """Return the number of points."""
