"""What benchmarks measure against: the straightforward way to each end; and what they measure on.

The encoder's reference is scripts/reference_encoder.py.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import igl
import numpy as np
import torch
import trimesh
from scipy.special import expit

from dense_extraction import dense_surface
from doh3d.codec.entropy import choose_model
from doh3d.codec.quantization import nearest_step_index
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup
from doh3d.field import OccupancyField, decode_weights
from doh3d.geometry.lattice import Lattice, index_grid
from doh3d.geometry.sampling import OccupancySamples
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import encode_coordinates, fold_points, target_forward


def sample_directly(
    mesh: trimesh.Trimesh, count: int, near_fraction: float, std: float, softness: float
) -> OccupancySamples:
    """Draw with trimesh and label with libigl, in the order drawn."""
    generator = np.random.default_rng(0)
    near = round(count * near_fraction)
    surface = trimesh.sample.sample_surface(mesh, near, seed=0)[0]
    surface = surface + generator.normal(0, std, surface.shape)
    points = np.concatenate([surface, generator.uniform(-1, 1, (count - near, 3))])
    points = points[generator.permutation(count)]
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces, dtype=np.int64)
    winding = igl.fast_winding_number(vertices, faces, points)
    squared = igl.point_mesh_squared_distance(points, vertices, faces)[0]
    depth = np.sqrt(squared) * np.where(winding > 0.5, 1, -1)
    return OccupancySamples(points.astype(np.float32), expit(depth / softness).astype(np.float32))


def query_at_once(field: OccupancyField, points: np.ndarray) -> np.ndarray:
    """Encode all points, then every layer on all of them."""
    code = field.code
    weights = decode_weights(code, torch.device("cpu"))
    normalized = torch.from_numpy(code.transform.to_normalized(points).astype(np.float32))
    features = encode_coordinates(code.architecture, fold_points(code.architecture, normalized))
    return target_forward(code.architecture, weights.of_cell(0), features)[:, 0].numpy()


def extract_densely(field: OccupancyField, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate every node of the lattice, a plane at a time, then marching cubes."""
    lattice = Lattice.over_box(field.code.half_extents, resolution)
    values = np.empty(lattice.shape, dtype=np.float32)
    plane = index_grid(np.array([1, *lattice.shape[1:]]))
    for i in range(lattice.shape[0]):
        points = lattice.points(plane + [i, 0, 0])
        values[i] = field.normalized_logits(points).reshape(lattice.shape[1:])
    return dense_surface(values)


def random_code(latent: int, architecture: Architecture, *, dense: bool = False) -> ShapeCode:
    """Make a file's content of random levels, as large as a fit's."""
    generator = np.random.default_rng(0)

    def group(count: int) -> ParameterGroup:
        levels = np.rint(generator.laplace(0, 6, count)).clip(-63, 63).astype(np.int64)
        return ParameterGroup(
            levels, nearest_step_index(1 / (9 * latent**0.5)), choose_model(levels)
        )

    transform = NormalizingTransform((0.0, 0.0, 0.0), 1.0)
    latents, biases = group(latent), group(architecture.bias_count)
    return ShapeCode(
        architecture=architecture,
        dense_projection=dense,
        seed=0,
        transform=transform,
        extents=(31, 31, 31),
        latent=latents,
        biases=biases,
    )


def ball_samples(count: int) -> OccupancySamples:
    points = np.random.default_rng(0).uniform(-1, 1, (count, 3)).astype(np.float32)
    return OccupancySamples(points, (np.linalg.norm(points, axis=1) < 0.7).astype(np.float32))


def pebble(number: int) -> trimesh.Trimesh:
    """Deform a ball with a few waves; no two numbers alike, and none its own mirror image."""
    generator = np.random.default_rng(number)
    mesh = trimesh.creation.icosphere(subdivisions=4)
    waves = [
        np.sin(mesh.vertices @ generator.normal(0, 3, 3) + generator.uniform(0, 6))
        for _ in range(4)
    ]
    mesh.vertices = mesh.vertices * (1 + 0.12 * sum(waves))[:, None] * generator.uniform(0.5, 1, 3)
    return mesh


def cpu_seconds(
    function: Callable[[], Any],
    *,
    least: float = 0.2,
    most: int = 50,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Measure the processor's time of one call, or what `clock` counts: the least of several.

    For `least` seconds.
    """
    times: list[float] = []
    while not times or (sum(times) < least and len(times) < most):
        started = clock()
        function()
        times.append(clock() - started)
    return min(times)


def in_turns(functions: list[Callable[[], Any]], rounds: int = 3, **options: Any) -> list[float]:
    """Measure several functions round after round, since machines are shared; the least of each."""
    measured = [[cpu_seconds(function, **options) for function in functions] for _ in range(rounds)]
    return [min(times) for times in zip(*measured, strict=True)]


def peak_bytes(function: Callable[[], Any]) -> int:
    """Memory that a call needs beyond what is there, in a process of its own.

    The largest resident size, from just before the call on (Linux).
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            # Libraries' pages and buffers that any call needs are not the function's own.
            function()
            # What has been freed, but not given back, would be used unseen.
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            before = _status("VmHWM")
            function()
            answer = max(_status("VmHWM") - before, 0)
            os.write(writing, pickle.dumps(answer))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    if not data:
        raise MemoryError("the measured process ended before its end")
    return int(pickle.loads(data))


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise KeyError(name)
