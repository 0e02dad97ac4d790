"""Volumes in files, whichever format they are in: what is read, and what is written."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doh3d.errors import VolumeError
from doh3d.files import other_kind
from doh3d.geometry.voxel_values import labels_of, occupied_of
from doh3d.geometry.voxels import VoxelGrid, VoxelLattice
from doh3d.volumes.binvox import read_binvox
from doh3d.volumes.nifti import read_nifti
from doh3d.volumes.nrrd_files import read_nrrd
from doh3d.volumes.numpy_files import read_npy, read_npz
from doh3d.volumes.raw_volume import RawVolume

_READERS: dict[str, tuple[str, Callable[[Path], RawVolume]]] = {
    ".nii.gz": ("NIfTI", read_nifti),
    ".nii": ("NIfTI", read_nifti),
    ".nrrd": ("NRRD", read_nrrd),
    ".binvox": ("binvox", read_binvox),
    ".npy": ("NumPy", read_npy),
    ".npz": ("NumPy", read_npz),
}

# What a folder's files of these endings are without a doubt; arrays may be anything.
COLLECTED = (".nii.gz", ".nii", ".nrrd", ".binvox")

# A label of a file: what datasets name a source by.
_SELECTED = re.compile(r"(?P<path>.+)#label=(?P<label>-?\d+)", re.DOTALL)

# A file of more bytes is refused before it is read.
_MOST_BYTES = 1 << 32


@dataclass(frozen=True)
class LabelMap:
    """The labels of a volume.

    Attributes
    ----------
    labels : tuple of int
        All but 0, ascending.
    names : mapping
        What some of them are called.
    """

    labels: tuple[int, ...]
    names: Mapping[int, str]


def volume_ending(path: str | Path) -> str | None:
    """Return the ending that makes a path a volume's, with a label or not; None of others."""
    name = split_label(str(path))[0].lower()
    return next((ending for ending in _READERS if name.endswith(ending)), None)


def split_label(path: str) -> tuple[str, int | None]:
    """Path of a volume's file, and the label that ``path#label=5`` names."""
    found = _SELECTED.fullmatch(path)
    return (path, None) if found is None else (found["path"], int(found["label"]))


def with_label(path: str, label: int | None) -> str:
    """Name a label of a volume's file, as `split_label` takes it apart."""
    return path if label is None else f"{path}#label={label}"


def load_volume(
    path: str | Path,
    *,
    label: int | None = None,
    threshold: float | None = None,
    names: Mapping[int, str] | None = None,
    default_label: int | None = None,
) -> VoxelGrid:
    """Read an occupancy grid.

    Parameters
    ----------
    path : path
        A .nii, .nii.gz, .nrrd, .binvox, .npy or .npz file. An .npz file holds one array, and its
        affine beside it where it has one, named `affine`.
    label : int, optional
        Inside are the voxels of this value: one label of a label map.
    threshold : float, optional
        Inside are the voxels above it.
    names : mapping, optional
        What labels are called, beside what the file says.
    default_label : int, optional
        The label that is taken of a label map where none is named.

    Returns
    -------
    VoxelGrid
        In the file's units: millimetres, in a scan. The world is NIfTI's; an NRRD file's left and
        posterior are turned to right and front.

    Raises
    ------
    VolumeError
        If the file cannot be read, or does not say what is inside; a label map without a label is
        refused with its labels.
    """
    own, selected = split_label(str(path))
    if selected is not None and label not in (None, selected):
        raise VolumeError(f"{path}: names label {selected}, but label is {label}")
    label = selected if label is None else label
    raw, name = read_raw(Path(own)), _named(own)
    known = {**raw.names, **(names or {})}
    found = occupied_of(raw.array, label, threshold, name, known, default_label)
    called = None if found.label is None else known.get(found.label)
    return VoxelGrid(found.occupied, lattice_of(raw, name), found.label, called)


def read_label_map(path: str | Path, names: Mapping[int, str] | None = None) -> LabelMap:
    """List a volume's labels; VolumeError where it cannot be read or is no label map."""
    raw = read_raw(Path(path))
    return LabelMap(tuple(labels_of(raw.array, _named(str(path)))), {**raw.names, **(names or {})})


def read_raw(path: Path) -> RawVolume:
    """Read a volume's file; VolumeError, in one line, where that cannot be."""
    name, ending = _named(str(path)), volume_ending(path)
    if ending is None:
        raise VolumeError(f"{name}: is no volume; supported are {', '.join(_READERS)}")
    other = other_kind(path)
    if other is not None:
        raise VolumeError(f"{name}: is {other}; a volume is needed")
    kind, read = _READERS[ending]
    try:
        size = path.stat().st_size
        if not size:
            raise VolumeError(f"{name}: the file is empty; a volume is needed")
        if size > _MOST_BYTES:
            raise VolumeError(f"{name}: has {size} bytes; at most {_MOST_BYTES} are read")
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return read(path)
    except FileNotFoundError as error:
        raise VolumeError(f"{name}: no such file") from error
    except VolumeError as error:
        told = str(error)
        raise VolumeError(told if told.startswith(name) else f"{name}: {told}") from error
    except ModuleNotFoundError as error:
        raise VolumeError(
            f"{name}: {kind} needs {error.name}; install the extra: pip install 'doh3d[volumes]'"
        ) from error
    # The readers raise every kind of exception on damaged files.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        advice = "" if "; " in reason else f"; a whole {kind} file is needed"
        raise VolumeError(f"{name}: cannot be read as {kind} ({reason}){advice}") from error


def read_lattice(path: str | Path) -> VoxelLattice:
    """Read where a volume's voxels lie."""
    return lattice_of(read_raw(Path(path)), _named(str(path)))


def lattice_of(raw: RawVolume, name: str) -> VoxelLattice:
    """Make the lattice of what was read."""
    try:
        return VoxelLattice.of(_sides(raw.array), raw.affine)
    except VolumeError as error:
        raise VolumeError(f"{name}: {error}") from error


def _sides(array: Any) -> tuple[int, ...]:
    sides = tuple(array.shape)
    while len(sides) > 3 and sides[-1] == 1:
        sides = sides[:-1]
    return sides


def _named(path: str) -> str:
    return " ".join(path.split()) or "."
