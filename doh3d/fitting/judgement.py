"""What a fit's networks give on its own samples: whether they are sound, and how much they err."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from doh3d.fitting.config import FitConfig
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.losses import LOSSES, TOLERATED_ERROR
from doh3d.fitting.parameters import Parameters
from doh3d.fitting.pool import EncodedPools
from doh3d.fitting.rounding import Rounded

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
    networks : TargetBackward
    """

    def __init__(
        self,
        config: FitConfig,
        parameters: Parameters,
        pools: EncodedPools,
        networks: TargetBackward,
    ) -> None:
        self._config, self._parameters, self._pools = config, parameters, pools
        self._networks = networks
        self._loss = LOSSES[config.loss]
        self._cells = config.architecture.cells

    @torch.no_grad()
    def are_sound(self) -> list[bool]:
        """Whether each signal, quantised, tells something of its samples; see `Loss.is_sound`."""
        outputs, values = self._outputs(self._parameters.all_rounded(), _CHECK_POINTS)
        each = zip(outputs.split(self._cells), values.split(self._cells), strict=True)
        return [self._loss.is_sound(*own) for own in each]

    @torch.no_grad()
    def errors(self, rounded: tuple[Rounded, Rounded]) -> torch.Tensor:
        """(S,) float32 errors of latents and biases as they are rounded; see `Loss.error`."""
        means = self._loss.error(*self._outputs(rounded, _ERROR_POINTS)).mean(dim=(1, 2))
        shares = self._pools.shares.view(-1, self._cells)
        return (means.view_as(shares) * shares).sum(dim=1)

    def are_spoilt(
        self, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """(S,) whether rounding has brought errors far above what it usually does."""
        factor = 1 + 2.0 ** max(0, _USUAL_BITS - self._config.bits)
        spoilt: npt.NDArray[np.bool_] = after > factor * before + TOLERATED_ERROR
        return spoilt

    def _outputs(
        self, rounded: tuple[Rounded, Rounded], points: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(K, N, out_dim) outputs for the networks' first samples, and values; C N are `points`."""
        networks = self._parameters.networks(*rounded)
        some = slice(points // self._cells)
        outputs = self._networks.evaluate(networks, self._pools.features[:, some])
        return outputs, self._pools.values[:, some]
