"""Measure a field's operations against its extracted mesh at 512, and print a row a file.

usage: python scripts/measure_fields.py [--rays N] FILE.doh ...

Distances: N / 10 points within 5% of the longest side of the surface, against the nearest triangle.
Rays: N rays from a sphere around the shape to uniform points of its domain, against Open3D's. A ray
is called grazing where moving it sideways by half a cell of the mesh, in one of eight directions,
changes whether it meets the mesh. Seconds are the processor's, of all threads.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh

import doh3d
from doh3d.geometry.distance import SurfaceTree
from doh3d.open3d_import import import_open3d

RESOLUTION = 512
FloatArray = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--rays", type=int, default=1_000_000)
    arguments = parser.parse_args()
    for file in arguments.files:
        field = doh3d.load(file, "cpu")
        mesh = field.to_mesh(RESOLUTION)
        side = float(mesh.extents.max())
        print(f"{file}: {field.code.architecture.cells} cells, longest side {side:.4g}")
        print("  volume at 64, 128, 256 against 512:", *volume_errors(field, mesh), flush=True)
        measure_distances(field, mesh, side, max(1, arguments.rays // 10))
        measure_rays(field, mesh, side, arguments.rays)


def volume_errors(field: doh3d.OccupancyField, mesh: trimesh.Trimesh) -> list[str]:
    exact = field.volume(resolution=RESOLUTION)
    found = [field.volume(resolution=resolution) for resolution in (64, 128, 256)]
    return [f"{100 * (volume / exact - 1):+.4f}%" for volume in found]


def measure_distances(
    field: doh3d.OccupancyField, mesh: trimesh.Trimesh, side: float, count: int
) -> None:
    rng = np.random.default_rng(0)
    start, _ = trimesh.sample.sample_surface(mesh, count, seed=0)
    points = np.asarray(start) + rng.uniform(-1, 1, (count, 3)) * 0.05 * side
    transform = field.code.transform
    tree = SurfaceTree(transform.to_normalized(mesh.vertices), mesh.faces)
    distance = np.sqrt(tree.nearest(transform.to_normalized(points))[0]) * transform.scale
    near = distance < 0.05 * side
    points, distance = points[near], distance[near]
    signed = np.where(field.occupancy(points), -distance, distance)
    field.closest_points(points[:1])
    seconds = time.process_time()
    found = field.signed_distance(points)
    seconds = time.process_time() - seconds
    error = 100 * np.abs(found - signed) / side
    print(
        f"  signed distance, {len(points)} points: mean error {error.mean():.5f}% of the longest "
        f"side, 99.9% below {np.quantile(error, 0.999):.4f}%, largest {error.max():.4f}%; "
        f"{1e6 * seconds / len(points):.1f} us a point",
        flush=True,
    )


def measure_rays(
    field: doh3d.OccupancyField, mesh: trimesh.Trimesh, side: float, count: int
) -> None:
    rng = np.random.default_rng(1)
    low, high = field.bounds
    middle = (low + high) / 2
    origins = rng.normal(size=(count, 3))
    origins *= 1.3 * np.linalg.norm(high - low) / np.linalg.norm(origins, axis=1, keepdims=True) / 2
    origins += middle
    targets = rng.uniform(low, high, (count, 3))
    directions = targets - origins
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    seconds = [time.process_time()]
    field.logits(targets)
    seconds.append(time.process_time())
    hits = field.ray_cast(origins, directions)
    seconds.append(time.process_time())
    queries, rays = np.diff(seconds)
    scene = import_open3d().t.geometry.RaycastingScene()
    corners = ((np.asarray(mesh.vertices) - middle) / side).astype(np.float32)
    scene.add_triangles(corners, np.asarray(mesh.faces, dtype=np.uint32))
    local = (origins - middle) / side
    at = cast(scene, local, directions) * side
    meets = np.isfinite(at)
    wrong = np.flatnonzero(hits.hit != meets)
    cell = float(np.ptp(field.bounds, axis=0).max()) / side / RESOLUTION
    grazing = is_grazing(scene, local[wrong], directions[wrong], cell / 2)
    some = rng.integers(0, count, max(1, count // 20))
    share = is_grazing(scene, local[some], directions[some], cell / 2).mean()
    both = hits.hit & meets
    error = 100 * np.abs(hits.distance[both] - at[both]) / side
    print(
        f"  {count} rays: {100 * meets.mean():.1f}% meet the mesh; {len(wrong)} differ "
        f"({int((hits.hit & ~meets).sum())} meet the field only), {int((~grazing).sum())} of these "
        f"do not graze; {100 * share:.2f}% of all graze; distance: median error "
        f"{np.median(error):.5f}% of the longest side, 99.9% below {np.quantile(error, 0.999):.3f}%"
    )
    print(
        f"  {rays:.1f} s for the rays, {queries:.2f} s for as many point queries: "
        f"{rays / queries:.1f} times",
        flush=True,
    )


def cast(scene: Any, origins: FloatArray, directions: FloatArray) -> FloatArray:
    rays = np.concatenate([origins, directions], axis=1).astype(np.float32)
    found: FloatArray = scene.cast_rays(import_open3d().core.Tensor(rays))["t_hit"].numpy()
    return found.astype(np.float64)


def is_grazing(
    scene: Any, origins: FloatArray, directions: FloatArray, reach: float
) -> npt.NDArray[np.bool_]:
    across = np.cross(directions, np.eye(3)[np.abs(directions).argmin(axis=1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(directions, across)
    meets = [
        np.isfinite(
            cast(scene, origins + reach * (np.cos(a) * across + np.sin(a) * other), directions)
        )
        for a in np.arange(8) * np.pi / 4
    ]
    meets.append(np.isfinite(cast(scene, origins, directions)))
    return np.asarray(np.any(meets, axis=0) & ~np.all(meets, axis=0))


if __name__ == "__main__":
    main()
