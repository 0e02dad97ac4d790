"""The whole way from a mesh to the bytes of a `.doh` file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doh3d.codec.container import parse, serialize
from doh3d.codec.inspection import describe
from doh3d.codec.shape_code import ShapeCode
from doh3d.devices import resolve_device
from doh3d.errors import TargetError
from doh3d.evaluation.evaluate import mesh_iou
from doh3d.field import OccupancyField
from doh3d.files import check_output, write_atomically
from doh3d.fitting.checkpoint import Checkpoint
from doh3d.fitting.config import FitConfig, Quantizer
from doh3d.fitting.encoding import quantize_fit
from doh3d.fitting.fit import ProgressFunction
from doh3d.fitting.preparation import PreparedShape, prepare
from doh3d.fitting.presets import (
    DEFAULT_LATENT,
    batch_for_latent,
    find_preset,
    plan_for_latent,
    pool_for_latent,
    steps_for_latent,
)
from doh3d.fitting.rate_control import (
    IOU,
    Encoded,
    check_target,
    fit_to_bytes,
    fit_to_quality,
)
from doh3d.fitting.resumable import fit_signal, identity
from doh3d.geometry.inputs import MeshInput
from doh3d.hypernetwork.architecture import Activation, Architecture, ProjectionKind
from doh3d.interop.notebook import summary
from doh3d.limits import Limits

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
    checkpoint : Path or None
        What the compression could have been taken up from; no longer needed once saved.
    together : int
        How many shapes were fitted at once, see `doh3d.fit_many`; 1 for one alone.
    """

    data: bytes
    config: FitConfig
    checkpoint: Path | None = None
    together: int = 1

    @property
    def code(self) -> ShapeCode:
        """What the file holds."""
        return parse(self.data, Limits.of_format())

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all, and remove the checkpoint.

        Raises
        ------
        ConfigError
            If the file cannot be written; the checkpoint is then still there.
        """
        write_atomically(path, self.data)
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)

    def field(self, device: str = "auto") -> OccupancyField:
        """Decode the bytes to the field that anyone who loads the file gets."""
        return OccupancyField(self.code, device)

    def __repr__(self) -> str:
        """Bytes, latent and network in one line."""
        return summary("CompressedShape", describe(self.code))

    def _repr_html_(self) -> str | None:
        """Show the decoded shape and its sizes in a notebook; text without the extra `view`."""
        return self.field()._repr_html_()


def make_config(
    *,
    preset: str = "default",
    latent: int | None = None,
    bits: int | None = None,
    quantizer: Quantizer = "qat",
    width: int | None = None,
    depth: int = 3,
    octaves: int | None = None,
    activation: Activation = "smooth",
    omega: int | None = None,
    levels: int | None = None,
    projection: ProjectionKind = "hadamard",
    seed: int = 0,
) -> FitConfig:
    """Fill a fit's configuration from preset and plan; see `compress` for the parameters.

    Space is cut into 2^levels cells; as many as the plan has unless that is given.
    """
    effort = find_preset(preset)
    latent = DEFAULT_LATENT if latent is None else latent
    # A latent out of range is the configuration's to refuse.
    known = max(latent, 1)
    sine = activation == "sine"
    if levels is None and (width is not None or sine):
        # A width that is asked for is that of one network, and sines are not for cells.
        levels = 0
    plan = plan_for_latent(known, levels)
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
        levels=plan.levels,
        bits=plan.bits if bits is None else bits,
        quantizer=quantizer,
        architecture=architecture,
        projection=projection,
        seed=seed,
        steps=steps_for_latent(effort.steps, known),
        batch_size=batch_for_latent(effort.batch_size, known),
        learning_rate=plan.learning_rate,
        rate_weight=plan.rate_weight,
        pool_size=pool_for_latent(effort, plan),
        near_surface_fraction=plan.near_surface_fraction,
        near_surface_std=plan.near_surface_std,
    )


def compress(
    mesh: MeshInput | PreparedShape,
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
    activation: Activation = "smooth",
    omega: int | None = None,
    projection: ProjectionKind = "hadamard",
    mirror: bool = True,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: ProgressFunction | None = None,
) -> CompressedShape:
    """Compress a mesh to the bytes of a `.doh` file.

    Parameters
    ----------
    mesh : path, mesh, (vertices, faces) or PreparedShape
        PLY, OBJ, STL, OFF, GLB, glTF or 3MF. Or a mesh in memory, which is not changed: a
        `trimesh.Trimesh` or `Scene`, an Open3D mesh (of either of its APIs), or a pair of
        vertices (V, 3) and faces (F, 3), numpy arrays or torch tensors. Or one that
        `doh3d.fitting.preparation.prepare` has prepared.
    max_bytes : int, optional
        Make a file of at most so many bytes, 300 to 64,000, and of at least 95% of them.
    min_iou : float, optional
        Make the smallest file whose extracted mesh (resolution 256) reaches this IoU by the
        bbox protocol; several fits.
    preset : "fast", "default" or "best"
        How long to optimise.
    latent : int, optional
        Numbers in the latent, n, where neither size nor quality is asked for; 1370 (about a
        kilobyte) unless given.
    bits : int, optional
        Bits of a latent's range, 2 to 16, before entropy coding; 32 keeps float32. 6, or 7
        where space is cut into cells (from 2,937 numbers on), unless given.
    quantizer : "qat" or "ptq"
        Quantisation-aware training, or rounding afterwards.
    width, depth, octaves : int
        Target network: neurons a hidden layer, hidden layers, octaves of positional encoding.
        Width and octaves follow the latent's length unless given (no octaves with sine).
    activation : "smooth", "relu" or "sine"
        Of the target network's layers; smooth is a ReLU with a rounded corner.
    omega : int, optional
        Frequency of the sine activation, 30 unless given.
    projection : "hadamard" or "dense"
    mirror : bool
        Whether to store only one side of what is its own mirror image about the middle of its
        box, along one axis or several.
    seed : int
        0 to 65535. The same seed gives the same file on the same machine.
    device : "auto", "cpu", "cuda" or "mps"
    checkpoint : path, optional
        Keep in this file, every few seconds, what an interrupted compression goes on from: the
        same call takes it up, and gives the bytes that it would have given undisturbed.
        `CompressedShape.save` removes it.
    progress : callable, optional
        Called with a `FitProgress` every 50 steps.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    ConfigError
        If an option is out of range, or contradicts another; or if the checkpoint is damaged or
        belongs to another mesh, other options or another version.
    TargetError
        If no file of at most 64,000 bytes reaches `min_iou`; it carries the best one.
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

    # Bad options are to be known before the mesh is read.
    make_config(latent=latent, **options)
    torch_device = resolve_device(device)
    if max_bytes is not None or min_iou is not None:
        check_target(max_bytes, min_iou, latent, bits, quantizer)
    if checkpoint is not None:
        check_output(checkpoint)
    shape = mesh if isinstance(mesh, PreparedShape) else prepare(mesh)

    def config_for_latent(n: int | None) -> FitConfig:
        return shape.adapt(make_config(latent=n, **options), mirror=mirror)

    kept = None
    if checkpoint is not None:
        goals = {"max_bytes": max_bytes, "min_iou": min_iou, "latent": latent, "mirror": mirror}
        kept = Checkpoint(checkpoint, identity(shape, torch_device) | goals | options)
    if max_bytes is not None:
        encoded = fit_to_bytes(
            shape,
            max_bytes,
            config_for_latent,
            device=torch_device,
            progress=progress,
            checkpoint=kept,
        )
    elif min_iou is not None:
        try:
            encoded = fit_to_quality(
                shape,
                min_iou,
                config_for_latent,
                _extracted_iou(shape, device),
                scale=IOU,
                device=torch_device,
                progress=progress,
                checkpoint=kept,
            )
        except TargetError:
            # The search has come to its end, if not to its goal.
            if kept is not None:
                kept.path.unlink(missing_ok=True)
            raise
    else:
        config = config_for_latent(latent)
        result = fit_signal(shape, config, device=torch_device, progress=progress, checkpoint=kept)
        encoded = Encoded(serialize(quantize_fit(result, config, shape)), config)
    return CompressedShape(encoded.data, encoded.config, None if kept is None else kept.path)


def compress_with(
    mesh: MeshInput,
    config: FitConfig,
    *,
    device: str = "auto",
    progress: ProgressFunction | None = None,
) -> CompressedShape:
    """Compress a mesh under a full configuration; otherwise as `compress`."""
    torch_device = resolve_device(device)
    shape = prepare(mesh)
    if config.levels:
        config = shape.adapt(config, mirror=bool(config.architecture.mirrored))
    result = fit_signal(shape, config, device=torch_device, progress=progress)
    return CompressedShape(serialize(quantize_fit(result, config, shape)), config)


def _extracted_iou(shape: PreparedShape, device: str) -> Callable[[bytes], float]:
    """Measure files as `doh3d eval` does by default."""

    def measure(data: bytes) -> float:
        mesh = OccupancyField(parse(data, Limits.of_format()), device).to_mesh()
        return mesh_iou(shape.reading, mesh).iou

    return measure
