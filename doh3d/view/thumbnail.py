"""Small pictures of meshes, for pages and notebooks: no display, driver or file is needed."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from doh3d.view.picture import side_by_side

if TYPE_CHECKING:
    import trimesh
    from PIL import Image

# Of a panel's height, above the shape, where a larger picture has a title.
_TITLE_SHARE = 0.09


def draw_panels(
    meshes: Sequence[trimesh.Trimesh], *, pixels: int, up: Literal["x", "y", "z"] = "y"
) -> list[Image.Image]:
    """Draw each mesh by ray casting, all by the same projection, into a square of its own.

    Raises
    ------
    ConfigError
        Open3D, or a system library that it needs, is not installed; or no mesh has faces.
    """
    from PIL import Image

    height = round(pixels / (1 - _TITLE_SHARE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panels.png"
        size = (pixels * len(meshes), height)
        side_by_side(meshes, [""] * len(meshes), path, size=size, up=up)
        picture = Image.open(io.BytesIO(path.read_bytes()))
    top = height - pixels
    return [
        picture.crop((index * pixels, top, (index + 1) * pixels, height))
        for index in range(len(meshes))
    ]


def to_bytes(picture: Image.Image, kind: Literal["PNG", "WEBP"]) -> bytes:
    """Return a picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return buffer.getvalue()
