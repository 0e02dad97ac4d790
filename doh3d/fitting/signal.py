"""What a fit takes and a file is made from, whatever the kind of signal."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.fitting.config import FitConfig

CodeT_co = TypeVar("CodeT_co", bound=SignalCode, covariant=True)


class Samples(Protocol):
    """Points of a signal, in such an order that every contiguous slice stands for all of them."""

    @property
    def points(self) -> npt.NDArray[np.float32]:
        """(N, in_dim) float32 in [-1, 1]."""

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """(N, out_dim) float32: what the network should give at each point."""

    def __len__(self) -> int:
        """Return the number of points."""


class Signal(Protocol[CodeT_co]):
    """A shape or an image, prepared to be fitted as often as wanted."""

    @property
    def overhead_bytes(self) -> int:
        """Bytes of a file that are neither latent nor biases."""

    def latent_for_bytes(self, size: int) -> int:
        """Latent length whose file is expected to take `size` bytes."""

    def sample(self, config: FitConfig) -> Samples:
        """Draw the points that a configuration asks for."""

    def code(self, config: FitConfig, latent: ParameterGroup, biases: ParameterGroup) -> CodeT_co:
        """Everything that the file of a fit says."""

    def error(self, code: SignalCode, config: FitConfig, device: torch.device) -> float:
        """How much what a file decodes to errs: less is better, whatever the unit."""
