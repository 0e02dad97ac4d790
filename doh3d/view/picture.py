"""Pictures of meshes side by side, drawn by Open3D's ray casting on the CPU.

Its off-screen renderer is not used: on two busy cores with a software driver it took about
a minute for one lit picture of 600 x 500 pixels, had not finished a larger one after ten, and
hung on some meshes even without lights (Open3D 0.20, Mesa 22.3; cause unknown). Casting a ray
for each pixel takes a fraction of a second, and needs neither display nor graphics driver.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.files import write_atomically

if TYPE_CHECKING:
    import trimesh
    from PIL import Image

FloatArray: TypeAlias = npt.NDArray[np.float64]

SYSTEM_PACKAGES = "libusb-1.0-0 libgl1 libegl1 libvulkan1 mesa-vulkan-drivers"

# Of each panel's width and height, left free around the meshes.
_MARGIN = 0.06
_TITLE_HEIGHT = 0.09
_BACKGROUND = (255, 255, 255)
_INK = (40, 40, 40)
# Warm grey: dark enough to stand out on white, light enough to show its shading.
_CLAY = np.array([0.86, 0.82, 0.76])
# Where a face leans further from the mean normal at its corner than this, there is an edge.
_CREASE_DEG = 30.0
# Drawn at this many times the size and then reduced, which smooths the edges.
_SUPERSAMPLING = 2


def side_by_side(
    meshes: Sequence[trimesh.Trimesh],
    titles: Sequence[str],
    path: str | Path,
    *,
    size: tuple[int, int] = (1200, 600),
    azimuth_deg: float = 20.0,
    elevation_deg: float = 15.0,
    up: Literal["x", "y", "z"] = "y",
) -> None:
    """Draw meshes next to each other, all by the same parallel projection, into one PNG.

    Parameters
    ----------
    meshes : sequence of trimesh.Trimesh
        At least one, in the same unit and place; one without faces leaves its panel empty.
    titles : sequence of str
        One line above each mesh.
    path : path-like
        The PNG to write. It appears whole or not at all.
    size : (int, int)
        Width and height of the whole picture in pixels.
    azimuth_deg : float
        Angle of the camera around the vertical axis, degrees; 0 looks against the axis that
        follows the vertical one in the order x, y, z, x (along -z where y is up).
    elevation_deg : float
        Angle of the camera above the horizon, degrees in [-90, 90].
    up : {"x", "y", "z"}
        The vertical axis.

    Raises
    ------
    ConfigError
        Open3D, or a system library that it needs, is not installed; an argument is out of its
        range; or the file cannot be written.
    """
    width, height = size
    panel_width, title_height = width // max(len(meshes), 1), round(height * _TITLE_HEIGHT)
    panel_size = (panel_width, height - title_height)
    if not meshes or len(meshes) != len(titles):
        raise ConfigError(f"there are {len(meshes)} meshes and {len(titles)} titles; say one each")
    if panel_width < 16 or panel_size[1] < 16:
        raise ConfigError(f"size is {width} x {height}; {len(meshes)} meshes need more room")
    if not -90 <= elevation_deg <= 90:
        raise ConfigError(f"elevation_deg is {elevation_deg}; it must be -90 to 90")
    if up not in ("x", "y", "z"):
        raise ConfigError(f"up is {up!r}; it must be one of x, y, z")
    corners = np.concatenate([np.asarray(mesh.triangles).reshape(-1, 3) for mesh in meshes])
    if not len(corners):
        raise ConfigError("the meshes have no faces; at least one must have some")

    to_view = _view_axes(azimuth_deg, elevation_deg, up).T
    # From float64 places of any size to a scene around the origin of about size one.
    middle = corners.min(axis=0) / 2 + corners.max(axis=0) / 2
    view = (corners - middle) @ to_view
    low, high = view.min(axis=0), view.max(axis=0)
    half_width, half_height = (high - low)[:2] / 2 / (1 - 2 * _MARGIN)
    aspect = panel_width / (height - title_height)
    scale = max(half_width / aspect, half_height) or 1.0
    panels = []
    for index, mesh in enumerate(meshes):
        triangles = ((np.asarray(mesh.triangles) - middle) @ to_view - (low + high) / 2) / scale
        panels.append(triangles + [(2 * index + 1 - len(meshes)) * aspect, 0, 0])
    drawing = _draw(
        np.concatenate(panels),
        half_width=len(meshes) * aspect,
        size=(
            panel_width * len(meshes) * _SUPERSAMPLING,
            (height - title_height) * _SUPERSAMPLING,
        ),
    )
    picture = io.BytesIO()
    _compose(drawing, titles, size, title_height).save(picture, format="PNG")
    write_atomically(path, picture.getvalue())


def _view_axes(azimuth_deg: float, elevation_deg: float, up: str) -> FloatArray:
    """Return the rows right, upward and backward, as the viewer has them."""
    axis = "xyz".index(up)
    vertical, front, side = (np.eye(3)[(axis + step) % 3] for step in range(3))
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    backward = np.cos(elevation) * (np.cos(azimuth) * front + np.sin(azimuth) * side)
    backward = backward + np.sin(elevation) * vertical
    # Not a cross product with the vertical, which vanishes for a view straight from above.
    right = np.cos(azimuth) * side - np.sin(azimuth) * front
    axes: FloatArray = np.stack([right, np.cross(backward, right), backward])
    return axes


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:
        # OSError is what a missing system library looks like.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unknown reason"
        raise ConfigError(
            f"pictures need Open3D, which cannot be loaded ({reason}); install it with: "
            f'pip install "doh3d[view]", and the system packages {SYSTEM_PACKAGES}'
        ) from error
    return open3d


def _draw(
    triangles: FloatArray, *, half_width: float, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Draw (F, 3, 3) triangles in view axes, from y = -1 to 1, as a (H, W, 3) picture."""
    open3d = _open3d()
    scene = open3d.t.geometry.RaycastingScene()
    vertices = triangles.reshape(-1, 3)
    scene.add_triangles(
        np.array(vertices, dtype=np.float32),
        np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3),
    )
    width, height = size
    rays = np.zeros((height, width, 6), dtype=np.float32)
    rays[..., 0] = ((np.arange(width) + 0.5) / width * 2 - 1) * half_width
    rays[..., 1] = (1 - (np.arange(height) + 0.5) / height * 2)[:, None]
    rays[..., 2] = vertices[:, 2].max() + 1
    rays[..., 5] = -1
    hits = scene.cast_rays(open3d.core.Tensor(rays))
    hit = np.isfinite(hits["t_hit"].numpy())
    face = hits["primitive_ids"].numpy()[hit]
    second, third = hits["primitive_uvs"].numpy()[hit].astype(np.float64).T
    weights = np.stack([1 - second - third, second, third], axis=1)
    normals = _corner_normals(triangles).reshape(-1, 3, 3)[face]
    drawing = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    drawing[hit] = np.round(255 * _shade(_unit(np.einsum("ij,ijk->ik", weights, normals))))
    return drawing


