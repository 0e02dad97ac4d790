"""What a fit is told, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from doh3d.codec.quantization import GRADES, nearest_step_index
from doh3d.codec.signal_code import check_dense_size
from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Architecture, ProjectionKind
from doh3d.limits import MAX_LATENTS, MAX_LEVELS, MAX_SEED
from doh3d.options import Quantizer

Optimizer = Literal["curvature", "adam"]
LossName = Literal["cross-entropy", "log-squared-error"]

MIN_BITS = 2
MAX_BITS = 16
FLOAT_BITS = 32
_MAX_GRADED_BITS = MAX_BITS - (GRADES - 1)


@dataclass(frozen=True)
class SurfaceSampling:
    """Where a shape's samples lie, in normalised units: the mesh's longest side is 1.8.

    Attributes
    ----------
    near_fraction : float
        Share of the samples near the surface; the rest is uniform in the domain box.
    near_std : float
        Standard deviation of their distance's components.
    softness : float
        Scale of the occupancy's fall from 1 to 0 across the surface, for samples near it; 0 for
        a step.
    """

    near_fraction: float = 0.7
    near_std: float = 0.01
    softness: float = 0.002

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 <= self.near_fraction <= 1:
            raise ConfigError(f"near_fraction is {self.near_fraction}; it must be 0 to 1")
        if not (self.near_std > 0 and math.isfinite(self.near_std)):
            raise ConfigError(f"near_std is {self.near_std}; it must be above 0")
        if not (self.softness >= 0 and math.isfinite(self.softness)):
            raise ConfigError(f"softness is {self.softness}; it must be at least 0")


@dataclass(frozen=True)
class FitConfig:
    """How one signal is fitted and quantised.

    Attributes
    ----------
    latent : int
        Numbers in the latent, n.
    bits : int
        Bits of a latent's range of levels, 2 to 16, by which its step is chosen; 32 keeps float32.
        Entropy coding then spends fewer.
    clipped : bool
        Whether numbers beyond that range are cut off, as who asks for bits expects. Otherwise the
        range is the widest that a file can have; used by "qat" only.
    quantizer : "qat" or "ptq"
        Quantisation-aware training, or rounding after it.
    architecture : Architecture
        Where there are to be cells, of one cell at first: `PreparedShape.adapt` and
        `PreparedImage.adapt` make it.
    levels : int
        Cuts between the whole domain and a cell: 2^levels cells, 0 to 6.
    projection : "hadamard" or "dense"
    seed : int
        Of the projection, the initial latent, the samples and the noise, 0 to 65535.
    steps : int
        Optimiser steps.
    batch_size : int
        Points a step.
    learning_rate : float
        At the peak of the one-cycle schedule: about the share by which a step changes the
        weights; Adam's is in units of the latent.
    rate_weight : float
        lambda in the mean loss + lambda * estimated bits; used by "qat" only.
    rounding_start : float
        Share of the steps after which rounding begins; used by "qat" only.
    graded : bool
        Whether the latent's numbers that are rounded last, whose errors no others make up for,
        are rounded more finely; used by "qat" only. See `doh3d.codec.quantization.grade_parts`.
    bias_step : float
        Quantisation step of the biases.
    pool_size : int
        Points sampled once, from which batches are drawn.
    surface_sampling : SurfaceSampling, optional
        Where in the domain the pool lies; of shapes only.
    overlap : float
        How far beyond a cell's faces its network is shown samples, in half sides of the cell.
    optimizer : "curvature" or "adam"
        Of the latent: `doh3d.fitting.descent.LatentDescent`, or Adam.
    solver_effort : float
        Iterations of the curvature's solver in each step, as a share of what it takes by itself.
    importance_sampling : bool
        Whether samples are drawn from the pool by their errors, see
        `doh3d.fitting.batches.ImportanceSampling`, or batches are slices of it in turn.
    loss : "cross-entropy" or "log-squared-error"
        Mean cross-entropy of logits against occupancy in [0, 1]; or the logarithm of the mean
        squared error of values in [-1, 1], over points and their numbers: PSNR but for a factor,
        so that one rate weight serves signals that are hard to fit and signals that are easy.
    """

    latent: int
    bits: int = 7
    clipped: bool = True
    quantizer: Quantizer = "qat"
    architecture: Architecture = field(default_factory=Architecture)
    levels: int = 0
    projection: ProjectionKind = "hadamard"
    seed: int = 0
    steps: int = 3000
    batch_size: int = 8192
    learning_rate: float = 0.4
    rate_weight: float = 1.5e-5
    rounding_start: float = 0.65
    graded: bool = True
    bias_step: float = 2.0**-6
    pool_size: int = 600_000
    surface_sampling: SurfaceSampling | None = SurfaceSampling()
    overlap: float = 0.0
    optimizer: Optimizer = "curvature"
    solver_effort: float = 1.0
    importance_sampling: bool = True
    loss: LossName = "cross-entropy"

    def __post_init__(self) -> None:
        """Check ranges and contradictions."""
        if not 1 <= self.latent <= MAX_LATENTS:
            raise ConfigError(f"latent is {self.latent}; it must be 1 to {MAX_LATENTS}")
        if not (MIN_BITS <= self.bits <= MAX_BITS or self.bits == FLOAT_BITS):
            raise ConfigError(
                f"bits is {self.bits}; it must be {MIN_BITS} to {MAX_BITS}, "
                f"or {FLOAT_BITS} to keep float32"
            )
        if self.quantizer not in ("qat", "ptq"):
            raise ConfigError(f"quantizer is {self.quantizer!r}; it must be 'qat' or 'ptq'")
        if not 0 <= self.levels <= MAX_LEVELS:
            raise ConfigError(f"levels is {self.levels}; it must be 0 to {MAX_LEVELS}")
        if self.projection not in ("hadamard", "dense"):
            raise ConfigError(f"projection is {self.projection!r}; it must be hadamard or dense")
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"seed is {self.seed}; it must be 0 to {MAX_SEED}")
        check_dense_size(self.projection == "dense", self.latent, self.architecture)
        for name, positive in (
            ("steps", self.steps),
            ("batch_size", self.batch_size),
            ("pool_size", self.pool_size),
            ("learning_rate", self.learning_rate),
            ("bias_step", self.bias_step),
            ("solver_effort", self.solver_effort),
        ):
            if not (positive > 0 and math.isfinite(positive)):
                raise ConfigError(f"{name} is {positive}; it must be above 0")
        if not 0 <= self.rounding_start <= 1:
            raise ConfigError(f"rounding_start is {self.rounding_start}; it must be 0 to 1")
        for name, number in (("rate_weight", self.rate_weight), ("overlap", self.overlap)):
            if not (number >= 0 and math.isfinite(number)):
                raise ConfigError(f"{name} is {number}; it must be at least 0")
        if self.optimizer not in ("curvature", "adam"):
            raise ConfigError(f"optimizer is {self.optimizer!r}; it must be curvature or adam")
        losses = get_args(LossName)
        if self.loss not in losses:
            raise ConfigError(f"loss is {self.loss!r}; it must be {' or '.join(losses)}")
        if self.loss == "cross-entropy" and self.architecture.out_dim != 1:
            raise ConfigError(
                f"the network gives {self.architecture.out_dim} numbers; cross-entropy takes 1"
            )

    @property
    def quantization_aware(self) -> bool:
        """Whether training sees the quantiser."""
        return self.quantizer == "qat" and self.bits != FLOAT_BITS

    @property
    def graded_training(self) -> bool:
        """Whether training rounds to graded steps; the largest levels leave no room for them."""
        return self.graded and self.quantization_aware and self.bits <= _MAX_GRADED_BITS

    @property
    def range_bits(self) -> int:
        """Bits of the range that the latent's levels keep within.

        The longest numbers of a fit grow to dozens of its steps, and take a finer step to meet a
        size: what cuts them off undoes what has been learnt, and they get no gradient any more.
        """
        if self.clipped or not self.quantization_aware:
            return self.bits
        return _MAX_GRADED_BITS if self.graded_training else MAX_BITS

    @property
    def training_step_index(self) -> int:
        """Index of the latent's step that training begins with: of graded ones the finest."""
        octaves = GRADES - 1 if self.graded_training else 0
        return nearest_step_index(self.training_step / 2**octaves)

    @property
    def training_step(self) -> float:
        """Latent step that quantisation-aware training asks for, of graded ones the coarsest.

        A latent of n numbers starts with standard deviation 1 / sqrt(n); with 8 bits that is
        eight steps, and each bit more halves the step: a range of 16 deviations either way.
        Below 5 bits the range shrinks instead, since with steps beyond a deviation most
        numbers would round to zero and stay there.
        """
        return float(2.0 ** (5 - max(self.bits, 5)) / math.sqrt(self.latent))
