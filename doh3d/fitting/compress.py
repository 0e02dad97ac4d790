"""The whole way from a mesh to the bytes of a `.doh` file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.codec.container import parse, serialize
from doh3d.codec.entropy import Family, SymbolModel, choose_model
from doh3d.codec.quantization import best_step_index, nearest_step_index, quantize
from doh3d.codec.shape_code import ParameterGroup, ShapeCode, extents_for
from doh3d.devices import resolve_device
from doh3d.errors import ConfigError
from doh3d.field import OccupancyField
from doh3d.files import write_atomically
from doh3d.fitting.config import FLOAT_BITS, MAX_BITS, FitConfig, ProjectionKind, Quantizer
from doh3d.fitting.fit import FitResult, ProgressFunction, fit_latent
from doh3d.fitting.presets import find_preset
from doh3d.geometry.mesh import clean_mesh, load_mesh
from doh3d.geometry.sampling import sample_occupancy
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Activation, Architecture

if TYPE_CHECKING:
    import trimesh

# Room between the shape and its domain box, in normalised units: 2.5% of the longest side.
DOMAIN_MARGIN = 0.045

_SINE_OMEGA = 30


@dataclass(frozen=True)
class CompressedShape:
    """A shape as the bytes of a `.doh` file.

    Attributes
    ----------
    data : bytes
        The file; its length is the rate.
    config : FitConfig
        What the fit was told.
    """

    data: bytes
    config: FitConfig

    @property
    def code(self) -> ShapeCode:
        """What the file holds."""
        return parse(self.data)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; ConfigError where it cannot be written."""
        write_atomically(path, self.data)

    def field(self, device: str = "auto") -> OccupancyField:
        """Decode the bytes to the field that anyone who loads the file gets."""
        return OccupancyField(self.code, device)


def make_config(
    *,
    preset: str = "default",
    latent: int | None = None,
    bits: int = 8,
    quantizer: Quantizer = "qat",
    width: int = 40,
    depth: int = 3,
    octaves: int | None = None,
    activation: Activation = "relu",
    omega: int | None = None,
    projection: ProjectionKind = "hadamard",
    seed: int = 0,
) -> FitConfig:
    """Fill a fit's configuration from a preset; see `compress` for the parameters."""
    chosen = find_preset(preset)
    sine = activation == "sine"
    if octaves is None:
        # A sine network encodes frequencies in its first layer.
        octaves = 0 if sine else 3
    architecture = Architecture(
        width=width,
        depth=depth,
        octaves=octaves,
        activation=activation,
        omega=omega if omega is not None else (_SINE_OMEGA if sine else 0),
    )
    return FitConfig(
        latent=latent if latent is not None else chosen.latent,
        bits=bits,
        quantizer=quantizer,
        architecture=architecture,
        projection=projection,
        seed=seed,
        steps=chosen.steps,
        batch_size=chosen.batch_size,
        pool_size=chosen.pool_size,
    )


def compress(
    mesh: str | Path | trimesh.Trimesh,
    *,
    preset: str = "default",
    latent: int | None = None,
    bits: int = 8,
    quantizer: Quantizer = "qat",
    width: int = 40,
    depth: int = 3,
    octaves: int | None = None,
    activation: Activation = "relu",
    omega: int | None = None,
    projection: ProjectionKind = "hadamard",
    seed: int = 0,
    device: str = "auto",
    progress: ProgressFunction | None = None,
) -> CompressedShape:
    """Compress a mesh to the bytes of a `.doh` file.

    Parameters
    ----------
    mesh : path or trimesh.Trimesh
        PLY, OBJ, STL, OFF, GLB, glTF or 3MF; or a mesh in memory, which is not changed.
    preset : "fast", "default" or "best"
        How long to optimise.
    latent : int, optional
        Numbers in the latent, n: what the file's size follows. The preset's, unless given.
    bits : int
        Bits of a latent's range, 2 to 16, before entropy coding; 32 keeps float32.
    quantizer : "qat" or "ptq"
        Quantisation-aware training, or rounding afterwards.
    width, depth, octaves : int
        Target network: neurons a hidden layer, hidden layers, octaves of positional encoding
        (3 with ReLU and 0 with sine, unless given).
    activation : "relu" or "sine"
    omega : int, optional
        Frequency of the sine activation, 30 unless given.
    projection : "hadamard" or "dense"
    seed : int
        0 to 65535. The same seed gives the same file on the same machine.
    device : "auto", "cpu", "cuda" or "mps"
    progress : callable, optional
        Called with a `FitProgress` every 50 steps.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    ConfigError
        If an option is out of range.
    """
    config = make_config(
        preset=preset,
        latent=latent,
        bits=bits,
        quantizer=quantizer,
        width=width,
        depth=depth,
        octaves=octaves,
        activation=activation,
        omega=omega,
        projection=projection,
        seed=seed,
    )
    return compress_with(mesh, config, device=device, progress=progress)


def compress_with(
    mesh: str | Path | trimesh.Trimesh,
    config: FitConfig,
    *,
    device: str = "auto",
    progress: ProgressFunction | None = None,
) -> CompressedShape:
    """Compress a mesh under a full configuration; otherwise as `compress`."""
    torch_device = resolve_device(device)
    clean = load_mesh(mesh) if isinstance(mesh, str | Path) else clean_mesh(mesh, "mesh")
    transform = NormalizingTransform.from_bounds(clean.bounds)
    normalized = clean.copy()
    normalized.vertices = transform.to_normalized(clean.vertices)
    half_sides = np.abs(normalized.bounds).max(axis=0) + DOMAIN_MARGIN
    extents = extents_for(half_sides)
    samples = sample_occupancy(
        normalized,
        (np.asarray(extents) + 1) / 32,
        config.pool_size,
        near_surface_fraction=config.near_surface_fraction,
        near_surface_std=config.near_surface_std,
        seed=config.seed,
    )
    if not samples.inside.any():
        raise ConfigError(
            f"none of {len(samples.inside)} sampled points is inside the mesh: "
            "its walls are too thin to be represented"
        )
    result = fit_latent(samples, config, device=torch_device, progress=progress)
    code = quantize_fit(result, config, transform, extents)
    return CompressedShape(serialize(code), config)


def quantize_fit(
    result: FitResult,
    config: FitConfig,
    transform: NormalizingTransform,
    extents: tuple[int, int, int],
) -> ShapeCode:
    """Round a fit's latent and biases as its configuration says, and choose their models."""
    if config.bits == FLOAT_BITS:
        latent, biases = _raw(result.latent), _raw(result.biases)
    else:
        if config.quantization_aware:
            latent_step = result.latent_step_index
        else:
            latent_step = best_step_index(result.latent, config.bits)
        latent = _quantized(result.latent, latent_step, config.bits)
        biases = _quantized(result.biases, nearest_step_index(config.bias_step), MAX_BITS)
    return ShapeCode(
        architecture=config.architecture,
        dense_projection=config.projection == "dense",
        seed=config.seed,
        transform=transform,
        extents=extents,
        latent=latent,
        biases=biases,
    )


def _raw(values: npt.NDArray[np.float32]) -> ParameterGroup:
    return ParameterGroup(values, 0, SymbolModel(Family.RAW_FLOAT32, 0))


def _quantized(values: npt.NDArray[np.float32], step_index: int, bits: int) -> ParameterGroup:
    levels = quantize(values, step_index, bits)
    return ParameterGroup(levels, step_index, choose_model(levels))
