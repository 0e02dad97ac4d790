"""The optimisation of latents and biases, step by step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from doh3d.fitting.adam import Adam
from doh3d.fitting.batches import batches_of
from doh3d.fitting.burst import BurstWatch
from doh3d.fitting.checkpoint import State, Work
from doh3d.fitting.config import FitConfig
from doh3d.fitting.curvature import WeightCurvature
from doh3d.fitting.descent import LatentDescent
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.judgement import Judgement
from doh3d.fitting.losses import LOSSES
from doh3d.fitting.parameters import Parameters, to_numpy
from doh3d.fitting.pool import EncodedPools, Pool
from doh3d.fitting.rate import rate_curvature
from doh3d.fitting.results import FitProgress, FitResult, ProgressFunction
from doh3d.fitting.schedule import one_cycle, rounded_count
from doh3d.fitting.signal import Samples
from doh3d.fitting.size_control import SizeControl
from doh3d.fitting.strays import StrayRows, StraySearch
from doh3d.hypernetwork.projection import Projection
from doh3d.thread_team import ThreadTeam

_log = logging.getLogger(__name__)

_MAX_GRADIENT_NORM = 1.0

# Adam's peak rate for the biases where the latents have another optimiser.
_BIAS_LEARNING_RATE = 0.01

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
        self.parameters = Parameters(config, self._signals, device, projection)
        self.sizes = SizeControl(config, self._signals)
        self.parameters.use(self.sizes)
        self._descent = self._make_descent(descent, device)
        by_adam = [self.parameters.latents] if self._descent is None else []
        self._adam = Adam([*by_adam, self.parameters.biases])
        self._watch = BurstWatch(self._signals, self._loss.burst_factor)
        self._next_step = 0
        self._take_care(returns=0)
        self._errors_before_rounding = np.full(self._signals, np.nan)
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
        self._backward = TargetBackward(
            config.architecture.of_a_cell,
            self.pools.shares.view(self._signals, self._cells),
            self.batch_size,
            self._loss,
            team,
        )
        self._judgement = Judgement(config, self.parameters, self.pools)
        self._searches = searches
        self._strays = StrayRows(self.pools, configs)
        self._batches = batches_of(config, self.pools, self.batch_size, REPORT_INTERVAL, team)
        if searches:
            self._strays.put([each.known for each in searches])

    def _make_descent(
        self, descent: type[LatentDescent], device: torch.device
    ) -> LatentDescent | None:
        """Make the latents' optimiser; None where it is Adam."""
        config = self.config
        if config.optimizer != "curvature":
            return None
        self._curvature = WeightCurvature(
            config.architecture.layer_shapes, device, self._signals, self._cells
        )
        return descent(
            self.parameters.projection,
            self._curvature,
            config.latent,
            device,
            None if self._signals == 1 else self._signals,
            config.solver_effort,
        )

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
        healthy = self._state(torch.clone)
        while self._next_step < self.config.steps:
            if not self._step_to_report(payload_bits):
                return [False] * self._signals
            losses, bits = self.last_loss()
            each = losses.tolist()
            if self._signals == 1 and not math.isfinite(each[0]):
                return [False]
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
        before = self._errors_before_rounding
        after = self._judgement.errors(self.config.latent)
        # Where rounding began amid a burst, what was before it is no measure.
        spoilt = self._judgement.are_spoilt(before, after) | self._watch.spoilt
        self.worsened = spoilt.tolist()
        _log.info("errors %s before rounding, %s after", before.round(5), after.round(5))
        ends = zip(self._judgement.are_sound(), had_burst, strict=True)
        return [sound and not burst for sound, burst in ends]

    @torch.no_grad()
    def _step_to_report(self, payload_bits: Sequence[float] | None) -> bool:
        """Take the steps up to the next report; whether any signal is still finite."""
        alive, numbers = True, self.parameters.numbers
        end = min(self._next_step + REPORT_INTERVAL, self.config.steps)
        for step in range(self._next_step, end):
            if payload_bits is not None and self.sizes.is_choice_due(step):
                alive = self.sizes.choose_deltas(numbers(), payload_bits)
                self.parameters.use(self.sizes)
            if not self.parameters.fixed and rounded_count(self.config, step):
                self._errors_before_rounding = self._judgement.errors(0)
            self.step(step, *self._batches.take(step, self._measure))
            self._batches.learn(self._backward.errors)
            if payload_bits is not None and self.sizes.is_update_due(step):
                alive = self.sizes.update(step, numbers(), payload_bits)
                self.parameters.use(self.sizes)
            if not alive:
                break
        self._next_step = end
        return alive

    def _go_back(self, healthy: dict[str, Any]) -> None:
        """Go back to a state that was healthy, and on by more careful steps."""
        _log.info("steps grew too long before step %d; going back", self._next_step)
        returns = self._returns + 1
        self.restore(healthy)
        self._take_care(returns)

    def _take_care(self, returns: int) -> None:
        """Rescale the solver's start after one burst, and halve the rate after each further one."""
        self._returns = returns
        if self._descent is not None:
            self._descent.rescales = returns > 0
            returns = max(returns - 1, 0)
        self._peak = self.learning_rate * 0.5**returns

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
            "errors before rounding": self._errors_before_rounding,
        }
        tensors = {name: copy(values) for name, values in self._tensors().items()}
        return numbers | self.sizes.state() | self._watch.state() | self._strays.state() | tensors

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken, of the same samples and configuration."""
        self._next_step = int(state["next_step"])
        self._take_care(int(state["returns"]))
        self.parameters.fixed = int(state["fixed"])
        self._errors_before_rounding = state["errors before rounding"]
        self.sizes.restore(state)
        self._watch.restore(state)
        self._strays.restore(state)
        self.parameters.use(self.sizes)
        for name, values in self._tensors().items():
            values.copy_(torch.as_tensor(state[name]))
        self._adam.updates = self._next_step
        if self._descent is not None:
            self._descent.updates = self._curvature.updates = self._next_step

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that a step changes."""
        named = {"latents": self.parameters.latents, "biases": self.parameters.biases}
        named |= self._batches.tensors() | self._strays.tensors()
        if self._descent is not None:
            named |= self._curvature.tensors()
            named |= self._descent.tensors()
        for number, moments in enumerate(self._adam.moments):
            named |= {f"moment {order} by Adam {number}": m for order, m in enumerate(moments)}
        return named

    @torch.no_grad()
    def step(
        self,
        step: int,
        features: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None = None,
    ) -> None:
        """Take one optimiser step on (K, N, encoded_dim) features and (K, N, out_dim) values.

        With (K, N, 1) importance the samples are weighted by it. No value is read back from the
        device.
        """
        parameters = self.parameters
        rate_weights = parameters.rate_weights
        learning_rate = self._peak * one_cycle(step / self.config.steps)
        parameters.round_due(step)
        latents, biases = parameters.rounded(parameters.fixed)
        networks = parameters.networks(latents, biases)
        gradient = self._backward(networks, features, values, importance)
        of_weights = gradient.weights * parameters.gains
        of_latents = parameters.projection.transpose(of_weights)
        of_latents = latents.gradient(of_latents, rate_weights)
        of_biases = gradient.biases.view(parameters.biases.shape)
        by_adam = [biases.gradient(of_biases, rate_weights)]
        if self._descent is not None:
            self._curvature.update(of_weights)
            self._descent.step(
                parameters.latents,
                of_latents,
                learning_rate,
                parameters.fixed,
                rate_curvature(parameters.latents, rate_weights),
            )
            learning_rate *= _BIAS_LEARNING_RATE / self.learning_rate
        else:
            length = of_latents.norm(dim=-1, keepdim=self._signals > 1)
            clipped = of_latents * (_MAX_GRADIENT_NORM / length.clamp_min(_MAX_GRADIENT_NORM))
            by_adam.insert(0, clipped)
        self._adam.step(by_adam, learning_rate)
        self._last = latents, biases, values, importance

    def _measure(self, errors: torch.Tensor) -> None:
        """Measure all samples' errors as the signals stand."""
        parameters = self.parameters
        networks = parameters.networks(*parameters.rounded(parameters.fixed))
        self._backward.measure(networks, self.pools.features, self.pools.values, errors)

    @torch.no_grad()
    def last_loss(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(S,) mean losses of the last batch, not their logarithms, and mean estimated bits."""
        latents, biases, values, importance = self._last
        means = self._loss.means(self._backward.outputs, values, importance)
        return means.view(self._signals, -1).mean(dim=1), self.parameters.bits(latents, biases)

    def results(self) -> list[FitResult]:
        """Copy each signal's latent and biases as they stand."""
        each = zip(self.parameters.numbers(), self.sizes.delta_indices, strict=True)
        return [
            FitResult(latent, biases, index, self.learning_rate) for (latent, biases), index in each
        ]
