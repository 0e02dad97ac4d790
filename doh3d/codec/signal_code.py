"""What a `.doh` file says about a signal of any kind, as values. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import Family, SymbolModel, fits
from doh3d.codec.extras import NO_EXTRAS, Extras
from doh3d.codec.frame import ByteReader
from doh3d.codec.quantization import MAX_QUANTIZED, STEP_COUNT, STEPS
from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Activation, Architecture
from doh3d.hypernetwork.partition import Box
from doh3d.limits import MAX_DENSE_FILE_ENTRIES, MAX_LATENTS, MAX_SEED, Limits


@dataclass(frozen=True)
class ParameterGroup:
    """Latents or biases as a file carries them.

    Attributes
    ----------
    values : (N,) int64 levels, or (N,) float32 under the RAW_FLOAT32 family
    step_index : int
        Level 1 stands for ``STEPS[step_index]``; 0 where the values are raw.
    model : SymbolModel
        What the levels are entropy-coded with.
    """

    values: npt.NDArray[Any]
    step_index: int
    model: SymbolModel

    @property
    def is_raw(self) -> bool:
        """Whether the values are unquantised float32."""
        return self.model.family == Family.RAW_FLOAT32

    @property
    def step(self) -> float:
        """What level 1 stands for."""
        return float(STEPS[self.step_index])

    def check(self, name: str) -> None:
        """Raise ConfigError, naming the group, where no file can carry it."""
        if not 0 <= self.step_index < STEP_COUNT:
            raise ConfigError(f"{name}: step index {self.step_index} is not in the step table")
        if self.is_raw:
            if self.step_index != 0 or not np.isfinite(self.values).all():
                raise ConfigError(f"{name}: raw values must be finite, with step index 0")
        elif not fits(self.values, self.model):
            raise ConfigError(
                f"{name}: a level is beyond {MAX_QUANTIZED}, or beyond what its entropy model codes"
            )


@dataclass(frozen=True, kw_only=True)
class SignalCode(ABC):
    """What files of every kind say: a target network, and the numbers that make its weights.

    A kind is a subclass. Its own are features 0 to 5, and fields of the header before the cells,
    which it writes, reads and checks; `doh3d.codec.kinds` lists it.

    Attributes
    ----------
    architecture : Architecture
        The target network.
    dense_projection : bool
        Whether the projection is ``dense``; otherwise ``hadamard``.
    seed : int
        Of the projection, 0 to 65535.
    latent, biases : ParameterGroup
    extras : Extras
        What the file says beside the signal.
    """

    # The kind's number, what such a file holds, as messages call it, and what decodes it.
    number: ClassVar[int]
    held: ClassVar[str]
    decoded_by: ClassVar[str]
    # Those of features 0 to 5 that it has, as bits.
    own_features: ClassVar[int]
    # What a file need not say of the network: its activation, and hidden layers and octaves where
    # there are standard ones.
    standard_activation: ClassVar[Activation]
    standard_layers: ClassVar[tuple[int, int] | None]

    architecture: Architecture
    dense_projection: bool
    seed: int
    latent: ParameterGroup
    biases: ParameterGroup
    extras: Extras = NO_EXTRAS

    def check(self) -> None:
        """Raise ConfigError where no file can carry this code."""
        n = len(self.latent.values)
        if not 1 <= n <= MAX_LATENTS:
            raise ConfigError(f"the latent has {n} numbers; a file holds 1 to {MAX_LATENTS}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"seed is {self.seed}; it must be 0 to {MAX_SEED}")
        if len(self.biases.values) != self.architecture.bias_count:
            raise ConfigError(
                f"there are {len(self.biases.values)} biases; "
                f"the target network has {self.architecture.bias_count}"
            )
        check_dense_size(self.dense_projection, n, self.architecture)
        self.check_signal()
        self.latent.check("latent")
        self.biases.check("biases")

    @abstractmethod
    def check_signal(self) -> None:
        """Raise ConfigError where what is of this kind of signal only is out of its range."""

    @abstractmethod
    def pack_fields(self) -> tuple[int, bytes, bytes]:
        """Return the kind's own features, its own fields, and the transform, which ends them."""

    @classmethod
    @abstractmethod
    def network_of_features(cls, features: int) -> dict[str, Any]:
        """Return arguments of `Architecture` by name."""

    @classmethod
    @abstractmethod
    def read_fields(
        cls, reader: ByteReader, features: int, limits: Limits
    ) -> tuple[dict[str, Any], Box]:
        """Read the kind's own fields: arguments of the class by name, and the box of any cells.

        Raises FormatError or ConfigError where a field is out of its range, or beyond `limits`.
        """


def check_dense_size(dense: bool, n: int, architecture: Architecture) -> None:
    """Raise ConfigError where a dense projection is larger than a file may ask for."""
    entries = n * architecture.weight_count
    if dense and entries > MAX_DENSE_FILE_ENTRIES:
        raise ConfigError(
            f"a dense projection of n * P = {entries} entries is over a file's limit of "
            f"{MAX_DENSE_FILE_ENTRIES}; use hadamard, or a smaller latent or network"
        )
