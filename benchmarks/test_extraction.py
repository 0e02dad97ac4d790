"""Extraction beside its dense reference: every point in chunks, then marching cubes.

python -m pytest benchmarks --doh bunny.doh --resolutions 128,256,512
"""

import numpy as np
import pytest

import doh3d
from doh3d.geometry.dense import dense_surface
from doh3d.geometry.lattice import Lattice, index_grid


@pytest.fixture
def field(doh_file):
    """Load a file and warm up."""
    field = doh3d.load(doh_file, "cpu")
    field.to_mesh(16)
    return field


def dense_extraction(field, resolution):
    lattice = Lattice.over_box(field.code.half_extents, resolution)
    values = np.empty(lattice.shape, dtype=np.float32)
    plane = index_grid(np.array([1, *lattice.shape[1:]]))
    for i in range(lattice.shape[0]):
        points = lattice.points(plane + [i, 0, 0])
        values[i] = field.normalized_logits(points).reshape(lattice.shape[1:])
    return dense_surface(values)


def test_extraction(benchmark, field, doh_file, resolution):
    benchmark.group = f"{doh_file.stem} at {resolution}"
    mesh = benchmark.pedantic(field.to_mesh, (resolution,), rounds=3)
    assert len(mesh.faces)


def test_dense_reference(benchmark, field, doh_file, resolution):
    benchmark.group = f"{doh_file.stem} at {resolution}"
    _, faces = benchmark.pedantic(dense_extraction, (field, resolution), rounds=1)
    assert len(faces)
