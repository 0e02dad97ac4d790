"""Whether a finished fit tells something of its signal."""

from __future__ import annotations

import torch
from torch.nn.functional import mse_loss

from doh3d.fitting.config import Loss

# Squared error that no constant is refused for, of values in [-1, 1].
_TINY_ERROR = 1e-3


def is_sound(outputs: torch.Tensor, values: torch.Tensor, loss: Loss) -> bool:
    """Whether a signal's outputs are finite, and better than a constant.

    Occupancy is neither empty nor full, values err no more than their mean would.

    Parameters
    ----------
    outputs, values : (C, N, out_dim) float32
        Of the quantised networks, and of the samples.
    loss : "cross-entropy" or "log-squared-error"
    """
    finite = bool(torch.isfinite(outputs).all())
    if loss == "log-squared-error":
        values = values.flatten(0, 1)
        return finite and bool(
            mse_loss(outputs.flatten(0, 1), values)
            <= mse_loss(values.mean(dim=0).expand_as(values), values) + _TINY_ERROR
        )
    inside = outputs > 0
    return finite and bool(inside.any()) and not bool(inside.all())
