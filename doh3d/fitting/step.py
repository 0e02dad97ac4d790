"""One step of an optimisation, made of pieces that a device can record and replay."""

from __future__ import annotations

import torch

from doh3d.fitting.adam import Adam
from doh3d.fitting.batches import Batches
from doh3d.fitting.config import FitConfig
from doh3d.fitting.curvature import BASIS_INTERVAL, WeightCurvature
from doh3d.fitting.descent import LatentDescent
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.parameters import Parameters
from doh3d.fitting.pool import EncodedPools
from doh3d.fitting.rate import rate_curvature
from doh3d.fitting.replay import Replay
from doh3d.fitting.schedule import one_cycle, rounded_count
from doh3d.fitting.size_control import SizeControl

_MAX_GRADIENT_NORM = 1.0

# Adam's peak rate for the biases where the latents have another optimiser.
_BIAS_LEARNING_RATE = 0.01


class Step:
    """A step of S signals of C cells each, from samples to moved latents and biases.

    What changes from step to step by plan, the learning rate, which numbers are rounded and which
    samples are seen, is written to tensors on the device beforehand. The rest is the same each
    time, and reads nothing back, see `Replay`. The curvature's bases are turned in between: their
    factorisations cannot be recorded.

    Parameters
    ----------
    config : FitConfig
    parameters : Parameters
    sizes : SizeControl
    pools : EncodedPools
    batches : Batches
    backward : TargetBackward
    descent : type
        The latents' optimiser, where it is not Adam.
    learning_rate : float
        At its peak.
    """

    def __init__(
        self,
        config: FitConfig,
        parameters: Parameters,
        sizes: SizeControl,
        pools: EncodedPools,
        batches: Batches,
        backward: TargetBackward,
        descent: type[LatentDescent],
        learning_rate: float,
    ) -> None:
        self._config, self._parameters, self._sizes = config, parameters, sizes
        self._pools, self._batches, self._backward = pools, batches, backward
        device = pools.values.device
        signals, cells = len(parameters.of_signals()[0]), config.architecture.cells
        self._is_one = signals == 1
        self._by_adam = config.optimizer == "adam"
        if not self._by_adam:
            shapes = config.architecture.layer_shapes
            self._curvature = WeightCurvature(shapes, device, signals, cells)
            self._descent = descent(
                parameters.projection,
                self._curvature,
                config.latent,
                device,
                None if self._is_one else signals,
                config.solver_effort,
            )
        moved = [parameters.latents] if self._by_adam else []
        self._adam = Adam([*moved, parameters.biases])
        peak = learning_rate if self._by_adam else _BIAS_LEARNING_RATE
        self._peak, self._bias_peak = learning_rate, peak
        # Of the peaks.
        self._caution = 1.0
        self._rate, self._bias_rate = (torch.zeros((), device=device) for _ in range(2))
        self._of_weights = torch.zeros(parameters.gains.shape, device=device)
        self._of_latents = torch.zeros_like(parameters.latents)
        self._of_biases = torch.zeros_like(parameters.biases)
        self._differentiate = Replay(self._find_gradients, device)
        self._move = Replay(self._move_all, device)
        self._end = Replay(self._move_by_adam, device)
        self._update_sizes = Replay(lambda: sizes.update(*parameters.of_signals()), device)

    @torch.no_grad()
    def take(self, step: int) -> None:
        """Take an optimiser step."""
        config, parameters = self._config, self._parameters
        parameters.fix(rounded_count(config, step))
        self._batches.prepare(step, self._measure)
        share = self._caution * one_cycle(step / config.steps)
        self._rate.fill_(share * self._peak)
        self._bias_rate.fill_(share * self._bias_peak)
        self._differentiate()
        if self._by_adam or parameters.fixed == config.latent:
            self._end()
            return
        if step % BASIS_INTERVAL == 0:
            self._curvature.follow()
        self._move()

    def take_care(self, bursts: int) -> None:
        """Rescale the solver's start after one burst, and halve the rate after each further one."""
        if not self._by_adam:
            self._descent.rescales.fill_(bursts > 0)
            bursts = max(bursts - 1, 0)
        self._caution = 0.5**bursts

    @torch.no_grad()
    def update_sizes(self, step: int) -> None:
        """Move the rate weights towards the sizes asked for, after an optimiser step."""
        self._sizes.prepare(step)
        self._update_sizes()

    def _find_gradients(self) -> None:
        """Find the gradients of a batch, and learn from them what does not wait for the bases."""
        parameters, sizes = self._parameters, self._sizes
        batches = self._batches
        latents, biases = parameters.rounded()
        parameters.keep(latents)
        networks = parameters.networks(latents, biases)
        found = self._backward(networks, *batches.batch, gather=batches.gather)
        torch.mul(found.weights, parameters.gains, out=self._of_weights)
        of_latents = parameters.projection.transpose(self._of_weights)
        of_bits = sizes.rate_weights / sizes.deltas
        self._of_latents.copy_(latents.gradient(of_latents, of_bits))
        of_biases = found.biases.view(self._of_biases.shape)
        of_bits = sizes.rate_weights / sizes.bias_delta
        self._of_biases.copy_(biases.gradient(of_biases, of_bits))
        if batches.batch.importance is not None:
            batches.learn(self._backward.errors)
        if not self._by_adam:
            self._curvature.see(self._of_weights)

    def _move_all(self) -> None:
        """Move the latents along the curvature's direction, and the biases."""
        parameters = self._parameters
        self._curvature.learn(self._of_weights)
        self._descent.step(
            parameters.latents,
            self._of_latents,
            self._rate,
            parameters.free,
            rate_curvature(parameters.latents, self._sizes.rate_weights),
        )
        self._move_by_adam()

    def _move_by_adam(self) -> None:
        """Move the biases, and the latents where Adam is their optimiser."""
        gradients = [self._of_biases]
        if self._by_adam:
            length = self._of_latents.norm(dim=-1, keepdim=not self._is_one)
            share = _MAX_GRADIENT_NORM / length.clamp_min(_MAX_GRADIENT_NORM)
            gradients.insert(0, self._of_latents * share)
        self._adam.step(gradients, self._bias_rate)

    def _measure(self, errors: torch.Tensor) -> None:
        """Measure all samples' errors as the signals stand."""
        networks = self._parameters.networks(*self._parameters.rounded())
        self._backward.measure(networks, self._pools.features, self._pools.values, errors)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that a step changes, but the parameters and the batches' own."""
        named = self._adam.tensors()
        if not self._by_adam:
            named |= self._curvature.tensors() | self._descent.tensors()
        return named
