"""Many shapes fitted at once on one device, under one configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from doh3d.codec.container import serialize
from doh3d.devices import resolve_device
from doh3d.errors import ConfigError, Doh3dError
from doh3d.fitting.compress import CompressedShape, make_config
from doh3d.fitting.config import FitConfig, Quantizer
from doh3d.fitting.encoding import quantize_fit
from doh3d.fitting.fit import fit_latent
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.preparation import PreparedShape, prepare
from doh3d.fitting.presets import latent_for_bytes
from doh3d.fitting.rate_control import (
    ConfigForLatent,
    check_target,
    encode_to_bytes,
    fit_to_bytes,
    payload_bits_for,
)
from doh3d.fitting.results import FitResult, ProgressFunction
from doh3d.geometry.inputs import MeshInput
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.architecture import Activation, Architecture, ProjectionKind
from doh3d.thread_team import team_of_all_threads

_log = logging.getLogger(__name__)

# Bytes of encoded samples that shapes fitted at once may hold together: a shape's take 34 MB with
# the fast preset. Beyond a dozen shapes more of them bring little.
_POOL_BYTES = 2**29


def fit_many(
    meshes: Iterable[MeshInput],
    *,
    max_bytes: int | None = None,
    preset: str = "default",
    latent: int | None = None,
    bits: int | None = None,
    quantizer: Quantizer = "qat",
    width: int | None = None,
    depth: int = 3,
    octaves: int | None = None,
    activation: Activation = "smooth",
    omega: int | None = None,
    projection: ProjectionKind = "hadamard",
    mirror: bool = True,
    seed: int = 0,
    device: str = "auto",
    progress: ProgressFunction | None = None,
) -> list[CompressedShape]:
    """Compress many meshes at once: for small files several times faster than one by one.

    Each is as good as `compress` makes it alone. Its bytes may differ, since the last digits of
    batched arithmetic depend on the batch: the same meshes in the same order give the same files
    on the same machine.

    Parameters
    ----------
    meshes : iterable of paths or meshes
        Each as `compress` takes it.
    max_bytes, preset, ..., device
        As of `compress`, for all meshes.
    progress : callable, optional
        Called every 50 steps with a `FitProgress`: means over the shapes that are fitted
        together, which are those with the same mirror planes.

    Returns
    -------
    list of CompressedShape
        In the order of the meshes.

    Raises
    ------
    MeshError
        If a mesh cannot be read or encloses no volume.
    ConfigError
        If an option is out of range, or contradicts another.
    Doh3dError
        If a shape cannot be fitted.
    """
    options: dict[str, Any] = {
        "preset": preset,
        "bits": bits,
        "quantizer": quantizer,
        "width": width,
        "depth": depth,
        "octaves": octaves,
        "activation": activation,
        "omega": omega,
        "projection": projection,
        "seed": seed,
    }
    config = make_config(latent=latent, **options)
    torch_device = resolve_device(device)
    if max_bytes is not None:
        check_target(max_bytes, None, latent, bits, quantizer)
    if isinstance(meshes, str | Path):
        raise ConfigError(f"meshes is {str(meshes)!r}; it must be a list of meshes")
    shapes = [prepare(mesh) for mesh in meshes]
    if max_bytes is None:
        found = fit_shapes(shapes, config, mirror=mirror, device=torch_device, progress=progress)
    else:
        found = fit_shapes_to_bytes(
            shapes,
            max_bytes,
            lambda n: make_config(latent=n, **options),
            mirror=mirror,
            device=torch_device,
            progress=progress,
        )
    compressed = []
    for shape in found:
        if isinstance(shape, Doh3dError):
            raise shape
        compressed.append(shape)
    return compressed


def fit_shapes(
    shapes: Sequence[PreparedShape],
    config: FitConfig,
    *,
    mirror: bool = True,
    device: torch.device,
    progress: ProgressFunction | None = None,
) -> list[CompressedShape | Doh3dError]:
    """Fit prepared shapes under one configuration, each with its own mirror planes.

    One that cannot be fitted has its error in its place, and costs the others nothing.
    """

    def alone(shape: PreparedShape) -> CompressedShape:
        own = shape.adapt(config, mirror=mirror)
        result = fit_latent(shape.sample(own), own, device=device)
        return CompressedShape(serialize(quantize_fit(result, own, shape)), own)

    found = fit_together(shapes, config, mirror=mirror, device=device, progress=progress)
    return _with_those_alone(shapes, found, alone)


def fit_shapes_to_bytes(
    shapes: Sequence[PreparedShape],
    max_bytes: int,
    config_for_latent: ConfigForLatent,
    *,
    mirror: bool = True,
    device: torch.device,
    progress: ProgressFunction | None = None,
) -> list[CompressedShape | Doh3dError]:
    """Fit prepared shapes to files of at most `max_bytes`, otherwise as `fit_shapes`.

    Those whose size the first fit misses are fitted alone, see `fit_to_bytes`.
    """

    def alone(shape: PreparedShape) -> CompressedShape:
        encoded = fit_to_bytes(
            shape,
            max_bytes,
            lambda n: shape.adapt(config_for_latent(n), mirror=mirror),
            device=device,
        )
        return CompressedShape(encoded.data, encoded.config)

    found = fit_together(
        shapes,
        config_for_latent(latent_for_bytes(max_bytes)),
        max_bytes=max_bytes,
        mirror=mirror,
        device=device,
        progress=progress,
    )
    return _with_those_alone(shapes, found, alone)


def fit_together(
    shapes: Sequence[PreparedShape],
    config: FitConfig,
    *,
    max_bytes: int | None = None,
    mirror: bool = True,
    device: torch.device,
    progress: ProgressFunction | None = None,
) -> list[CompressedShape | Doh3dError | None]:
    """Fit those of the shapes that can be fitted together, as many at once as memory allows.

    Parameters
    ----------
    shapes : sequence of PreparedShape
    config : FitConfig
        With `max_bytes`, of the latent that such files are expected to have.
    max_bytes : int, optional
        Of each file, see `fit_to_bytes`.

    Returns
    -------
    list of CompressedShape, Doh3dError or None
        An error for a shape that cannot be fitted; None for one that is to be fitted alone: it is
        to have cells, no other has its mirror planes, it has diverged, or its size was missed.
    """
    found: dict[int, CompressedShape | Doh3dError] = {}
    groups: dict[Architecture, list[int]] = {}
    for number, shape in enumerate(shapes):
        try:
            own = shape.adapt(config, mirror=mirror)
        except Doh3dError as error:
            found[number] = error
        else:
            # Cells are a shape's own, and networks enough for a step; here they have no place.
            if not own.architecture.partition.levels:
                groups.setdefault(own.architecture, []).append(number)
    for architecture, members in groups.items():
        own = replace(config, architecture=architecture)
        at_once = _shapes_at_once(own)
        for first in range(0, len(members), at_once):
            pools: dict[int, OccupancySamples] = {}
            for number in members[first : first + at_once]:
                try:
                    pools[number] = shapes[number].sample(own)
                except Doh3dError as error:
                    found[number] = error
            # One alone takes the way of `compress`, to the same bytes.
            if len(pools) < 2:
                continue
            bits = None
            if max_bytes is not None:
                bits = [payload_bits_for(shapes[number], own, max_bytes) for number in pools]
            results = fit_latents(
                list(pools.values()), own, device=device, payload_bits=bits, progress=progress
            )
            for number, result in zip(pools, results, strict=True):
                if result is None:
                    _log.warning("shape %d diverged; it is fitted alone", number)
                    continue
                data = _encoded(result, own, shapes[number], max_bytes)
                if data is not None:
                    found[number] = CompressedShape(data, own, together=len(pools))
    return [found.get(number) for number in range(len(shapes))]


def fit_latents(
    samples: Sequence[OccupancySamples],
    config: FitConfig,
    *,
    device: torch.device,
    payload_bits: Sequence[float] | None = None,
    progress: ProgressFunction | None = None,
) -> list[FitResult | None]:
    """Optimise a latent and biases for each of K shapes at once, as `fit_latent` does for one.

    Parameters
    ----------
    samples : sequence of OccupancySamples
        All of one length.
    config : FitConfig
        Of all shapes; its optimiser is "curvature".
    payload_bits : sequence of float, optional
        Bits that each shape's latent and biases are to take at most.

    Returns
    -------
    list of FitResult or None
        None for a shape that has diverged: empty or full, or not finite.
    """
    if not samples:
        return []
    with team_of_all_threads() as team:
        optimisation = Optimisation(samples, config, config.learning_rate, device, team=team)
        sound = optimisation.run(progress, payload_bits=payload_bits)
        results = optimisation.results()
        return [result if each else None for result, each in zip(results, sound, strict=True)]


def _with_those_alone(
    shapes: Sequence[PreparedShape],
    found: Sequence[CompressedShape | Doh3dError | None],
    alone: Callable[[PreparedShape], CompressedShape],
) -> list[CompressedShape | Doh3dError]:
    """Put those that are to be fitted alone, or their errors, into their places."""
    complete: list[CompressedShape | Doh3dError] = []
    for shape, each in zip(shapes, found, strict=True):
        try:
            complete.append(alone(shape) if each is None else each)
        except Doh3dError as error:
            complete.append(error)
    return complete


def _encoded(
    result: FitResult, config: FitConfig, shape: PreparedShape, max_bytes: int | None
) -> bytes | None:
    """Return a fit's file; None where it does not meet the size."""
    if max_bytes is None:
        return serialize(quantize_fit(result, config, shape))
    return encode_to_bytes(result, config, shape, max_bytes)


def _shapes_at_once(config: FitConfig) -> int:
    bytes_each = 4 * config.pool_size * config.architecture.encoded_dim
    return max(1, _POOL_BYTES // bytes_each)
