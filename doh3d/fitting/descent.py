"""The latent's optimiser: momentum, preconditioned by an estimate of the loss's curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from doh3d.devices import has_kernels
from doh3d.fitting.curvature import WeightCurvature
from doh3d.hypernetwork.projection import HadamardProjection, Projection

if TYPE_CHECKING:
    from doh3d.fitting.compiled_metric import CompiledMetric

_MOMENTUM = 0.9

# Iterations of conjugate gradients in each step for a latent of a thousand numbers, and the power
# of the latent's length with which they grow above that. They start from the last step's direction,
# from which the next differs little.
_ITERATIONS = 5
ITERATIONS_EXPONENT = 0.35

# Damping, as a share of the metric's mean eigenvalue.
_DAMPING = 1e-2

# No step moves the latent by more than this share of its length.
_LONGEST_STEP = 0.1

# No direction is longer in the metric than 1.2 times the usual length, which is a moving average
# with this share of the last one. Long steps come in bursts, which feed on themselves.
_LONGEST_OF_USUAL, _USUAL_SHARE = 1.2, 0.03

# A divisor is taken to be no smaller, so that zero over zero is zero.
_TINY = 1e-30


class LatentDescent:
    """Descent along M^-1 m, for the metric M of the latent and the momentum m of its gradient.

    The metric of the weights B z, before their layers' gains, is C, which `WeightCurvature`
    estimates; the latent's is then M = B^T C B. Neither it nor its inverse is ever made:
    conjugate gradients need products with it only, each of which costs about as much as
    projecting a latent and a gradient.

    The learning rate is about the share by which a step changes weights of unit variance.

    Parameters
    ----------
    projection : Projection
        B.
    curvature : WeightCurvature
        C.
    latent_count : int
    device : torch.device
    count : int, optional
        Of S latents, each with a descent of its own: (n,) tensors are then (S, n), and projection
        and curvature are those of S.
    effort : float
        Iterations in each step, as a multiple of the usual number.

    Attributes
    ----------
    momentum, direction : (n,) float32
    usual : () or (S, 1) float32
        Moving average of the direction's length in the metric, sqrt(d^T M d).
    updates : () float64
        Steps taken.
    rescales : () bool
        Whether each solution starts from the last direction at its best length, and not as it was.
        What the direction has left over from earlier steps then dies away: steps are shorter, and
        do not grow from one another. Sound fits come further without it.
    """

    def __init__(
        self,
        projection: Projection,
        curvature: WeightCurvature,
        latent_count: int,
        device: torch.device,
        count: int | None = None,
        effort: float = 1.0,
    ) -> None:
        self._projection = projection
        self._curvature = curvature
        size = (latent_count,) if count is None else (count, latent_count)
        self.momentum = torch.zeros(size, device=device)
        self.direction = torch.zeros(size, device=device)
        self.usual = torch.zeros(() if count is None else (count, 1), device=device)
        self.updates = torch.zeros((), dtype=torch.float64, device=device)
        self.rescales = torch.zeros((), dtype=torch.bool, device=device)
        growth = max(1.0, latent_count / 1000) ** ITERATIONS_EXPONENT
        self._iterations = max(1, round(_ITERATIONS * growth * effort))
        self._compiled: CompiledMetric | None = None
        if isinstance(projection, HadamardProjection) and has_kernels(self.momentum):
            from doh3d.fitting.compiled_metric import CompiledMetric

            self._compiled = CompiledMetric(projection, curvature)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that are carried from step to step but the curvature's."""
        return {
            "momentum": self.momentum,
            "direction": self.direction,
            "usual": self.usual,
            "updates": self.updates,
        }

    @torch.no_grad()
    def step(
        self,
        latent: torch.Tensor,
        gradient: torch.Tensor,
        learning_rate: float | torch.Tensor,
        free: torch.Tensor,
        rate_curvature: torch.Tensor | float = 0.0,
    ) -> None:
        """Move a (n,) latent in place, as far as its numbers are free.

        Parameters
        ----------
        gradient : (n,) float32
            By the latent, of the loss and the rate term.
        learning_rate : float, or () float32
        free : (n,) float32
            1 where a number may move, and 0 elsewhere.
        rate_curvature : () or (S, 1) float32
            Curvature of the rate term along each number, which is added to the metric.
        """
        self.updates.add_(1)
        self.momentum.lerp_(gradient, 1 - _MOMENTUM)
        wanted = (self.momentum / (1 - _MOMENTUM**self.updates)).mul_(free)
        self.direction.mul_(free)
        self._solve(wanted, free, rate_curvature)
        length = _norm(self.direction) * learning_rate
        share = (_LONGEST_STEP * _norm(latent) / length.clamp_min(_TINY)).clamp_max(1)
        share = share * self._share_of_usual(wanted)
        latent.sub_(self.direction * (share * learning_rate))

    def _share_of_usual(self, wanted: torch.Tensor) -> torch.Tensor:
        """Return the factor that cuts the direction to the longest length; update the usual one."""
        # M d = wanted but for the solver's residual, so that d^T M d is about d^T wanted.
        length = _dot(self.direction, wanted).clamp_min(_TINY).sqrt()
        # The first steps are too few to tell what is usual, so that nothing is cut, and all count
        # alike. In all but short fits the learning rate's warm-up keeps them small.
        counting = self.updates * _USUAL_SHARE <= 1
        longest = torch.where(counting, length, self.usual * _LONGEST_OF_USUAL)
        cut = torch.minimum(length, longest)
        share = self.updates.reciprocal().clamp_min_(_USUAL_SHARE).to(length.dtype)
        self.usual.lerp_(cut, share)
        return cut / length

    def _solve(
        self, wanted: torch.Tensor, free: torch.Tensor, rate_curvature: torch.Tensor | float
    ) -> None:
        """Bring the direction closer to M^-1 `wanted`."""
        damping = _DAMPING * self._curvature.trace() + rate_curvature
        if self._compiled is not None:
            self._compiled.solve(
                self.direction, wanted, free, damping, self.rescales, self._iterations
            )
            return
        product = self._multiply(self.direction, damping, free)
        best = _dot(self.direction, wanted) / _dot(self.direction, product).clamp_min(_TINY)
        best = torch.where(self.rescales, best.clamp_min(0), 1)
        self.direction.mul_(best)
        residual = torch.addcmul(wanted, product, best, value=-1)
        search = residual.clone()
        squared = _dot(residual, residual)
        for _ in range(self._iterations):
            product = self._multiply(search, damping, free)
            length = squared / _dot(search, product).clamp_min(_TINY)
            self.direction.addcmul_(search, length)
            residual.addcmul_(product, length, value=-1)
            before, squared = squared, _dot(residual, residual)
            torch.addcmul(residual, search, squared / before.clamp_min(_TINY), out=search)

    def _multiply(
        self, direction: torch.Tensor, damping: torch.Tensor, free: torch.Tensor
    ) -> torch.Tensor:
        """Apply the damped metric, restricted to the numbers that may move."""
        weights = self._projection.project(direction)
        product = self._projection.transpose(self._curvature.multiply(weights))
        return product.mul_(free).addcmul_(direction, damping)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Inner product of (n,) tensors; (S, 1) of (S, n) tensors."""
    return a.dot(b) if a.dim() == 1 else (a * b).sum(dim=1, keepdim=True)


def _norm(a: torch.Tensor) -> torch.Tensor:
    """Length of a (n,) tensor; (S, 1) of a (S, n) tensor."""
    length: torch.Tensor = a.norm() if a.dim() == 1 else a.norm(dim=1, keepdim=True)
    return length


class WeightDescent(LatentDescent):
    """The same descent for B = sqrt(n) I, where a network's own weights stand in for the latent.

    The system is then solved exactly.
    """

    def _solve(
        self, wanted: torch.Tensor, free: torch.Tensor, rate_curvature: torch.Tensor | float
    ) -> None:
        damping = _DAMPING * self._curvature.trace() + rate_curvature
        self.direction.copy_(self._curvature.solve(wanted, len(wanted), damping)).mul_(free)
