"""What goes with a latent of a given length, whatever the kind of signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from doh3d.fitting.config import FitConfig, LossName, SurfaceSampling
from doh3d.hypernetwork.architecture import Architecture
from doh3d.options import DEFAULT_LATENT, CompressOptions

_SINE_OMEGA = 30


@dataclass(frozen=True)
class Preset:
    """The effort of a fit. A kind's plan says how it grows or falls with the latent.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    batch_size : int
        Points a step.
    pool_size : int
        Points sampled once, from which batches are drawn.
    """

    steps: int
    batch_size: int
    pool_size: int


@dataclass(frozen=True)
class Plan:
    """The network, the schedule and the samples that go with a latent.

    Attributes
    ----------
    architecture : Architecture
        Of one cell's network.
    levels : int
        The domain is cut into 2^levels cells, with such a network each.
    bits : int
        Of a latent number's range.
    rate_weight : float
        lambda of the rate term.
    learning_rate : float
        At its peak.
    effort : Preset
        For this latent.
    solver_effort, loss, surface_sampling, overlap
        See `doh3d.fitting.config.FitConfig`.
    """

    architecture: Architecture
    levels: int
    bits: int
    rate_weight: float
    learning_rate: float
    effort: Preset
    solver_effort: float = 1.0
    loss: LossName = "cross-entropy"
    surface_sampling: SurfaceSampling | None = None
    overlap: float = 0.0


# From a latent's length, a preset's name and the levels of cells, or None for as many as are best.
PlanFunction: TypeAlias = Callable[[int, str, int | None], Plan]


def make_config(
    options: CompressOptions,
    plan_for: PlanFunction,
    latent: int | None = None,
    levels: int | None = None,
) -> FitConfig:
    """Fill a fit's configuration from options and plan, all but where cells lie.

    Parameters
    ----------
    options : CompressOptions
    plan_for : callable
        A kind of signal's plan.
    latent : int, optional
        In place of the options'.
    levels : int, optional
        The domain is cut into 2^levels cells; as many as the plan has unless given.
    """
    if latent is None:
        latent = DEFAULT_LATENT if options.latent is None else options.latent
    sine = options.activation == "sine"
    if levels is None and (options.width is not None or sine):
        # A width that is asked for is that of one network, and sines are not for cells.
        levels = 0
    # A latent out of range is the configuration's to refuse.
    plan = plan_for(max(latent, 1), options.preset, levels)
    network = plan.architecture
    # A sine network encodes frequencies in its first layer.
    octaves = 0 if sine else network.octaves
    architecture = replace(
        network,
        width=network.width if options.width is None else options.width,
        depth=network.depth if options.depth is None else options.depth,
        octaves=octaves if options.octaves is None else options.octaves,
        activation=network.activation if options.activation is None else options.activation,
        omega=_SINE_OMEGA * sine if options.omega is None else options.omega,
    )
    return FitConfig(
        latent=latent,
        levels=plan.levels,
        bits=plan.bits if options.bits is None else options.bits,
        clipped=options.bits is not None,
        quantizer=options.quantizer,
        architecture=architecture,
        projection=options.projection,
        seed=options.seed,
        steps=plan.effort.steps,
        batch_size=plan.effort.batch_size,
        pool_size=plan.effort.pool_size,
        learning_rate=plan.learning_rate,
        rate_weight=plan.rate_weight,
        solver_effort=plan.solver_effort,
        loss=plan.loss,
        surface_sampling=plan.surface_sampling,
        overlap=plan.overlap,
    )
