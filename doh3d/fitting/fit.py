"""The fit of one signal's latent and biases."""

from __future__ import annotations

import logging
import time

import torch

from doh3d.errors import Doh3dError
from doh3d.fitting.checkpoint import Work
from doh3d.fitting.config import FitConfig
from doh3d.fitting.losses import LOSSES
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.results import FitResult, ProgressFunction
from doh3d.fitting.signal import Samples
from doh3d.fitting.strays import StraySearch
from doh3d.thread_team import team_of_all_threads

_log = logging.getLogger(__name__)

_RETRIES = 3
_RETRY_FACTOR = 0.3


def fit_latent(
    samples: Samples,
    config: FitConfig,
    *,
    device: torch.device,
    payload_bits: float | None = None,
    progress: ProgressFunction | None = None,
    work: Work | None = None,
    search: StraySearch | None = None,
) -> FitResult:
    """Optimise a latent and biases so that the target network gives the samples' values.

    A fit that ends no better than a constant, or whose loss is not finite, is repeated at a lower
    learning rate. So is, once, one that ends far worse than it was on its way; a warning says where
    that does not help.

    Parameters
    ----------
    samples : Samples
    config : FitConfig
    device : torch.device
    payload_bits : float, optional
        Bits that latent and biases are to take in the file: the quantisation step and the rate
        weight are moved until they do, see `SizeControl`.
    progress : callable, optional
        Called every 50 steps.
    work : Work, optional
        The fit goes on where its checkpoint was written, if one was, and writes others; the result
        is the same.
    search : StraySearch, optional
        For places where the field has strayed, where samples are put on the way.

    Raises
    ------
    Doh3dError
        If every repetition diverged too.
    """
    rates = [config.learning_rate * _RETRY_FACTOR**retry for retry in range(1 + _RETRIES)]
    network = config.architecture
    _log.info(
        "fitting %d latents, %d bits, a network of %d x %d, in %d steps on %s",
        *(config.latent, config.bits, network.depth, network.width, config.steps, device),
    )
    searches = () if search is None else (search,)
    started = time.perf_counter()
    for rate in rates:
        with team_of_all_threads() as team:
            optimisation = Optimisation(
                [samples], config, rate, device, team=team, searches=searches
            )
            fitted = _is_fitted(optimisation, payload_bits, progress, work)
            worsened = fitted and optimisation.worsened[0]
            if fitted and not (worsened and rate == rates[0]):
                if worsened:
                    _log.warning("the fit ended far worse than it was on its way; use more bits")
                _log.info("fitted in %.1f s", time.perf_counter() - started)
                return optimisation.results()[0]
        what = "ended far worse than it was on its way" if worsened else "diverged"
        _log.warning("the fit %s at learning rate %.2g; trying a lower one", what, rate)
    tried = ", ".join(f"{rate:.2g}" for rate in rates)
    raise Doh3dError(
        f"the fit became {LOSSES[config.loss].failure} at learning rates {tried}: "
        "use a longer latent or more bits"
    )


def _is_fitted(
    optimisation: Optimisation,
    payload_bits: float | None,
    progress: ProgressFunction | None,
    work: Work | None,
) -> bool:
    """Run one signal's optimisation, from its checkpoint if there is one; whether it is sound."""
    saved = work.ongoing(optimisation.state()) if work is not None else None
    if saved is not None and saved["learning_rate"] < optimisation.learning_rate:
        # A checkpoint at a lower rate says that this one has diverged before.
        return False
    if saved is not None and saved["learning_rate"] == optimisation.learning_rate:
        _log.info("going on from the checkpoint")
        optimisation.restore(saved)
    bits = None if payload_bits is None else [payload_bits]
    return optimisation.run(progress, payload_bits=bits, work=work)[0]
