"""Draw a picture for each operation of docs/fields.md, into docs/fields.

usage: python scripts/draw_fields.py    (about a minute)

The shape is the Stanford bunny that the PyPI package pymeshfix ships among its examples, at 1,000
bytes with the preset `fast`; sharper meshes are of meshes/three_holes.stl.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import doh3d
from doh3d.view.camera import Camera
from doh3d.view.raycast import cast
from doh3d.view.stage import Panel, set_stage

FOLDER = Path("docs/fields")
PIXELS = 320
CAMERA = Camera(azimuth_deg=-70, up="z")
CLAY = np.array([219, 209, 194])
FloatArray = npt.NDArray[np.float64]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("pymeshfix") / "examples/StanfordBunny.ply") as mesh:
        field = doh3d.compress(mesh, max_bytes=1000, preset="fast").field()
    draw_occupancy(field)
    draw_normals(field)
    draw_distance(field)
    draw_rays(field)
    draw_samples(field)
    draw_volume(field)
    draw_slice(field)
    part = doh3d.compress("meshes/three_holes.stl", max_bytes=1000, preset="fast").field()
    draw_dual(part)


def seen(points: FloatArray, field: doh3d.OccupancyField) -> FloatArray:
    """(N, 3) places to the right, upwards and towards the camera; -1 to 1 holds the domain."""
    low, high = field.bounds
    scaled = (points - (low + high) / 2) / np.linalg.norm(high - low) * 2.6
    return np.asarray(scaled @ CAMERA.axes.T)


def blank() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(PIXELS / 100, PIXELS / 100), dpi=100, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-1, 1)
    axes.set_ylim(-1, 1)
    axes.axis("off")
    return figure, axes


def save(picture: Figure | Image.Image, name: str) -> None:
    path = FOLDER / f"{name}.png"
    if isinstance(picture, Figure):
        picture.savefig(path, metadata={"Software": None})
        picture = Image.open(path).convert("RGB")
    picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def draw_occupancy(field: doh3d.OccupancyField) -> None:
    points = np.random.default_rng(0).uniform(*field.bounds, (20_000, 3))
    inside = field.occupancy(points)
    figure, axes = blank()
    for chosen, colour, size in ((~inside, "#cccccc", 0.15), (inside, "#2b6ca3", 2.0)):
        x, y, _ = seen(points[chosen], field).T
        axes.scatter(x, y, s=size, c=colour, linewidths=0)
    save(figure, "occupancy")


def draw_panels(panels: list[Panel], camera: Camera, name: str) -> None:
    stage = set_stage(panels, camera, 1.0)
    drawing = Image.fromarray(cast(stage, (2 * PIXELS * len(panels), 2 * PIXELS)))
    size = (PIXELS * len(panels), PIXELS)
    save(drawing.resize(size, Image.Resampling.LANCZOS), name)


def draw_normals(field: doh3d.OccupancyField) -> None:
    mesh = field.to_mesh(192)
    colours = (field.normals(mesh.vertices) + 1) / 2
    draw_panels([Panel(mesh, (), colours)], CAMERA, "normals")


def draw_distance(field: doh3d.OccupancyField) -> None:
    section = field.slice(CAMERA.axes[2], resolution=160)
    rows, columns = np.mgrid[: section.logits.shape[0], : section.logits.shape[1]]
    places = section.low + section.spacing * np.stack([columns.ravel(), rows.ravel()], axis=1)
    distance = field.signed_distance(section.to_space(places)).reshape(rows.shape)
    reach = 0.5 * float(np.abs(distance).max())
    figure, axes = blank()
    to_view = seen(section.to_space(places), field)
    x, y = (to_view[:, axis].reshape(rows.shape) for axis in (0, 1))
    axes.contourf(x, y, distance, np.linspace(-reach, reach, 21), cmap="RdBu_r", extend="both")
    axes.contour(x, y, distance, [0], colors="black", linewidths=1)
    save(figure, "distance")


def draw_rays(field: doh3d.OccupancyField) -> None:
    right, up, back = CAMERA.axes
    size = 2 * PIXELS
    places = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(places, places[::-1])
    low, high = field.bounds
    reach = np.linalg.norm(high - low) / 2.6
    offsets = x.ravel()[:, None] * right + y.ravel()[:, None] * up + 2 * back
    origins = (low + high) / 2 + reach * offsets
    hits = field.ray_cast(origins, np.tile(-back, (len(origins), 1)))
    light = (back + 0.7 * up - 0.5 * right) / np.linalg.norm(back + 0.7 * up - 0.5 * right)
    shade = 0.3 + 0.7 * np.clip(np.nan_to_num(hits.normals) @ light, 0, 1)
    colours = np.where(hits.hit[:, None], shade[:, None] * CLAY, 255)
    drawing = Image.fromarray(colours.reshape(size, size, 3).astype(np.uint8))
    save(drawing.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS), "rays")


def draw_samples(field: doh3d.OccupancyField) -> None:
    points, normals = field.sample_surface(6000, seed=0)
    facing = normals @ CAMERA.axes[2]
    front = facing > 0
    x, y, _ = seen(points[front], field).T
    figure, axes = blank()
    axes.scatter(x, y, s=2.5, c=facing[front], cmap="Blues", vmin=-0.6, vmax=1, linewidths=0)
    save(figure, "samples")


def draw_volume(field: doh3d.OccupancyField) -> None:
    """Draw what a volume is the sum of: sections."""
    low, high = field.bounds
    figure, axes = blank()
    for height in np.linspace(low[2], high[2], 26)[1:-1]:
        origin = np.array([*(low + high)[:2] / 2, height])
        section = field.slice((0, 0, 1), origin, resolution=192)
        for outline in section.polygons:
            x, y, _ = seen(section.to_space(outline), field).T
            axes.fill(x, y, facecolor="#dbd1c2", edgecolor="#55504a", linewidth=0.6)
    save(figure, "volume")


def draw_slice(field: doh3d.OccupancyField) -> None:
    section = field.slice(CAMERA.axes[2], resolution=256)
    figure, axes = blank()
    for outline in section.polygons:
        x, y, _ = seen(section.to_space(outline), field).T
        axes.fill(x, y, facecolor="#c9d9e8", edgecolor="#1f4e79", linewidth=1.5)
    save(figure, "slice")


def draw_dual(field: doh3d.OccupancyField) -> None:
    panels = [
        Panel(flat(field.to_mesh(48, method=method)), ()) for method in ("marching-cubes", "dual")
    ]
    draw_panels(panels, Camera(azimuth_deg=30, elevation_deg=35, up="z"), "dual")


def flat(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Give each triangle vertices of its own, so that none is shaded like its neighbours."""
    corners = np.asarray(mesh.triangles).reshape(-1, 3)
    return trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3), process=False)


if __name__ == "__main__":
    main()
