"""Extraction beside its dense reference: every point in chunks, then marching cubes.

python -m pytest benchmarks --doh bunny.doh --resolutions 128,256,512
"""

import pytest

import doh3d
from speed.references import extract_densely, peak_bytes


@pytest.fixture
def field(doh_file):
    """Load a file and warm up."""
    field = doh3d.load(doh_file, "cpu")
    field.to_mesh(16)
    return field


def test_extraction(benchmark, field, doh_file, resolution):
    benchmark.group = f"{doh_file.stem} at {resolution}"
    mesh = benchmark.pedantic(field.to_mesh, (resolution,), rounds=3)
    benchmark.extra_info["peak_bytes"] = peak_bytes(lambda: field.to_mesh(resolution))
    assert len(mesh.faces)


def test_dense_reference(benchmark, field, doh_file, resolution):
    benchmark.group = f"{doh_file.stem} at {resolution}"
    _, faces = benchmark.pedantic(extract_densely, (field, resolution), rounds=1)
    assert len(faces)
