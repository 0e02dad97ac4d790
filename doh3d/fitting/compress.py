"""The whole way from a mesh to the bytes of a `.doh` file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doh3d.codec.container import parse, serialize
from doh3d.codec.shape_code import ShapeCode
from doh3d.devices import resolve_device
from doh3d.errors import ConfigError
from doh3d.evaluation.evaluate import mesh_iou
from doh3d.field import OccupancyField
from doh3d.files import write_atomically
from doh3d.fitting.config import FitConfig, ProjectionKind, Quantizer
from doh3d.fitting.encoding import quantize_fit
from doh3d.fitting.fit import ProgressFunction, fit_latent
from doh3d.fitting.preparation import PreparedShape, prepare
from doh3d.fitting.presets import (
    DEFAULT_LATENT,
    find_preset,
    plan_for_latent,
    steps_for_width,
)
from doh3d.fitting.rate_control import check_max_bytes, check_min_iou, fit_to_bytes, fit_to_iou
from doh3d.hypernetwork.architecture import Activation, Architecture

if TYPE_CHECKING:
    import trimesh

_SINE_OMEGA = 30
_DEFAULT_BITS = 8


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
    bits: int | None = None,
    quantizer: Quantizer = "qat",
    width: int | None = None,
    depth: int = 3,
    octaves: int | None = None,
    activation: Activation = "relu",
    omega: int | None = None,
    projection: ProjectionKind = "hadamard",
    seed: int = 0,
) -> FitConfig:
    """Fill a fit's configuration from preset and plan; see `compress` for the parameters."""
    effort = find_preset(preset)
    latent = DEFAULT_LATENT if latent is None else latent
    # A latent out of range is the configuration's to refuse.
    plan = plan_for_latent(max(latent, 1))
    sine = activation == "sine"
    if octaves is None:
        # A sine network encodes frequencies in its first layer.
        octaves = 0 if sine else plan.octaves
    architecture = Architecture(
        width=plan.width if width is None else width,
        depth=depth,
        octaves=octaves,
        activation=activation,
        omega=omega if omega is not None else (_SINE_OMEGA if sine else 0),
    )
    return FitConfig(
        latent=latent,
        bits=_DEFAULT_BITS if bits is None else bits,
        quantizer=quantizer,
        architecture=architecture,
        projection=projection,
        seed=seed,
        steps=steps_for_width(effort.steps, architecture.width),
        batch_size=effort.batch_size,
        learning_rate=plan.learning_rate,
        rate_weight=plan.rate_weight,
        pool_size=round(effort.pool_size * plan.pool_factor),
        near_surface_std=plan.near_surface_std,
    )


def compress(
    mesh: str | Path | trimesh.Trimesh,
    *,
    max_bytes: int | None = None,
    min_iou: float | None = None,
    preset: str = "default",
    latent: int | None = None,
    bits: int | None = None,
    quantizer: Quantizer = "qat",
    width: int | None = None,
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
    max_bytes : int, optional
        Make a file of at most so many bytes, 300 to 64,000, and of at least 95% of them.
    min_iou : float, optional
        Make the smallest file whose extracted mesh (resolution 256) reaches this IoU by the
        bbox protocol; several fits.
    preset : "fast", "default" or "best"
        How long to optimise.
    latent : int, optional
        Numbers in the latent, n, where neither size nor quality is asked for; 1100 (about a
        kilobyte) unless given.
    bits : int, optional
        Bits of a latent's range, 2 to 16, before entropy coding; 32 keeps float32. 8 unless
        given.
    quantizer : "qat" or "ptq"
        Quantisation-aware training, or rounding afterwards.
    width, depth, octaves : int
        Target network: neurons a hidden layer, hidden layers, octaves of positional encoding.
        Width and octaves follow the latent's length unless given (no octaves with sine).
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
        If an option is out of range, or contradicts another.
    TargetError
        If no file of at most 64,000 bytes reaches `min_iou`; it carries the best one.
    """

    def config_for_latent(n: int | None) -> FitConfig:
        return make_config(
            preset=preset,
            latent=n,
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

    config = config_for_latent(latent)
    torch_device = resolve_device(device)
    if max_bytes is None and min_iou is None:
        return compress_with(mesh, config, device=device, progress=progress)
    _check_target(max_bytes, min_iou, latent, bits, quantizer)
    shape = prepare(mesh)
    if max_bytes is not None:
        encoded = fit_to_bytes(
            shape, max_bytes, config_for_latent, device=torch_device, progress=progress
        )
    else:
        assert min_iou is not None
        encoded = fit_to_iou(
            shape,
            min_iou,
            config_for_latent,
            _extracted_iou(shape, device),
            device=torch_device,
            progress=progress,
        )
    return CompressedShape(encoded.data, encoded.config)


def compress_with(
    mesh: str | Path | trimesh.Trimesh,
    config: FitConfig,
    *,
    device: str = "auto",
    progress: ProgressFunction | None = None,
) -> CompressedShape:
    """Compress a mesh under a full configuration; otherwise as `compress`."""
    torch_device = resolve_device(device)
    shape = prepare(mesh)
    result = fit_latent(shape.sample(config), config, device=torch_device, progress=progress)
    return CompressedShape(serialize(quantize_fit(result, config, shape)), config)


def _check_target(
    max_bytes: int | None,
    min_iou: float | None,
    latent: int | None,
    bits: int | None,
    quantizer: Quantizer,
) -> None:
    if max_bytes is not None and min_iou is not None:
        raise ConfigError("max_bytes and min_iou contradict each other; give one of them")
    if max_bytes is not None:
        check_max_bytes(max_bytes)
    if min_iou is not None:
        check_min_iou(min_iou)
    name = "max_bytes" if max_bytes is not None else "min_iou"
    if latent is not None:
        raise ConfigError(f"latent and {name} contradict each other; give one of them")
    if bits is not None or quantizer != "qat":
        raise ConfigError(f"{name} chooses the quantisation by itself; leave out bits and ptq")


def _extracted_iou(shape: PreparedShape, device: str) -> Callable[[bytes], float]:
    """Measure files as `doh3d eval` does by default."""

    def measure(data: bytes) -> float:
        mesh = OccupancyField(parse(data), device).to_mesh()
        return mesh_iou(shape.mesh, mesh).iou

    return measure
