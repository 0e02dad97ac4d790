"""What a fit's networks give on its own samples: whether they are sound, and how much they err."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from doh3d.fitting.config import FitConfig
from doh3d.fitting.losses import LOSSES, TOLERATED_ERROR
from doh3d.fitting.parameters import Parameters, to_numpy
from doh3d.fitting.pool import EncodedPools
from doh3d.hypernetwork.target import target_forward

# Numbers of so many bits or more, rounded one by one, leave an error below twice what it was
# before. What coarser steps add grows with the step.
_USUAL_BITS = 6

# Points on which a finished fit is checked for having become constant, and on which its error is
# measured, before rounding and after it: fewer tell that one error is twice the other.
_CHECK_POINTS, _ERROR_POINTS = 2**16, 2**14


class Judgement:
    """Judges the networks of S signals by the first of their samples.

    Parameters
    ----------
    config : FitConfig
    parameters : Parameters
    pools : EncodedPools
    """

    def __init__(self, config: FitConfig, parameters: Parameters, pools: EncodedPools) -> None:
        self._config, self._parameters, self._pools = config, parameters, pools
        self._loss = LOSSES[config.loss]
        self._cells = config.architecture.cells

    @torch.no_grad()
    def are_sound(self) -> list[bool]:
        """Whether each signal, quantised, tells something of its samples; see `Loss.is_sound`."""
        ends = self._outputs(self._config.latent, _CHECK_POINTS)
        return [self._loss.is_sound(*each) for each in ends]

    @torch.no_grad()
    def errors(self, fixed: int) -> npt.NDArray[np.float64]:
        """(S,) errors with the latents' first `fixed` numbers rounded; see `Loss.error`."""
        shares = self._pools.shares.view(-1, self._cells)
        means = [
            self._loss.error(*each).mean(dim=(1, 2)) for each in self._outputs(fixed, _ERROR_POINTS)
        ]
        errors = (torch.stack(means) * shares).sum(dim=1)
        return to_numpy(errors).astype(np.float64)

    def are_spoilt(
        self, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """(S,) whether rounding has brought errors far above what it usually does."""
        factor = 1 + 2.0 ** max(0, _USUAL_BITS - self._config.bits)
        spoilt: npt.NDArray[np.bool_] = after > factor * before + TOLERATED_ERROR
        return spoilt

    def _outputs(self, fixed: int, points: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Each signal's (C, N, out_dim) outputs for its first samples, C N points, and values."""
        parameters, architecture = self._parameters, self._config.architecture
        weights = parameters.networks(*parameters.rounded(fixed))
        features = self._pools.features[:, : points // self._cells]
        for first in range(0, len(features), self._cells):
            own = slice(first, first + self._cells)
            outputs = [
                target_forward(architecture, weights.of_cell(first + cell), rows)
                for cell, rows in enumerate(features[own])
            ]
            yield torch.stack(outputs), self._pools.values[own, : features.shape[1]]
