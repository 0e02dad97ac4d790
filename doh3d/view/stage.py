"""Shapes side by side in front of a camera: what every renderer draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.view.camera import Camera
from doh3d.view.shading import Surface, shade

if TYPE_CHECKING:
    import trimesh

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Of each panel's width and height, left free around the meshes.
_MARGIN = 0.06


@dataclass(frozen=True)
class Panel:
    """One shape of a picture, and what is written under it.

    Attributes
    ----------
    mesh : trimesh.Trimesh
        In the same unit and place as the others'; one without faces leaves its panel empty.
    caption : tuple of str
        Its lines.
    colours : (V, 3) float or None
        Red, green and blue of the mesh's vertices in [0, 1]; clay where None.
    """

    mesh: trimesh.Trimesh
    caption: tuple[str, ...]
    colours: FloatArray | None = None


@dataclass(frozen=True)
class Stage:
    """Triangles in view axes, with their light, from y = -1 to 1 and around x = 0.

    Attributes
    ----------
    vertices : (V, 3) float32
        Right, upward, towards the viewer.
    faces : (F, 3) int32
    colours : (V, 3) float32
        Red, green and blue of the vertices as they are seen, in [0, 1].
    half_width : float
        The largest |x| that is drawn.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    colours: npt.NDArray[np.float32]
    half_width: float


def set_stage(panels: Sequence[Panel], camera: Camera, aspect: float) -> Stage:
    """Put the panels' meshes next to each other, all at one scale and seen alike.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    camera : Camera
    aspect : float
        Width of a panel in units of its height.

    Raises
    ------
    ConfigError
        No mesh has faces.
    """
    meshes = [panel.mesh for panel in panels if len(panel.mesh.faces)]
    if not meshes:
        raise ConfigError("the meshes have no faces; at least one must have some")
    # Without vertices of no face.
    corners = np.concatenate([np.asarray(mesh.triangles).reshape(-1, 3) for mesh in meshes])
    to_view = camera.axes.T
    # From float64 places of any size to a scene around the origin of about size one.
    middle = corners.min(axis=0) / 2 + corners.max(axis=0) / 2
    view = (corners - middle) @ to_view
    low, high = view.min(axis=0), view.max(axis=0)
    half_width, half_height = (high - low)[:2] / 2 / (1 - 2 * _MARGIN)
    scale = max(half_width / aspect, half_height) or 1.0
    vertices, faces, colours, count = [], [], [], 0
    for index, panel in enumerate(panels):
        if not len(panel.mesh.faces):
            continue
        seen = ((np.asarray(panel.mesh.vertices) - middle) @ to_view - (low + high) / 2) / scale
        surface = Surface.of(seen, np.asarray(panel.mesh.faces, dtype=np.int64))
        lit_faces, lit_colours = shade(surface, panel.colours)
        place = [(2 * index + 1 - len(panels)) * aspect, 0, 0]
        vertices.append(np.tile(surface.vertices + place, (2, 1)))
        faces.append(lit_faces + count)
        colours.append(lit_colours)
        count += len(lit_colours)
    return Stage(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(colours).astype(np.float32),
        half_width=len(panels) * aspect,
    )
