"""How many signals fit into a device's memory at once."""

from __future__ import annotations

import torch

from doh3d.fitting.config import FitConfig

# On the CPU more than a dozen signals at once bring little.
_CPU_BYTES = 2**29

# Share of a GPU's free memory that is taken.
_SHARE_OF_FREE = 0.8

# Numbers of 8 bytes that a draw of samples takes for each sample of the pool, and for each that is
# drawn for later steps.
_OF_A_SAMPLE, _OF_A_DRAWN_SAMPLE = 8, 4

# Steps that one draw is for, at most: so many, and a share of all steps.
_DRAWN_STEPS, _DRAWN_SHARE = 50, 0.05


def signals_at_once(config: FitConfig, device: torch.device) -> int:
    """How many signals of a configuration can be fitted at once, at least 1."""
    network = config.architecture
    # Encoded samples, with their values, errors and importances. Cells share some.
    samples = config.pool_size * (1 + config.overlap * (config.levels > 0)) ** network.in_dim
    pool = 4 * int(samples) * (network.encoded_dim + network.out_dim + 2)
    if device.type == "cpu":
        return max(1, _CPU_BYTES // pool)
    drawn = config.batch_size * (_DRAWN_STEPS + int(_DRAWN_SHARE * config.steps))
    draws = 8 * (_OF_A_SAMPLE * int(samples) + _OF_A_DRAWN_SAMPLE * drawn)
    # Of each layer: activations, slopes, gradients, and what the encoded batch takes.
    widths = 3 * (network.depth * network.width + network.out_dim) + network.encoded_dim
    activations = 4 * config.batch_size * widths
    return max(1, int(_SHARE_OF_FREE * _free_bytes(device)) // (pool + draws + activations))


def _free_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return _CPU_BYTES
    # What torch keeps for later is free for it.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
