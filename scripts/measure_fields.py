"""Measure a field's operations against its extracted mesh at 512, a row a file.

    python scripts/measure_fields.py FILE.doh ... [--rays N] [--output results/<version>/fields.tsv]

Volumes: at 64, 128 and 256 against 512, in percent. Distances: N / 10 points within 5% of the
longest side of the surface, against the nearest triangle; errors are in percent of the longest
side. Rays: N rays from a sphere around the shape to uniform points of its domain, against Open3D's.
A ray is called grazing where moving it sideways by half a cell of the mesh, in one of eight
directions, changes whether it meets the mesh. Seconds are the processor's, of all threads; queries
are of as many points as there are rays. A second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh

import doh3d
from doh3d.geometry.distance import SurfaceTree
from doh3d.open3d_import import import_open3d
from result_table import ResultTable, results_path

RESOLUTION = 512
KEY = ("file", "rays")
COLUMNS = """
file bytes cells longest_side volume_64 volume_128 volume_256
points distance_mean distance_999 distance_largest point_us
rays meet_percent differ field_only differ_not_grazing grazing_percent
ray_median ray_999 ray_s query_s
""".split()  # noqa: SIM905
FloatArray = npt.NDArray[np.float64]
Values = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rays", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=results_path("fields"))
    arguments = parser.parse_args()
    table = ResultTable(arguments.output, COLUMNS, KEY)
    for file in arguments.files:
        if table.has(file=file.stem, rays=arguments.rays):
            continue
        field = doh3d.load(file, "cpu")
        mesh = field.to_mesh(RESOLUTION)
        side = float(mesh.extents.max())
        values = {
            "file": file.stem,
            "bytes": file.stat().st_size,
            "cells": field.code.architecture.cells,
            "longest_side": f"{side:.4g}",
            "rays": arguments.rays,
        }
        values |= volume_errors(field)
        values |= measure_distances(field, mesh, side, max(1, arguments.rays // 10))
        values |= measure_rays(field, mesh, side, arguments.rays)
        row = table.add(**values)
        print(*(f"{column} {row[column]}" for column in COLUMNS), sep="; ", flush=True)


def volume_errors(field: doh3d.OccupancyField) -> Values:
    exact = field.volume(resolution=RESOLUTION)
    return {
        f"volume_{resolution}": f"{100 * (field.volume(resolution=resolution) / exact - 1):+.4f}"
        for resolution in (64, 128, 256)
    }


def measure_distances(
    field: doh3d.OccupancyField, mesh: trimesh.Trimesh, side: float, count: int
) -> Values:
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
    return {
        "points": len(points),
        "distance_mean": f"{error.mean():.5f}",
        "distance_999": f"{np.quantile(error, 0.999):.4f}",
        "distance_largest": f"{error.max():.4f}",
        "point_us": f"{1e6 * seconds / len(points):.1f}",
    }


def measure_rays(
    field: doh3d.OccupancyField, mesh: trimesh.Trimesh, side: float, count: int
) -> Values:
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
    return {
        "meet_percent": f"{100 * meets.mean():.1f}",
        "differ": len(wrong),
        "field_only": int((hits.hit & ~meets).sum()),
        "differ_not_grazing": int((~grazing).sum()),
        "grazing_percent": f"{100 * share:.2f}",
        "ray_median": f"{np.median(error):.5f}",
        "ray_999": f"{np.quantile(error, 0.999):.3f}",
        "ray_s": f"{rays:.1f}",
        "query_s": f"{queries:.2f}",
    }


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
