"""The losses of a fit: what is made small, how it is differentiated, when a fit is sound.

K networks of S signals give (K, N, out_dim) float32 outputs for as many values. Each signal has one
loss, which is the mean over its samples or a function of that mean. Samples may have an importance,
(K, N, 1) float32, by which they are weighted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from doh3d.fitting.config import LossName

# Squared error that is added under the logarithm: about what rounding to 8 bits makes of values in
# [-1, 1]. Below it nothing is to be gained.
LEAST_SQUARED_ERROR = 5e-6

# A fit is never refused for an error below this: a share of wrong occupancies, or a squared error
# of values in [-1, 1].
TOLERATED_ERROR = 1e-3


class Loss(ABC):
    """What a fit needs to know of its loss.

    Attributes
    ----------
    takes_logits : bool
        Whether a residual is an output's probability less the value, and not the output less it.
    scale : float
        The derivative of a mean over M numbers by one output is scale * residual / M.
    failure : str
        What a fit that is not sound has become.
    burst_factor : float
        A mean this many times the lowest that a fit has had tells of a burst, see `BurstWatch`.
        Those of sound fits rise by a tenth at most before they are rounded, squared errors by two.
    """

    takes_logits: bool
    scale: float
    failure: str
    burst_factor: float

    @abstractmethod
    def residual(self, outputs: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
        """Write into `out`, which may be the outputs, how far off each output is."""

    @abstractmethod
    def each(self, outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return what is averaged, of the outputs' shape."""

    @abstractmethod
    def is_sound(self, outputs: torch.Tensor, values: torch.Tensor) -> bool:
        """Whether one signal's (C, N, out_dim) outputs are finite and tell more than a constant."""

    @abstractmethod
    def error(self, outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Error of each output, in the unit of `TOLERATED_ERROR` and of the outputs' shape."""

    def means(
        self, outputs: torch.Tensor, values: torch.Tensor, importance: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(K,) mean of each network's samples."""
        each = self.each(outputs, values)
        return (each if importance is None else each * importance).mean(dim=(1, 2))

    def divisors(
        self,
        outputs: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None,
        shares: torch.Tensor,
    ) -> torch.Tensor | None:
        """(S, 1) float32 by which the gradient of each signal's mean is to be divided, or None.

        `shares`, (S, C) float32, is the weight of each network's mean in its signal's.
        """
        return None


class CrossEntropy(Loss):
    """Mean cross-entropy of logits against occupancies in [0, 1], in nats; of one output."""

    takes_logits = True
    scale = 1.0
    failure = "empty or full"
    burst_factor = 1.3

    def residual(self, outputs: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
        """Write probabilities less occupancies."""
        torch.sigmoid(outputs, out=out).sub_(values)

    def each(self, outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropies."""
        return binary_cross_entropy_with_logits(outputs, values, reduction="none")

    def error(self, outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return 1 where an output is on the wrong side of the surface, and 0 elsewhere."""
        return ((outputs > 0) != (values > 0.5)).to(outputs.dtype)

    def is_sound(self, outputs: torch.Tensor, values: torch.Tensor) -> bool:
        """Whether the occupancy is finite and neither empty nor full."""
        inside = outputs > 0
        finite = bool(torch.isfinite(outputs).all())
        return finite and bool(inside.any()) and not bool(inside.all())


class LogSquaredError(Loss):
    """Logarithm of the mean squared error of values in [-1, 1]: PSNR but for a factor.

    The logarithm lets one rate weight serve signals that are hard to fit and signals that are easy.
    """

    takes_logits = False
    scale = 2.0
    failure = "worse than one colour"
    burst_factor = 1.7

    def residual(self, outputs: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
        """Write outputs less values."""
        torch.sub(outputs, values, out=out)

    def each(self, outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the squared errors."""
        return (outputs - values).square()

    def error(self, outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the squared errors."""
        return self.each(outputs, values)

    def is_sound(self, outputs: torch.Tensor, values: torch.Tensor) -> bool:
        """Whether outputs are finite, and err no more than the values' mean would."""
        outputs, values = outputs.flatten(0, 1), values.flatten(0, 1)
        constant = mse_loss(values.mean(dim=0).expand_as(values), values)
        # A comparison with an error that is not a number is false.
        return bool(mse_loss(outputs, values) <= constant + TOLERATED_ERROR)

    def divisors(
        self,
        outputs: torch.Tensor,
        values: torch.Tensor,
        importance: torch.Tensor | None,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        """Return e + m for each signal's mean m, since d log(e + m) = dm / (e + m)."""
        means = self.means(outputs, values, importance).view_as(shares)
        return (means * shares).sum(dim=1, keepdim=True) + LEAST_SQUARED_ERROR


LOSSES: dict[LossName, Loss] = {
    "cross-entropy": CrossEntropy(),
    "log-squared-error": LogSquaredError(),
}
