"""The optimisation of latents and biases, step by step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from doh3d.fitting.batches import batches_of
from doh3d.fitting.burst import BurstWatch
from doh3d.fitting.checkpoint import State, Work
from doh3d.fitting.config import FitConfig
from doh3d.fitting.descent import LatentDescent
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.judgement import Judgement
from doh3d.fitting.losses import LOSSES
from doh3d.fitting.parameters import Parameters, to_numpy
from doh3d.fitting.pool import EncodedPools, Pool
from doh3d.fitting.results import FitProgress, FitResult, ProgressFunction
from doh3d.fitting.schedule import rounded_count
from doh3d.fitting.signal import Samples
from doh3d.fitting.size_control import SizeControl
from doh3d.fitting.step import Step
from doh3d.fitting.strays import StrayRows, StraySearch
from doh3d.hypernetwork.projection import Projection
from doh3d.thread_team import ThreadTeam

_log = logging.getLogger(__name__)

# Steps between progress reports and checkpoints, which wait for the device.
REPORT_INTERVAL = 50

# A fit goes back from a burst so often at most. An eighth of the rate makes none any more: what
# raises the loss then is something else, and the fit goes on.
_MOST_RETURNS = 4


class Optimisation:
    """Descent on the latents and biases of S signals with a one-cycle rate, at one peak rate.

    Each signal has a latent of its own and C networks, one for each cell of its domain, so that
    there are K = S C. A step of a small fit is some three hundred operations on a few thousand
    numbers, whose calls take longer than their arithmetic: one call serves all signals. They share
    the seed and with it the projection, so that their weights are one transform; networks, metrics
    and conjugate gradients are batched products. No number of one signal enters another's.

    Parameters
    ----------
    samples : S Samples
        Those of a signal alone may be of any length; several are cut to the shortest.
    config : FitConfig, or S of them
        They may differ in where their cells lie, and in nothing else.
    learning_rate : float
        At its peak.
    device : torch.device
    projection : Projection, optional
        The configuration's unless another is given, with the descent for it; of one signal.
    descent : type
    team : ThreadTeam, optional
    searches : S StraySearch, optional
        For places where the signals' fields have strayed, where samples are put on the way.

    Attributes
    ----------
    parameters : Parameters
    sizes : SizeControl
    worsened : list of S bool
        Whether a signal that has come to its end errs far more than it did before it was rounded,
        or its loss is far above the lowest that it has had.
    pools : EncodedPools
    batch_size : int
        Samples of each network in a step.
    """

    def __init__(
        self,
        samples: Sequence[Samples],
        config: FitConfig | Sequence[FitConfig],
        learning_rate: float,
        device: torch.device,
        projection: Projection | None = None,
        descent: type[LatentDescent] = LatentDescent,
        team: ThreadTeam | None = None,
        searches: Sequence[StraySearch] = (),
    ) -> None:
        configs = [config] * len(samples) if isinstance(config, FitConfig) else list(config)
        self.config = config = configs[0]
        self.learning_rate = learning_rate
        self._signals, self._cells = len(samples), config.architecture.cells
        self._loss = LOSSES[config.loss]
        self.sizes = SizeControl(config, self._signals, device)
        self.parameters = Parameters(config, self.sizes, self._signals, device, projection)
        self._watch = BurstWatch(self._signals, self._loss.burst_factor)
        self._next_step = self._returns = 0
        self._errors_before_rounding = torch.full((self._signals,), math.nan, device=device)
        self.worsened = [False] * self._signals
        self.pools = EncodedPools.of(
            config.architecture.of_a_cell,
            [
                Pool.of(own.architecture, each, config.overlap)
                for own, each in zip(configs, samples, strict=True)
            ],
            device,
        )
        self.batch_size = min(
            max(1, config.batch_size // self._cells), self.pools.features.shape[1]
        )
        # Another device has no use for threads, nor for pieces that fit a cache.
        team = team if device.type == "cpu" else None
        self._backward = TargetBackward(
            config.architecture.of_a_cell,
            self.pools.shares.view(self._signals, self._cells),
            self.batch_size,
            self._loss,
            team,
        )
        self._judgement = Judgement(config, self.parameters, self.pools, self._backward)
        self._searches = searches
        self._strays = StrayRows(self.pools, configs)
        self._batches = batches_of(config, self.pools, self.batch_size, REPORT_INTERVAL)
        self._step = Step(
            config,
            self.parameters,
            self.sizes,
            self.pools,
            self._batches,
            self._backward,
            descent,
            learning_rate,
        )
        if searches:
            self._strays.put([each.known for each in searches])

    def run(
        self,
        progress: ProgressFunction | None,
        *,
        payload_bits: Sequence[float] | None = None,
        work: Work | None = None,
    ) -> list[bool]:
        """Take all remaining steps, or stop where no signal is finite any more.

        A signal alone whose loss tells of a burst goes back to where it was healthy last, and
        takes more careful steps from there. Rounding may raise the loss of a sound fit as much, so
        that nothing is undone once it has begun: its rates are low, and the end tells what it has
        cost.

        Parameters
        ----------
        progress : callable, optional
            Called every 50 steps with the means over all signals.
        payload_bits : sequence of float, optional
            Of each signal; see `fit_latent`.
        work : Work, optional

        Returns
        -------
        list of bool
            Whether each signal's end is sound: finite, not constant, and, of several signals,
            reached without a burst.
        """
        had_burst = np.zeros(self._signals, dtype=bool)
        if payload_bits is not None:
            self.sizes.ask(payload_bits)
        healthy = self._state(torch.clone)
        while self._next_step < self.config.steps:
            self._step_to_report(payload_bits is not None)
            losses, bits = self.last_loss()
            each = losses.tolist()
            if not any(map(math.isfinite, each)):
                return [False] * self._signals
            self._watch.see(each)
            reported, rounding = self._next_step, self.parameters.fixed > 0
            in_burst = self._watch.in_burst & (not rounding)
            alone = self._signals == 1
            if not alone:
                had_burst |= in_burst
            if alone and in_burst[0] and self._returns < _MOST_RETURNS:
                self._go_back(healthy)
            elif self._batches.begins_at(reported):
                self._search_strays()
                if alone and (rounding or self._watch.healthy[0]):
                    healthy = self._state(torch.clone)
                    if work is not None and work.due:
                        work.keep(self.state())
            if progress is not None:
                loss, size = sum(each) / len(each), float(bits) / 8
                progress(FitProgress(reported, self.config.steps, loss, size))
        before, after = (
            to_numpy(errors).astype(np.float64)
            for errors in (
                self._errors_before_rounding,
                self._judgement.errors(self.parameters.all_rounded()),
            )
        )
        # Where rounding began amid a burst, what was before it is no measure.
        spoilt = self._judgement.are_spoilt(before, after) | self._watch.spoilt
        self.worsened = spoilt.tolist()
        _log.info("errors %s before rounding, %s after", before.round(5), after.round(5))
        ends = zip(self._judgement.are_sound(), had_burst, strict=True)
        return [sound and not burst for sound, burst in ends]

    @torch.no_grad()
    def _step_to_report(self, meets_sizes: bool) -> None:
        """Take the steps up to the next report. No value is read back from the device."""
        end = min(self._next_step + REPORT_INTERVAL, self.config.steps)
        for step in range(self._next_step, end):
            if meets_sizes and self.sizes.is_choice_due(step):
                self.sizes.choose_deltas(*self.parameters.of_signals())
            if not self.parameters.fixed and rounded_count(self.config, step):
                errors = self._judgement.errors(self.parameters.rounded())
                self._errors_before_rounding.copy_(errors)
            self.step(step)
            if meets_sizes and self.sizes.is_update_due(step):
                self._step.update_sizes(step)
        self._next_step = end

    def step(self, step: int) -> None:
        """Take one optimiser step."""
        self._step.take(step)

    def _go_back(self, healthy: dict[str, Any]) -> None:
        """Go back to a state that was healthy, and on by more careful steps."""
        _log.info("steps grew too long before step %d; going back", self._next_step)
        returns = self._returns + 1
        self.restore(healthy)
        self._take_care(returns)

    def _take_care(self, returns: int) -> None:
        self._returns = returns
        self._step.take_care(returns)

    def _search_strays(self) -> None:
        """Put samples where the fields have strayed, if a search is due."""
        if not self._searches or not self._strays.due(self._next_step):
            return
        ends = zip(self._searches, self.results(), strict=True)
        found = [each.search(result) if result.is_finite else None for each, result in ends]
        for network, rows in self._strays.put(found):
            self._batches.renew(network, rows)
        counts = [0 if samples is None else len(samples) for samples in found]
        if any(counts):
            _log.info("step %d: samples put where the field strays: %s", self._next_step, counts)

    def state(self) -> State:
        """Copy all that the steps taken have changed."""
        return self._state(to_numpy)

    def _state(self, copy: Callable[[torch.Tensor], Any]) -> dict[str, Any]:
        """Copy all that the steps taken have changed, each tensor by a function."""
        numbers = {
            "learning_rate": np.array(self.learning_rate),
            "next_step": np.array(self._next_step),
            "returns": np.array(self._returns),
            "fixed": np.array(self.parameters.fixed),
        }
        tensors = {name: copy(values) for name, values in self._tensors().items()}
        return numbers | self._watch.state() | self._strays.state() | tensors

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken, of the same samples and configuration."""
        self._next_step = int(state["next_step"])
        self._take_care(int(state["returns"]))
        self.parameters.fix(int(state["fixed"]))
        self._watch.restore(state)
        self._strays.restore(state)
        for name, values in self._tensors().items():
            values.copy_(torch.as_tensor(state[name]))
        self.sizes.restored()

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that a step changes."""
        named = {
            "latents": self.parameters.latents,
            "biases": self.parameters.biases,
            "errors before rounding": self._errors_before_rounding,
        }
        named |= self.sizes.tensors() | self._step.tensors()
        return named | self._batches.tensors() | self._strays.tensors()

    @torch.no_grad()
    def last_loss(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(S,) mean losses of the last batch, not their logarithms, and mean estimated bits."""
        _, values, importance = self._batches.batch
        means = self._loss.means(self._backward.outputs, values, importance)
        return means.view(self._signals, -1).mean(dim=1), self.parameters.bits()

    def results(self) -> list[FitResult]:
        """Copy each signal's latent and biases as they stand."""
        each = zip(self.parameters.numbers(), self.sizes.delta_indices(), strict=True)
        return [
            FitResult(latent, biases, index, self.learning_rate) for (latent, biases), index in each
        ]
