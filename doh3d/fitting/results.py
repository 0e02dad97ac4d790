"""What a fit reports on its way, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doh3d.fitting.checkpoint import State


@dataclass(frozen=True)
class FitProgress:
    """Where a fit stands.

    Attributes
    ----------
    step, steps : int
    loss : float
        Of the last batch: mean cross-entropy in nats, or mean squared error.
    estimated_bytes : float
        Latent and biases under the rate model; 0 where they are not quantised in training.
    """

    step: int
    steps: int
    loss: float
    estimated_bytes: float


@dataclass(frozen=True)
class FitResult:
    """An optimised latent, not yet quantised.

    Attributes
    ----------
    latent : (n,) float32
    biases : (bias_count,) float32
    latent_step_index : int
        Step that training rounded to; meaningless where training was not quantisation-aware.
    learning_rate : float
        The one that converged.
    """

    latent: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    latent_step_index: int
    learning_rate: float

    @property
    def is_finite(self) -> bool:
        """Whether all its numbers are."""
        return bool(np.isfinite(self.latent).all() and np.isfinite(self.biases).all())

    def to_arrays(self) -> State:
        """As arrays, for a checkpoint."""
        return {
            "latent": self.latent,
            "biases": self.biases,
            "latent_step_index": np.array(self.latent_step_index),
            "learning_rate": np.array(self.learning_rate),
        }

    @classmethod
    def from_arrays(cls, state: State) -> FitResult:
        """Undo `to_arrays`."""
        return cls(
            latent=state["latent"],
            biases=state["biases"],
            latent_step_index=int(state["latent_step_index"]),
            learning_rate=float(state["learning_rate"]),
        )


ProgressFunction = Callable[[FitProgress], None]
