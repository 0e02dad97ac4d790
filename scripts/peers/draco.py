"""Reading what Draco has written."""

from __future__ import annotations

import numpy as np
import trimesh

from doh3d.errors import ConfigError, FormatError


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
    try:
        import DracoPy
    except ImportError as error:
        raise ConfigError(
            'DracoPy is not installed; install it with: pip install "doh3d[peers]"'
        ) from error
    try:
        decoded = DracoPy.decode(data)
    except (DracoPy.FileTypeException, ValueError) as error:
        raise FormatError(f"not a Draco file: {' '.join(str(error).split())}") from error
    if not isinstance(decoded, DracoPy.DracoMesh):
        raise FormatError("the Draco file holds a point cloud; a mesh is needed")
    return trimesh.Trimesh(
        vertices=np.asarray(decoded.points, dtype=np.float64),
        faces=np.asarray(decoded.faces, dtype=np.int64),
        process=False,
    )
