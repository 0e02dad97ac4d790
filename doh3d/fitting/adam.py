"""Adam (Kingma, Ba, ICLR 2015), for the biases, and for latents where it is asked for.

It is written out here because making torch's own loads its compiler, which takes two seconds, a
tenth of a short fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_MOMENTUM = 0.9
_MOMENT_MEMORY = 0.999
_EPSILON = 1e-8


class Adam:
    """Optimiser of some tensors by the first and second moments of their gradients.

    Parameters
    ----------
    tensors : sequence of float32 tensors
        Moved in place.

    Attributes
    ----------
    moments : list of (first, second)
        Moments of each tensor.
    updates : () float64
        Steps taken.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = list(tensors)
        self.moments = [(torch.zeros_like(t), torch.zeros_like(t)) for t in self._tensors]
        device = self._tensors[0].device
        self.updates = torch.zeros((), dtype=torch.float64, device=device)

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor], learning_rate: float | torch.Tensor) -> None:
        """Move each tensor against its gradient. No value is read back from the device."""
        self.updates.add_(1)
        first_share = 1 - _MOMENTUM**self.updates
        second_share = 1 - _MOMENT_MEMORY**self.updates
        for tensor, gradient, (first, second) in zip(
            self._tensors, gradients, self.moments, strict=True
        ):
            first.lerp_(gradient, 1 - _MOMENTUM)
            second.mul_(_MOMENT_MEMORY).addcmul_(gradient, gradient, value=1 - _MOMENT_MEMORY)
            size = (second / second_share).sqrt_().add_(_EPSILON)
            tensor.sub_((first / size).mul_(learning_rate / first_share))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name all that is carried from step to step."""
        named = {"updates by Adam": self.updates}
        for number, moments in enumerate(self.moments):
            named |= {f"moment {order} by Adam {number}": m for order, m in enumerate(moments)}
        return named
