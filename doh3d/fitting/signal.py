"""What a fit takes and a file is made from, whatever the kind of signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.fitting.config import FitConfig
from doh3d.options import CompressOptions

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


@dataclass(frozen=True)
class QualityScale:
    """How quality is told, and how it follows the size.

    Attributes
    ----------
    name : str
    error : function
        Of the quality: what falls with a power of the size.
    exponent : float
        About that power: what one measurement predicts the next by.
    first_size : int
        Bytes to begin a search with.
    """

    name: str
    error: Callable[[float], float]
    exponent: float
    first_size: int


class Signal(ABC, Generic[CodeT_co]):
    """A shape or an image, prepared to be fitted as often as wanted.

    A kind of signal is a subclass, and owns what only it knows: its plan, its samples, the fields
    of its file, and how its quality is measured. `doh3d.fitting.compress` does the rest.
    """

    scale: ClassVar[QualityScale]

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """Return the kind's name and a digest of the content, by which a checkpoint knows it."""

    @abstractmethod
    def latent_for_bytes(self, size: int) -> int:
        """Latent length whose file is expected to take `size` bytes."""

    def bytes_asked(self, options: CompressOptions) -> int | None:
        """Bytes that the file may have, if the options say so; ConfigError where out of range."""
        return options.max_bytes

    @abstractmethod
    def config(self, options: CompressOptions, latent: int | None = None) -> FitConfig:
        """Configure a fit to a latent of so many numbers, or of as many as the options say."""

    @abstractmethod
    def sample(self, config: FitConfig) -> Samples:
        """Draw the points that a configuration asks for."""

    @abstractmethod
    def code(self, config: FitConfig, latent: ParameterGroup, biases: ParameterGroup) -> CodeT_co:
        """Everything that the file of a fit says."""

    @abstractmethod
    def error(self, data: bytes, config: FitConfig, device: torch.device) -> float:
        """How much what a file decodes to errs: less is better, whatever the unit.

        A quick measure, by which the better of two fits is kept.
        """

    def strays(
        self, data: bytes, config: FitConfig, device: torch.device, *, thorough: bool
    ) -> Samples | None:
        """Sample where what a file decodes to has what the signal has nothing like near it.

        None where there is no such place, and for signals that know none. A thorough search takes
        longer, and finds more.
        """
        return None

    @abstractmethod
    def quality(self, data: bytes, device: torch.device) -> float:
        """Quality of what a file decodes to, on the kind's `scale`, as evaluation measures it."""
