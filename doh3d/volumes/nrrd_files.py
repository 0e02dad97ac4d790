"""Volumes in NRRD files, through pynrrd."""

from __future__ import annotations

import bz2
import io
import math
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from doh3d.geometry.voxels import VoxelLattice, check_voxel_count
from doh3d.volumes.raw_volume import RawVolume

# Axes of a space that point the other way than NIfTI's, where x is to the right, y to the front and
# z up. Spaces that name no directions are taken as they are.
_TURNED = {"left": 0, "posterior": 1, "inferior": 2}
_SHORT = {"L": "left", "P": "posterior", "I": "inferior"}

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gz": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "bz2": bz2.BZ2Decompressor,
}
_DECOMPRESSORS |= {"gzip": _DECOMPRESSORS["gz"], "bzip2": _DECOMPRESSORS["bz2"]}
_CHUNK_BYTES = 1 << 20

# Bytes of the widest number that a voxel may be.
_MOST_ITEM = 8

_SEGMENT = re.compile(r"Segment(\d+)_LabelValue")


def read_nrrd(path: Path) -> RawVolume:
    """Read an NRRD file, with the names of its segments where 3D Slicer wrote them."""
    import nrrd

    with path.open("rb") as file:
        header = nrrd.read_header(file)
        sizes = tuple(int(side) for side in header["sizes"])
        check_voxel_count(sizes)
        if "data file" in header or "datafile" in header:
            raise ValueError("its data are in another file; one file with both is needed")
        _check_unfolded(file, str(header.get("encoding", "raw")), math.prod(sizes) * _MOST_ITEM)
        array = nrrd.read_data(header, file, str(path))
    affine = _affine(header) if array.ndim == 3 else None
    return RawVolume(np.asarray(array), affine, _names(header))


def _check_unfolded(file: IO[bytes], encoding: str, most: int) -> None:
    """Raise ValueError where compressed data unfold to more than voxels take; pynrrd would not."""
    make = _DECOMPRESSORS.get(encoding)
    if make is None:
        return
    place, decompressor, found = file.tell(), make(), 0
    while not decompressor.eof and found <= most:
        data = getattr(decompressor, "unconsumed_tail", b"")
        if not data and getattr(decompressor, "needs_input", True):
            data = file.read(_CHUNK_BYTES)
            if not data:
                break
        found += len(decompressor.decompress(data, _CHUNK_BYTES))
    file.seek(place)
    if found > most:
        raise ValueError(f"its data unfold to more than {most} bytes; its voxels take less")


def nrrd_bytes(array: npt.NDArray[Any], lattice: VoxelLattice) -> bytes:
    """Return an NRRD file, compressed by gzip, in the space of left, posterior and superior."""
    import nrrd

    matrix = _turn(lattice.matrix, "left-posterior-superior")
    header = {
        "space": "left-posterior-superior",
        "space directions": matrix[:3, :3].T,
        "space origin": matrix[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
    }
    buffer = io.BytesIO()
    nrrd.write(buffer, array, header, index_order="F")
    return buffer.getvalue()


def _affine(header: Any) -> npt.NDArray[np.float64] | None:
    affine = np.eye(4)
    if "space directions" in header:
        # A row for each axis of the grid.
        affine[:3, :3] = np.asarray(header["space directions"], dtype=np.float64).T
    elif "spacings" in header:
        affine[:3, :3] = np.diag(np.asarray(header["spacings"], dtype=np.float64))
    if "space origin" in header:
        affine[:3, 3] = np.asarray(header["space origin"], dtype=np.float64)
    return _turn(affine, str(header.get("space", "")))


def _turn(affine: npt.NDArray[np.float64], space: str) -> npt.NDArray[np.float64]:
    """Negate the coordinates that point the other way; exact, and its own inverse."""
    words = space.split("-")
    if len(words) == 1 and len(space) == 3 and space.isupper():
        words = [_SHORT.get(letter, letter) for letter in space]
    turned = affine.copy()
    for word in words:
        if word in _TURNED:
            turned[_TURNED[word]] *= -1.0
    # No number is -0, which would not be equal to the bit when it comes back.
    turned[turned == 0] = 0.0
    return turned


def _names(header: Any) -> dict[int, str]:
    names = {}
    for key, value in header.items():
        found = _SEGMENT.fullmatch(key)
        name = found and header.get(f"Segment{found[1]}_Name")
        if name:
            names[int(value)] = " ".join(str(name).split())
    return names