def _corner_normals(triangles: FloatArray) -> FloatArray:
    """Return (3 F, 3) unit normals: smooth over curved parts, the face's own at its edges."""
    corners = triangles.reshape(-1, 3)
    edges = triangles[:, 1:] - triangles[:, :1]
    # As long as twice the area, which weighs them.
    of_faces = np.repeat(np.cross(edges[:, 0], edges[:, 1]), 3, axis=0)
    _, vertex = np.unique(corners, axis=0, return_inverse=True)
    sums = [np.bincount(vertex.ravel(), of_faces[:, axis]) for axis in range(3)]
    smooth = _unit(np.stack(sums, axis=1))[vertex.ravel()]
    of_faces = _unit(of_faces)
    on_edge = np.einsum("ij,ij->i", smooth, of_faces) < np.cos(np.radians(_CREASE_DEG))
    return np.where(on_edge[:, None], of_faces, smooth)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def _shade(normals: FloatArray) -> FloatArray:
    """Return (M, 3) colours in [0, 1] of matt clay, from (M, 3) normals in view axes."""
    # A back side is seen only through a hole; it is lit like a front one.
    normals = np.where(normals[:, 2:] < -0.2, -normals, normals)
    # Over the viewer's left shoulder, weakly from the right, and from the sky.
    key_light = np.maximum(normals @ _unit(np.array([[-0.9, 0.9, 1.0]]))[0], 0)
    fill_light = np.maximum(normals @ _unit(np.array([[1.5, 0.0, 1.0]]))[0], 0)
    sky_light = (normals[:, 1] + 1) / 2
    brightness = 0.24 + 0.62 * key_light + 0.16 * fill_light + 0.16 * sky_light
    return np.asarray(np.clip(brightness[:, None] * _CLAY, 0, 1), dtype=np.float64)


def _compose(
    drawing: npt.NDArray[np.uint8],
    titles: Sequence[str],
    size: tuple[int, int],
    title_height: int,
) -> Image.Image:
    """Reduce the drawing and put the titles above it."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", size, _BACKGROUND)
    panel_width, below = size[0] // len(titles), size[1] - title_height
    reduced = Image.fromarray(drawing).resize(
        (panel_width * len(titles), below), Image.Resampling.LANCZOS
    )
    picture.paste(reduced, (0, title_height))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(8, round(title_height * 0.42)))
    for index, title in enumerate(titles):
        centre = ((index + 0.5) * panel_width, title_height * 0.6)
        draw.text(centre, title, _INK, font=font, anchor="mm")
    return picture
