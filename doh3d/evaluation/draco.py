"""Meshes in Draco, the codec that a user would reach for today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from doh3d.errors import ConfigError, FormatError, MeshError

if TYPE_CHECKING:
    import trimesh

# Draco's own default is 14 bits, and DracoPy's level 1: both make Draco look worse than it is.
# At 11 bits a coordinate is off by at most 1/4096 of the longest side, too little to see.
DEFAULT_QUANTIZATION_BITS = 11
DEFAULT_COMPRESSION_LEVEL = 10


def encode_draco(
    mesh: trimesh.Trimesh,
    quantization_bits: int,
    compression_level: int = DEFAULT_COMPRESSION_LEVEL,
) -> bytes:
    """Encode a mesh's positions and faces with Draco, as they are.

    No decimation, no normals, colours or texture coordinates. Vertices and faces may be
    reordered.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        At least one face. Draco keeps float32: a mesh far from the origin is better centred
        first.
    quantization_bits : int
        Bits for each coordinate, 1 to 30. A coordinate moves by at most half a step, of which
        the mesh's longest side has 2^bits - 1.
    compression_level : int
        0 (fast) to 10 (small).

    Returns
    -------
    bytes
        A Draco file.

    Raises
    ------
    ConfigError
        DracoPy is not installed, or an argument is out of its range.
    MeshError
        The mesh has no faces.
    """
    if not 1 <= quantization_bits <= 30:
        raise ConfigError(f"quantization_bits is {quantization_bits}; it must be 1 to 30")
    if not 0 <= compression_level <= 10:
        raise ConfigError(f"compression_level is {compression_level}; it must be 0 to 10")
    if len(mesh.faces) == 0:
        raise MeshError("the mesh has no faces; Draco needs at least one")
    encoded: bytes = _dracopy().encode(
        np.asarray(mesh.vertices, dtype=np.float32),
        faces=np.asarray(mesh.faces, dtype=np.uint32),
        quantization_bits=quantization_bits,
        compression_level=compression_level,
    )
    return encoded


def decode_draco(data: bytes) -> trimesh.Trimesh:
    """Decode a mesh from Draco.

    Parameters
    ----------
    data : bytes
        A Draco file, as `encode_draco` returns it.

    Returns
    -------
    trimesh.Trimesh
        Vertices and faces as decoded, unrepaired.

    Raises
    ------
    ConfigError
        DracoPy is not installed.
    FormatError
        The bytes are no Draco file, or one without faces.
    """
    import trimesh

    dracopy = _dracopy()
    try:
        decoded = dracopy.decode(data)
    except (dracopy.FileTypeException, ValueError) as error:
        raise FormatError(f"not a Draco file: {' '.join(str(error).split())}") from error
    if not isinstance(decoded, dracopy.DracoMesh):
        raise FormatError("the Draco file holds a point cloud; a mesh is needed")
    return trimesh.Trimesh(
        vertices=np.asarray(decoded.points, dtype=np.float64),
        faces=np.asarray(decoded.faces, dtype=np.int64),
        process=False,
    )


def draco_bytes(mesh: trimesh.Trimesh) -> int:
    """Encode a mesh, centred, at 11 bits and level 10, and return the size of the result.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        It may lie anywhere.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ConfigError, MeshError
        As `encode_draco`.
    """
    if len(mesh.faces):
        mesh = mesh.copy()
        mesh.vertices -= mesh.vertices.mean(axis=0)
    return len(encode_draco(mesh, DEFAULT_QUANTIZATION_BITS))


def _dracopy() -> Any:
    try:
        import DracoPy
    except ImportError as error:
        raise ConfigError(
            'DracoPy is not installed; install it with: pip install "doh3d[peers]"'
        ) from error
    return DracoPy
