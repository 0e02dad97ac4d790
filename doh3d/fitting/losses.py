"""The losses of a fit: what is made small, how it is differentiated, when a fit is sound."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from doh3d.fitting.config import LossName

# Squared error that is added under the logarithm: about what rounding to 8 bits makes of values in
# [-1, 1]. Below it nothing is to be gained.
LEAST_SQUARED_ERROR = 5e-6

# A fit is never refused for a squared error below this, of values in [-1, 1].
_TOLERATED_SQUARED_ERROR = 1e-3


class Loss(ABC):
    """A mean over one signal's samples and their outputs, or a function of that mean.

    K networks of S signals give (K, N, out_dim) float32 outputs for as many values. Where samples
    have an importance, (K, N, 1) float32, the mean is weighted by it.

    Attributes
    ----------
    scale : float
        The derivative of a mean over M numbers by one output is scale * residual / M.
    failure : str
        What a fit that is not sound has become.
    """

    scale: float
    failure: str

    @abstractmethod
    def residual(self, outputs: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
        """Write into `out`, of the outputs' shape, how far off each output is."""

    @abstractmethod
    def value(
        self, outputs: torch.Tensor, values: torch.Tensor, importance: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the () mean over the samples of all networks, which is what is reported."""

    @abstractmethod
    def divisors(
        self,
        outputs: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None,
        shares: torch.Tensor,
    ) -> torch.Tensor | None:
        """Return what the gradient of each signal's mean is divided by.

        Parameters
        ----------
        shares : (S, C) float32
            Weight of each network's mean in its signal's.

        Returns
        -------
        (S, 1) float32, or None where the loss is the mean itself
        """

    @abstractmethod
    def is_sound(self, outputs: torch.Tensor, values: torch.Tensor) -> bool:
        """Whether one signal's (C, N, out_dim) outputs are finite and tell more than a constant."""


class CrossEntropy(Loss):
    """Cross-entropy of logits against occupancies in [0, 1], in nats. One output."""

    scale = 1.0
    failure = "empty or full"

    def residual(self, outputs: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
        """Write probabilities less occupancies."""
        torch.sigmoid(outputs, out=out).sub_(values)

    def value(
        self, outputs: torch.Tensor, values: torch.Tensor, importance: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the mean cross-entropy."""
        return binary_cross_entropy_with_logits(outputs, values, importance)

    def divisors(
        self,
        outputs: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None,
        shares: torch.Tensor,
    ) -> None:
        """Return None: the loss is the mean."""

    def is_sound(self, outputs: torch.Tensor, values: torch.Tensor) -> bool:
        """Whether the occupancy is finite and neither empty nor full."""
        inside = outputs > 0
        finite = bool(torch.isfinite(outputs).all())
        return finite and bool(inside.any()) and not bool(inside.all())


class LogSquaredError(Loss):
    """Logarithm of the mean squared error of values in [-1, 1]: PSNR but for a factor.

    The logarithm lets one rate weight serve signals that are hard to fit and signals that are easy.
    """

    scale = 2.0
    failure = "worse than one colour"

    def residual(self, outputs: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
        """Write outputs less values."""
        torch.sub(outputs, values, out=out)

    def value(
        self, outputs: torch.Tensor, values: torch.Tensor, importance: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the mean squared error."""
        return _squared(outputs, values, importance).mean()

    def divisors(
        self,
        outputs: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        """Return e + m for each signal's mean m, since d log(e + m) = dm / (e + m)."""
        means = _squared(outputs, values, importance).mean(dim=(1, 2))
        return (means.view_as(shares) * shares).sum(dim=1, keepdim=True) + LEAST_SQUARED_ERROR

    def is_sound(self, outputs: torch.Tensor, values: torch.Tensor) -> bool:
        """Whether outputs are finite, and err no more than the values' mean would."""
        outputs, values = outputs.flatten(0, 1), values.flatten(0, 1)
        constant = values.mean(dim=0).expand_as(values)
        most = mse_loss(constant, values) + _TOLERATED_SQUARED_ERROR
        # A comparison with a value that is not a number is false.
        return bool(mse_loss(outputs, values) <= most)


def _squared(
    outputs: torch.Tensor, values: torch.Tensor, importance: torch.Tensor | None
) -> torch.Tensor:
    squared = (outputs - values).square()
    return squared if importance is None else squared * importance


LOSSES: dict[LossName, Loss] = {
    "cross-entropy": CrossEntropy(),
    "log-squared-error": LogSquaredError(),
}
