"""Graded quantisation steps in training: later numbers of a latent are rounded more finely."""

from __future__ import annotations

import numpy as np
import torch

from doh3d.codec.quantization import GRADES, STEPS, grade_factors
from doh3d.fitting.config import FitConfig


def fineness(config: FitConfig, device: torch.device) -> torch.Tensor | None:
    """(n,) how many times finer than the coarsest step each latent number is rounded."""
    if not config.graded_training:
        return None
    factors = grade_factors(config.latent)
    return torch.from_numpy((factors[0] / factors).astype(np.float32)).to(device)


def coarsest_step(config: FitConfig, step_index: int) -> float:
    """Step of the first latent numbers, where that of the last has this index."""
    octaves = GRADES - 1 if config.graded_training else 0
    return float(STEPS[step_index]) * 2.0**octaves


def bits_of_fineness(fineness: torch.Tensor | None) -> torch.Tensor | float:
    """Bits that finer steps add to those of levels in units of the coarsest."""
    return 0.0 if fineness is None else fineness.log2().sum()
