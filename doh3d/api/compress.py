"""Compression of whatever there is: meshes and images, in files or in memory, one or many."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from doh3d.api.compressed import Compressed, CompressedImage, CompressedShape
from doh3d.codec.signal_code import SignalCode
from doh3d.devices import resolve_device
from doh3d.errors import ConfigError, Doh3dError
from doh3d.evaluation.triangles import cheaper_triangles
from doh3d.files import check_output
from doh3d.fitting.compress import compress_signal
from doh3d.fitting.rate_control import Encoded
from doh3d.fitting.results import ProgressFunction
from doh3d.fitting.signal import Signal
from doh3d.fitting.together import fit_together
from doh3d.geometry.inputs import MeshInput
from doh3d.geometry.reading import Reading
from doh3d.geometry.voxels import VoxelGrid
from doh3d.images.files import ImageInput
from doh3d.options import CompressOptions, takes_options
from doh3d.signals.grid import PreparedGrid, prepare_source
from doh3d.signals.image import PreparedImage, check_image_options, prepare_image
from doh3d.signals.shape import PreparedShape, check_shape_options

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

CompressedT = TypeVar("CompressedT", bound=Compressed)


@takes_options("shape")
def compress(
    mesh: MeshInput | VoxelGrid | Reading | PreparedShape,
    *,
    label: int | None = None,
    threshold: float | None = None,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: ProgressFunction | None = None,
    **options: Any,
) -> CompressedShape:
    """Compress a mesh, or an occupancy grid, to the bytes of a `.doh` file.

    A grid is learned, and measured, at the centres of its voxels; the file says where they are, and
    its units are those of the grid's affine.

    Where, of a mesh, fewer triangles in Draco would have the same IoU in at least a tenth fewer
    bytes, the log and `CompressedShape.warnings` say so. It takes a second or so to find out, is
    not tried above 500,000 faces, and needs the extra `peers`.

    Parameters
    ----------
    mesh : path, mesh, (vertices, faces), VoxelGrid, array, Reading or PreparedShape
        PLY, OBJ, STL, OFF, GLB, glTF or 3MF; or a grid in NIfTI, NRRD, binvox, .npy or .npz. Or a
        grid in memory: a `doh3d.VoxelGrid`, or an array (I, J, K). Or a mesh in memory, which is
        not changed: a `trimesh.Trimesh` or `Scene`, an Open3D mesh (of either of its APIs), or a
        pair of vertices (V, 3) and faces (F, 3), numpy arrays or torch tensors. Or one that
        `doh3d.geometry.reading.read_shape` has read or `doh3d.signals.shape.prepare` prepared.
    label, threshold : int, float, optional
        Which voxels of a grid are inside, see `doh3d.load_volume`.
    **options
    device : "auto", "cpu", "cuda" or "mps"
    checkpoint : path, optional
        Keep in this file, every few seconds, what an interrupted compression goes on from: the
        same call takes it up, and gives the bytes that it would have given undisturbed.
        `CompressedShape.save` removes it.
    progress : callable, optional
        Called with a `FitProgress` every 50 steps.

    Raises
    ------
    MeshError, VolumeError
        If the mesh or the grid cannot be read, or encloses no volume.
    ConfigError
        If an option is out of range, or contradicts another; or if the checkpoint is damaged or
        belongs to another mesh, other options or another version.
    TargetError
        If no file of at most 64,000 bytes reaches `min_iou`; it carries the best one.
    """
    asked = CompressOptions(**options)
    check_shape_options(asked)
    torch_device = _checked(device, checkpoint)
    shape = prepare_source(mesh, label=label, threshold=threshold, exact=asked.exact)
    compressed = _compressed(CompressedShape, shape, asked, torch_device, progress, checkpoint)
    if isinstance(shape, PreparedGrid):
        return compressed
    field = compressed.field(device)
    triangles = cheaper_triangles(shape.mesh, field.occupancy, len(compressed.data))
    if triangles is None:
        return compressed
    _log.warning("%s", triangles)
    return replace(compressed, warnings=(str(triangles),))


@takes_options("image")
def compress_image(
    image: ImageInput | PreparedImage,
    *,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: ProgressFunction | None = None,
    **options: Any,
) -> CompressedImage:
    """Compress an image to the bytes of a `.doh` file.

    Of `max_bytes`, `bpp`, `min_psnr` and `latent` one is given, or none for 0.15 bpp.

    Parameters
    ----------
    image : path or (height, width), (height, width, 1) or (height, width, 3) uint8
        PNG, JPEG or WebP of 8 bits, grey or RGB; or pixels.
    **options
    device, checkpoint, progress
        As of `compress`.

    Raises
    ------
    ImageError
        If the file is no such image, or the pixels are not of such a shape.
    ConfigError
        If an option is out of range, or contradicts another.
    TargetError
        If no file of at most 64,000 bytes reaches `min_psnr`; it carries the best one.
    """
    asked = CompressOptions(**options)
    check_image_options(asked)
    torch_device = _checked(device, checkpoint)
    prepared = prepare_image(image)
    return _compressed(CompressedImage, prepared, asked, torch_device, progress, checkpoint)


@takes_options("shape", without=("min_iou",))
def fit_many(
    meshes: Iterable[MeshInput | VoxelGrid | Reading | PreparedShape],
    *,
    device: str = "auto",
    progress: ProgressFunction | None = None,
    **options: Any,
) -> list[CompressedShape]:
    """Compress many meshes at once: several times faster than one by one on a GPU.

    On a CPU so are small files; larger ones take as long as one by one.

    Each is as good as `compress` makes it alone. Its bytes may differ, since the last digits of
    batched arithmetic depend on the batch: the same meshes in the same order give the same files
    on the same machine. Where triangles would be shorter, nobody says so, as `compress` does.

    Parameters
    ----------
    meshes : iterable of paths, meshes or grids
        Each as `compress` takes it.
    **options
    device : "auto", "cpu", "cuda" or "mps"
    progress : callable, optional
        Called every 50 steps with a `FitProgress`: means over the shapes that are fitted
        together, which are those with as many mirror planes and cells.

    Returns
    -------
    list of CompressedShape
        In the order of the meshes.

    Raises
    ------
    MeshError, VolumeError
        If a mesh or a grid cannot be read, or encloses no volume.
    ConfigError
        If an option is out of range, or contradicts another.
    Doh3dError
        If a shape cannot be fitted.
    """
    asked = CompressOptions(**options)
    check_shape_options(asked)
    torch_device = resolve_device(device)
    if isinstance(meshes, str | Path):
        raise ConfigError(f"meshes is {str(meshes)!r}; it must be a list of meshes")
    shapes = [prepare_source(mesh, exact=asked.exact) for mesh in meshes]
    compressed = []
    for encoded in fit_together(shapes, asked, device=torch_device, progress=progress):
        if isinstance(encoded, Doh3dError):
            raise encoded
        compressed.append(_of(CompressedShape, encoded))
    return compressed


def _checked(device: str, checkpoint: str | Path | None) -> torch.device:
    """Find the device, and refuse bad arguments before anything is read."""
    if checkpoint is not None:
        check_output(checkpoint)
    return resolve_device(device)


def _compressed(
    kind: type[CompressedT],
    signal: Signal[SignalCode],
    options: CompressOptions,
    device: torch.device,
    progress: ProgressFunction | None,
    checkpoint: str | Path | None,
) -> CompressedT:
    encoded = compress_signal(
        signal, options, device=device, progress=progress, checkpoint=checkpoint
    )
    return _of(kind, encoded, checkpoint)


def _of(
    kind: type[CompressedT], encoded: Encoded, checkpoint: str | Path | None = None
) -> CompressedT:
    kept = None if checkpoint is None else Path(checkpoint)
    return kind(encoded.data, encoded.config, kept, encoded.together)
