"""Volumes in NIfTI files, through nibabel."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from doh3d.geometry.voxels import VoxelLattice, check_voxel_count
from doh3d.volumes.raw_volume import RawVolume

if TYPE_CHECKING:
    import nibabel

# What an extension of the header holds that Connectome Workbench, and others since, write.
_CARET = 30


def read_nifti(path: Path) -> RawVolume:
    """Read a NIfTI file: values as they are stored where the header does not scale them."""
    import nibabel

    # By its content's type, not by its name's ending alone: nibabel opens other formats as well.
    kind = nibabel.Nifti1Image
    try:
        image = kind.from_filename(path)
    except nibabel.filebasedimages.ImageFileError:
        kind = nibabel.Nifti2Image
        image = kind.from_filename(path)
    check_voxel_count(image.shape)
    proxy: Any = image.dataobj
    array = proxy.get_unscaled() if (proxy.slope, proxy.inter) == (1, 0) else np.asanyarray(proxy)
    return RawVolume(np.asarray(array), np.array(image.affine, np.float64), _label_table(image))


def nifti_bytes(
    array: npt.NDArray[Any], lattice: VoxelLattice, *, like: Path | None, compressed: bool
) -> bytes:
    """Return a NIfTI-1 file.

    Parameters
    ----------
    array : (I, J, K) uint8, or a wider type of integers
    lattice : VoxelLattice
        NIfTI keeps an affine in float32.
    like : Path, optional
        A NIfTI file whose orientation is taken over as it stands there, byte for byte.
    compressed : bool
        By gzip.
    """
    import nibabel

    image = nibabel.Nifti1Image(array, lattice.matrix, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    header = None if like is None else _header_of(like)
    if header is not None:
        for name in _PLACE_FIELDS:
            image.header[name] = header[name]
        image.header["pixdim"][:4] = header["pixdim"][:4]
        image.header["xyzt_units"] = header["xyzt_units"]
        # What nibabel would otherwise make of the affine when it writes.
        image = nibabel.Nifti1Image(array, None, image.header, dtype=array.dtype)
    data: bytes = image.to_bytes()
    # The same bytes whenever they are written.
    return gzip.compress(data, mtime=0) if compressed else data


_PLACE_FIELDS = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
)


def _header_of(path: Path) -> Any:
    """Return the header of a NIfTI-1 file; None of any other."""
    import nibabel

    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return None
    try:
        return nibabel.Nifti1Image.from_filename(path).header
    except nibabel.filebasedimages.ImageFileError:
        return None


def _label_table(image: nibabel.Nifti1Image) -> dict[int, str]:
    """Names of labels, where an extension of the header has them."""
    names: dict[int, str] = {}
    for extension in image.header.extensions:
        if extension.get_code() != _CARET and b"<LabelTable>" not in _content(extension):
            continue
        try:
            root = ElementTree.fromstring(_content(extension).strip(b"\0 \n\t"))
        except ElementTree.ParseError:
            continue
        for label in root.iter("Label"):
            key, text = label.get("Key", ""), " ".join((label.text or "").split())
            if key.lstrip("-").isdigit() and text:
                names[int(key)] = text
    return names


def _content(extension: Any) -> bytes:
    content = extension.get_content()
    return content if isinstance(content, bytes) else str(content).encode()
