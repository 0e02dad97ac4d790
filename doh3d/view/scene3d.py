"""Meshes as Open3D's viewer draws them: lit surfaces, coloured surfaces, wireframes."""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import open3d
import trimesh
from open3d.visualization import gui, rendering

from doh3d.view.camera import Axis
from doh3d.view.shading import CLAY, Surface
from doh3d.view.stage import Panel

FloatArray: TypeAlias = npt.NDArray[np.float64]

FIELD_OF_VIEW_DEG = 30.0

_NAME = "shape"
# In view axes, the way that it shines; weaker than a real sun, since nothing dims the picture.
_LIGHT = np.array([0.9, -0.9, -1.0])
_SUN_LUX = 30_000
_SKY_LUX = 20_000
_WIRE = (0.25, 0.25, 0.28)


@dataclass(frozen=True)
class Place:
    """Where shapes of any unit stand in the scene: upright around the origin, of about size one.

    Attributes
    ----------
    middle : (3,) float64
        Of their common bounding box.
    radius : float
        Of the ball around it.
    up : {"x", "y", "z"}
        The shapes' vertical axis. The scene's is y, as its light has it.
    """

    middle: FloatArray
    radius: float
    up: Axis

    @classmethod
    def of(cls, meshes: Sequence[trimesh.Trimesh], up: Axis) -> Place:
        """Fit the place of several meshes, at least one of which has faces."""
        bounds = np.concatenate([mesh.bounds for mesh in meshes if len(mesh.faces)])
        low, high = bounds.min(axis=0), bounds.max(axis=0)
        return cls(low / 2 + high / 2, float(np.linalg.norm(high / 2 - low / 2)), up)

    def __call__(self, points: npt.ArrayLike) -> FloatArray:
        """Map (N, 3) points in the shapes' own units into the scene."""
        scaled = (np.asarray(points, dtype=np.float64) - self.middle) / self.radius
        return np.roll(scaled, "xyz".index("y") - "xyz".index(self.up), axis=1)


def new_scene(window: Any) -> Any:
    """Make a widget with an empty scene and its light."""
    widget = gui.SceneWidget()
    widget.scene = rendering.Open3DScene(window.renderer)
    widget.scene.set_background([1.0, 1.0, 1.0, 1.0])
    view = widget.scene.view
    # Film-like tones would turn white into beige, and a legend's colours into others. Without
    # shadows, which hide what one looks for, a software driver is several times faster.
    view.set_post_processing(False)
    view.set_shadowing(False, rendering.View.ShadowType.PCF)
    if not _has_gpu():
        # Three times as fast; edges are jagged.
        view.set_sample_count(1)
        view.set_antialiasing(False)
    lights = widget.scene.scene
    lights.enable_sun_light(True)
    lights.enable_indirect_light(True)
    lights.set_indirect_light_intensity(_SKY_LUX)
    return widget


def _has_gpu() -> bool:
    """Whether there is a device that a graphics driver may use; a guess, for speed only."""
    if sys.platform != "linux":
        return True
    return any(glob.glob(name) for name in ("/dev/dri/renderD*", "/dev/nvidia0", "/dev/dxg"))


def light_from_camera(scene: Any) -> None:
    """Let the main light come over the viewer's left shoulder, wherever the camera is."""
    axes = np.asarray(scene.camera.get_model_matrix())[:3, :3]
    scene.scene.set_sun_light(axes @ _LIGHT, [1.0, 1.0, 1.0], _SUN_LUX)


def fill_scene(scene: Any, panel: Panel, place: Place, *, wireframe: bool) -> None:
    """Show a panel's mesh, and nothing else."""
    if scene.has_geometry(_NAME):
        scene.remove_geometry(_NAME)
    if not len(panel.mesh.faces):
        return
    vertices, faces = place(panel.mesh.vertices), np.asarray(panel.mesh.faces, dtype=np.int64)
    material = rendering.MaterialRecord()
    if wireframe:
        material.shader = "unlitLine"
        material.line_width = 1
        geometry = _edges(vertices, faces, panel.colours)
    else:
        material.shader = "defaultLit"
        material.base_roughness = 0.8
        material.base_reflectance = 0.2
        geometry = _surface(vertices, faces, panel.colours)
    scene.add_geometry(_NAME, geometry, material)


def _surface(vertices: FloatArray, faces: npt.NDArray[np.int64], colours: FloatArray | None) -> Any:
    """Make a triangle mesh with normals and colours."""
    surface = Surface.of(vertices, faces)
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(surface.vertices),
        open3d.utility.Vector3iVector(surface.faces.astype(np.int32)),
    )
    mesh.vertex_normals = open3d.utility.Vector3dVector(surface.normals)
    of_vertices = np.broadcast_to(CLAY, vertices.shape) if colours is None else colours
    mesh.vertex_colors = open3d.utility.Vector3dVector(of_vertices[surface.source])
    return mesh


def _edges(vertices: FloatArray, faces: npt.NDArray[np.int64], colours: FloatArray | None) -> Any:
    """Make lines, every edge once."""
    edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    lines = open3d.geometry.LineSet(
        open3d.utility.Vector3dVector(vertices), open3d.utility.Vector2iVector(edges)
    )
    of_edges = np.broadcast_to(_WIRE, (len(edges), 3)) if colours is None else colours[edges[:, 0]]
    lines.colors = open3d.utility.Vector3dVector(of_edges)
    return lines
