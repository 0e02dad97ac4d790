"""What a `.doh` file says about one shape, as values. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import Family, SymbolModel, fits
from doh3d.codec.quantization import MAX_QUANTIZED, STEP_COUNT, STEPS
from doh3d.errors import ConfigError
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.limits import MAX_DENSE_FILE_ENTRIES, MAX_LATENTS, MAX_SEED

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

    def check(self) -> None:
        """Raise ConfigError where no file can carry this code."""
        architecture, transform = self.architecture, self.transform
        n = len(self.latent.values)
        if not 1 <= n <= MAX_LATENTS:
            raise ConfigError(f"the latent has {n} numbers; a file holds 1 to {MAX_LATENTS}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"seed is {self.seed}; it must be 0 to {MAX_SEED}")
        if (architecture.in_dim, architecture.out_dim) != (3, 1):
            raise ConfigError("the target network must take 3 numbers and give 1")
        if len(self.biases.values) != architecture.bias_count:
            raise ConfigError(
                f"there are {len(self.biases.values)} biases; "
                f"the target network has {architecture.bias_count}"
            )
        check_dense_size(self.dense_projection, n, architecture)
        if not all(0 <= extent < _EXTENT_STEPS for extent in self.extents):
            raise ConfigError(f"extents are {self.extents}; each must be 0 to {_EXTENT_STEPS - 1}")
        check_transform(transform)
        if not transform.double:
            numbers = np.array([*transform.centre, transform.scale])
            with np.errstate(over="ignore", under="ignore"):
                exact = bool((numbers.astype(np.float32) == numbers).all())
            if not exact:
                raise ConfigError("the transform is not exact in float32; mark it as double")
        self.latent.check("latent")
        self.biases.check("biases")

    @property
    def half_extents(self) -> npt.NDArray[np.float64]:
        """(3,) half sides of the domain box, in normalised coordinates."""
        return domain_half_sides(self.extents)

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        """(2, 3) corners of the domain box, in the mesh's own units."""
        return self.transform.to_world(np.stack([-self.half_extents, self.half_extents]))


def domain_half_sides(extents: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """(3,) half sides of the domain box that extents stand for, in normalised coordinates."""
    return (np.asarray(extents, dtype=np.float64) + 1) / _EXTENT_STEPS


def extents_for(half_sides: npt.ArrayLike) -> tuple[int, int, int]:
    """Smallest extents whose domain box holds one of these (3,) half sides (each <= 1)."""
    needed = np.ceil(np.asarray(half_sides, dtype=np.float64) * _EXTENT_STEPS).astype(int) - 1
    x, y, z = np.clip(needed, 0, _EXTENT_STEPS - 1).tolist()
    return x, y, z


def check_dense_size(dense: bool, n: int, architecture: Architecture) -> None:
    """Raise ConfigError where a dense projection is larger than a file may ask for."""
    entries = n * architecture.weight_count
    if dense and entries > MAX_DENSE_FILE_ENTRIES:
        raise ConfigError(
            f"a dense projection of n * P = {entries} entries is over a file's limit of "
            f"{MAX_DENSE_FILE_ENTRIES}; use hadamard, or a smaller latent or network"
        )


def check_transform(transform: NormalizingTransform) -> None:
    """Raise ConfigError unless the domain's corners are finite numbers."""
    scale = transform.scale
    if not all(math.isfinite(number) for number in (*transform.centre, scale)) or scale <= 0:
        raise ConfigError("the transform must be finite, with a scale above 0")
    if not all(math.isfinite(abs(number) + scale) for number in transform.centre):
        raise ConfigError("the transform overflows")
