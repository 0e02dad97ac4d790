"""Small pictures of meshes, for pages and notebooks: no display, driver or file is needed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from doh3d.view.camera import Camera
from doh3d.view.raycast import cast
from doh3d.view.stage import Panel, set_stage

if TYPE_CHECKING:
    import trimesh
    from PIL import Image

# Drawn at this many times the size and then reduced, which smooths the edges.
_SUPERSAMPLING = 2


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

    stage = set_stage([Panel(mesh, ()) for mesh in meshes], Camera(up=up), 1.0)
    side = pixels * _SUPERSAMPLING
    drawing = Image.fromarray(cast(stage, (side * len(meshes), side)))
    picture = drawing.resize((pixels * len(meshes), pixels), Image.Resampling.LANCZOS)
    return [
        picture.crop((index * pixels, 0, (index + 1) * pixels, pixels))
        for index in range(len(meshes))
    ]


def to_bytes(picture: Image.Image, kind: Literal["PNG", "WEBP"]) -> bytes:
    """Return a picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return buffer.getvalue()
