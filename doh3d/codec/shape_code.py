"""What a `.doh` file says about one shape, as values. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.quantization import STEPS
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture

_EXTENT_STEPS = 32


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


@dataclass(frozen=True)
class ShapeCode:
    """Everything a `.doh` file says about one shape.

    Attributes
    ----------
    architecture : Architecture
        The target network, 3 numbers in and 1 out.
    dense_projection : bool
        Whether the projection is ``dense``; otherwise ``hadamard``.
    seed : int
        Of the projection, 0 to 65535.
    transform : NormalizingTransform
    extents : three integers, 0 to 31
        The field's domain is the box of half side (e + 1) / 32 around 0, in normalised
        coordinates; beyond it everything is outside.
    latent, biases : ParameterGroup
    """

    architecture: Architecture
    dense_projection: bool
    seed: int
    transform: NormalizingTransform
    extents: tuple[int, int, int]
    latent: ParameterGroup
    biases: ParameterGroup

    @property
    def half_extents(self) -> npt.NDArray[np.float64]:
        """(3,) half sides of the domain box, in normalised coordinates."""
        return (np.asarray(self.extents, dtype=np.float64) + 1) / _EXTENT_STEPS

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        """(2, 3) corners of the domain box, in the mesh's own units."""
        return self.transform.to_world(np.stack([-self.half_extents, self.half_extents]))


def extents_for(half_sides: npt.ArrayLike) -> tuple[int, int, int]:
    """Smallest extents whose domain box holds one of these (3,) half sides (each <= 1)."""
    needed = np.ceil(np.asarray(half_sides, dtype=np.float64) * _EXTENT_STEPS).astype(int) - 1
    x, y, z = np.clip(needed, 0, _EXTENT_STEPS - 1).tolist()
    return x, y, z
