"""Writing volumes: a mask, or a map of labels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError, VolumeError
from doh3d.files import check_output, write_atomically
from doh3d.geometry.voxels import VoxelLattice
from doh3d.volumes.files import volume_ending
from doh3d.volumes.nifti import nifti_bytes
from doh3d.volumes.nrrd_files import nrrd_bytes

WRITTEN = (".nii.gz", ".nii", ".nrrd", ".npy", ".npz")


def check_volume_output(path: str | Path) -> None:
    """Raise ConfigError unless a volume can be written at `path`."""
    check_output(path)
    if volume_ending(path) not in WRITTEN:
        raise ConfigError(f"{path}: volumes are written as {', '.join(WRITTEN)}")


def save_volume(
    array: npt.NDArray[Any], lattice: VoxelLattice, path: str | Path, *, like: Path | None = None
) -> None:
    """Write a volume, whole or not at all.

    Parameters
    ----------
    array : (I, J, K) bool, or integers from 0 to 65535
    lattice : VoxelLattice
        An .npy file has no place for its affine; NIfTI keeps it in float32.
    path : path
        A .nii, .nii.gz, .nrrd, .npy or .npz file.
    like : Path, optional
        Where both are NIfTI files, its orientation is taken over as it stands there.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    VolumeError
        If a library is missing.
    """
    check_volume_output(path)
    ending = volume_ending(path)
    numbers = array.astype(np.uint8 if array.max(initial=0) < 256 else np.uint16, copy=False)
    try:
        if ending in (".nii", ".nii.gz"):
            data = nifti_bytes(numbers, lattice, like=like, compressed=ending == ".nii.gz")
        elif ending == ".nrrd":
            data = nrrd_bytes(numbers, lattice)
        else:
            data = _numpy_bytes(array, lattice, alone=ending == ".npy")
    except ModuleNotFoundError as error:
        raise VolumeError(
            f"{path}: writing it needs {error.name}; install the extra: pip install "
            "'doh3d[volumes]'"
        ) from error
    write_atomically(path, data)


def _numpy_bytes(array: npt.NDArray[Any], lattice: VoxelLattice, *, alone: bool) -> bytes:
    buffer = io.BytesIO()
    if alone:
        np.save(buffer, array)
    else:
        np.savez_compressed(buffer, mask=array, affine=lattice.matrix)
    return buffer.getvalue()
