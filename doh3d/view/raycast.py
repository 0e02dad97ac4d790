"""Drawing by ray casting on the CPU: neither display nor graphics driver is needed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doh3d.open3d_import import import_open3d
from doh3d.view.stage import Stage

# At a time: bounds the memory.
_RAYS = 2**20


def cast(stage: Stage, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw a stage on white.

    Parameters
    ----------
    stage : Stage
    size : (int, int)
        Width and height in pixels.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ConfigError
        Open3D, or a system library that it needs, is not installed.
    """
    open3d = import_open3d()
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(stage.vertices, stage.faces.astype(np.uint32))
    width, height = size
    drawing = np.full((height, width, 3), 255, dtype=np.uint8)
    rows = max(1, _RAYS // width)
    for top in range(0, height, rows):
        part = drawing[top : top + rows]
        rays = np.zeros((len(part), width, 6), dtype=np.float32)
        rays[..., 0] = ((np.arange(width) + 0.5) / width * 2 - 1) * stage.half_width
        rays[..., 1] = (1 - (top + np.arange(len(part)) + 0.5) / height * 2)[:, None]
        rays[..., 2] = stage.vertices[:, 2].max() + 1
        rays[..., 5] = -1
        hits = scene.cast_rays(open3d.core.Tensor(rays))
        hit = np.isfinite(hits["t_hit"].numpy())
        face = stage.faces[hits["primitive_ids"].numpy()[hit]]
        second, third = hits["primitive_uvs"].numpy()[hit].T
        weights = np.stack([1 - second - third, second, third], axis=1)
        seen = np.einsum("ij,ijk->ik", weights, stage.colours[face])
        part[hit] = np.round(255 * np.clip(seen, 0, 1))
    return drawing
