"""Volumes in .npy and .npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from doh3d.geometry.voxels import check_voxel_count
from doh3d.volumes.raw_volume import RawVolume

# The array of an .npz file that is no volume; `writing.py` calls it so as well.
AFFINE_KEY = "affine"


def read_npy(path: Path) -> RawVolume:
    """Read the array of an .npy file."""
    with path.open("rb") as file:
        return RawVolume(_array(file))


def read_npz(path: Path) -> RawVolume:
    """Read the one array of an .npz file, and its affine where it has one, named `affine`."""
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        volumes = [key for key in members if key != AFFINE_KEY]
        if len(volumes) != 1:
            held = ", ".join(members) or "none"
            raise ValueError(f"it holds the arrays {held}; one beside {AFFINE_KEY!r} is needed")
        affine = None
        if AFFINE_KEY in members:
            with archive.open(members[AFFINE_KEY]) as file:
                affine = _array(file)
        with archive.open(members[volumes[0]]) as file:
            return RawVolume(_array(file), affine)


def _array(file: IO[bytes]) -> npt.NDArray[Any]:
    """Read an array whose header says that it is not too large; objects are never unpickled."""
    version = npy_format.read_magic(file)
    read_header = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"its version is {version[0]}.{version[1]}; it must be 1.0 or 2.0")
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects; numbers are needed")
    check_voxel_count(shape)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"it ends after {len(data)} of {size} bytes; a whole file is needed")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
