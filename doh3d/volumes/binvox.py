"""Volumes in binvox files, through trimesh."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from doh3d.geometry.voxels import check_voxel_count
from doh3d.volumes.raw_volume import RawVolume

# A header is a few short lines.
_HEADER_BYTES = 1 << 12


def read_binvox(path: Path) -> RawVolume:
    """Read a binvox file; voxel (i, j, k) lies where trimesh has it."""
    from trimesh.exchange.binvox import load_binvox

    with path.open("rb") as file:
        for line in file.read(_HEADER_BYTES).split(b"\n"):
            if line.startswith(b"dim "):
                sides = tuple(int(side) for side in line.split()[1:])
                check_voxel_count(sides)
                # Each run of voxels takes two bytes, and has one voxel or more.
                if path.stat().st_size > 2 * math.prod(sides) + _HEADER_BYTES:
                    raise ValueError("its runs are more than its voxels; it is damaged")
                break
        file.seek(0)
        voxels = load_binvox(file)
    return RawVolume(np.asarray(voxels.matrix, dtype=np.bool_), np.array(voxels.transform))
