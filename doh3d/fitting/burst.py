"""What notices that a fit's steps have grown too long: its loss rises, and does not come back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from doh3d.fitting.checkpoint import State

# The loss is smoothed by the median of so many reports: one batch alone may be a hard one, and a
# loss that comes back within a report has done no harm.
_SMOOTHED_REPORTS = 3

# A fit is healthy whose loss has risen by less than this share of the rise that is a burst.
_HEALTHY_SHARE = 0.5


class BurstWatch:
    """Tells from the losses that S fits report which of them are in a burst, and which are healthy.

    The lowest smoothed loss is what a fit has shown that it can reach.

    Parameters
    ----------
    signals : int
        S.
    factor : float
        A burst is a smoothed loss above so many times the lowest.
    """

    def __init__(self, signals: int, factor: float) -> None:
        self._factor = factor
        self._recent = np.full((_SMOOTHED_REPORTS, signals), np.nan)
        self._lowest = np.full(signals, np.inf)

    def see(self, losses: Sequence[float]) -> None:
        """Take the S losses of one more report."""
        self._recent = np.vstack([self._recent[1:], losses])
        self._lowest = np.fmin(self._lowest, self._smoothed)

    @property
    def in_burst(self) -> npt.NDArray[np.bool_]:
        """(S,) whether each smoothed loss is far above its lowest."""
        return self._smoothed > self._factor * self._lowest

    @property
    def spoilt(self) -> npt.NDArray[np.bool_]:
        """(S,) whether each smoothed loss is further above its lowest than rounding raises it."""
        return self._smoothed > self._factor**2 * self._lowest

    @property
    def healthy(self) -> npt.NDArray[np.bool_]:
        """(S,) whether the last and the smoothed loss are near the lowest; so they are at first."""
        limit = (1 + _HEALTHY_SHARE * (self._factor - 1)) * self._lowest
        risen: npt.NDArray[np.bool_] = (self._smoothed > limit) | (self._recent[-1] > limit)
        return ~risen

    @property
    def _smoothed(self) -> npt.NDArray[np.float64]:
        """(S,) medians of the last losses; NaN before there are as many as it takes."""
        medians: npt.NDArray[np.float64] = np.median(self._recent, axis=0)
        return medians

    def state(self) -> State:
        """Return what is carried on, as arrays for a checkpoint."""
        return {"recent losses": self._recent.copy(), "lowest losses": self._lowest.copy()}

    def restore(self, state: State) -> None:
        """Go back to where `state` was taken."""
        self._recent, self._lowest = state["recent losses"].copy(), state["lowest losses"].copy()
