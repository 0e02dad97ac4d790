"""The latent's optimiser: momentum, preconditioned by an estimate of the loss's curvature."""

from __future__ import annotations

import torch

from doh3d.fitting.curvature import WeightCurvature
from doh3d.hypernetwork.projection import Projection

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
    updates : int
        Steps taken.
    rescales : bool
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
        self.updates = 0
        self.rescales = False
        growth = max(1.0, latent_count / 1000) ** ITERATIONS_EXPONENT
        self._iterations = max(1, round(_ITERATIONS * growth * effort))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name all tensors that are carried from step to step but the curvature's."""
        return {"momentum": self.momentum, "direction": self.direction, "usual": self.usual}

    @torch.no_grad()
    def step(
        self,
        latent: torch.Tensor,
        gradient: torch.Tensor,
        learning_rate: float,
        fixed: int = 0,
        rate_curvature: torch.Tensor | float = 0.0,
    ) -> None:
        """Move a (n,) latent in place, all but its first `fixed` numbers.

        Parameters
        ----------
        gradient : (n,) float32
            By the latent, of the loss and the rate term.
        rate_curvature : () or (S, 1) float32
            Curvature of the rate term along each number, which is added to the metric.
        """
        self.updates += 1
        self.momentum.lerp_(gradient, 1 - _MOMENTUM)
        if fixed >= latent.shape[-1]:
            return
        wanted = self.momentum / (1 - _MOMENTUM**self.updates)
        wanted[..., :fixed] = 0
        self.direction[..., :fixed] = 0
        self._solve(wanted, fixed, rate_curvature)
        length = _norm(self.direction) * learning_rate
        share = (_LONGEST_STEP * _norm(latent) / length.clamp_min(_TINY)).clamp_max(1)
        share = share * self._share_of_usual(wanted)
        latent.sub_(self.direction * (share * learning_rate))

    def _share_of_usual(self, wanted: torch.Tensor) -> torch.Tensor:
        """Return the factor that cuts the direction to the longest length; update the usual one."""
        # M d = wanted but for the solver's residual, so that d^T M d is about d^T wanted.
        length = _dot(self.direction, wanted).clamp_min(_TINY).sqrt()
        if self.updates * _USUAL_SHARE <= 1:
            # These are too few to tell what is usual, so that nothing is cut. In all but short fits
            # the learning rate's warm-up keeps them small.
            self.usual.lerp_(length, 1 / self.updates)
            return torch.ones_like(length)
        cut = torch.minimum(length, self.usual * _LONGEST_OF_USUAL)
        self.usual.lerp_(cut, _USUAL_SHARE)
        return cut / length

    def _solve(
        self, wanted: torch.Tensor, fixed: int, rate_curvature: torch.Tensor | float
    ) -> None:
        """Bring the direction closer to M^-1 `wanted`."""
        damping = _DAMPING * self._curvature.trace() + rate_curvature
        product = self._multiply(self.direction, damping, fixed)
        if self.rescales:
            best = _dot(self.direction, wanted) / _dot(self.direction, product).clamp_min(_TINY)
            best.clamp_min_(0)
            self.direction.mul_(best)
            product.mul_(best)
        residual = wanted - product
        search = residual.clone()
        squared = _dot(residual, residual)
        for _ in range(self._iterations):
            product = self._multiply(search, damping, fixed)
            length = squared / _dot(search, product).clamp_min(_TINY)
            self.direction.addcmul_(search, length)
            residual.addcmul_(product, length, value=-1)
            before, squared = squared, _dot(residual, residual)
            torch.addcmul(residual, search, squared / before.clamp_min(_TINY), out=search)

    def _multiply(self, direction: torch.Tensor, damping: torch.Tensor, fixed: int) -> torch.Tensor:
        """Apply the damped metric, restricted to the numbers that may move."""
        weights = self._projection.project(direction)
        product = self._projection.transpose(self._curvature.multiply(weights))
        if fixed:
            product[..., :fixed] = 0
        return product.addcmul_(direction, damping)


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
        self, wanted: torch.Tensor, fixed: int, rate_curvature: torch.Tensor | float
    ) -> None:
        damping = _DAMPING * self._curvature.trace() + rate_curvature
        self.direction.copy_(self._curvature.solve(wanted, len(wanted), damping))
        self.direction[:fixed] = 0
