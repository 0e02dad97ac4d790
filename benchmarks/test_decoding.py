"""What decoding takes, each beside its reference in one group; and starting the command line.

python -m pytest benchmarks/test_decoding.py
"""

import subprocess
import sys

import numpy as np
import pytest
import torch

from doh3d.codec.container import serialize
from doh3d.field import OccupancyField, decode_weights
from doh3d.hypernetwork.architecture import Architecture
from doh3d.signals.shape_plan import plan_for_shape
from speed.references import peak_bytes, query_at_once, random_code

CPU = torch.device("cpu")


@pytest.mark.parametrize("latent", [350, 1100, 4000])
@pytest.mark.parametrize("kind", ["hadamard", "dense"])
def test_weights(benchmark, kind, latent):
    plan = plan_for_shape(latent, levels=0)
    architecture = Architecture(width=plan.width, octaves=plan.octaves)
    code = random_code(latent, architecture, dense=kind == "dense")
    benchmark.group = f"weights, n = {latent}"
    benchmark.pedantic(decode_weights, (code, CPU), rounds=5, warmup_rounds=1)
    benchmark.extra_info["peak_bytes"] = peak_bytes(lambda: decode_weights(code, CPU))


@pytest.mark.parametrize("count", [10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("way", ["codec", "reference"])
def test_query(benchmark, way, count):
    field = OccupancyField(random_code(1100, Architecture(width=44)), "cpu")
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (count, 3))
    calls = {
        "codec": lambda: field.logits(points),
        "reference": lambda: query_at_once(field, points),
    }
    benchmark.group = f"{count} points"
    benchmark.pedantic(calls[way], rounds=3, warmup_rounds=1)
    benchmark.extra_info["peak_bytes"] = peak_bytes(calls[way])


@pytest.mark.parametrize("what", ["--help", "info", "loading torch and trimesh"])
def test_start(benchmark, what, tmp_path):
    file = tmp_path / "shape.doh"
    file.write_bytes(serialize(random_code(1100, Architecture(width=44))))
    lines = {
        "--help": ["-m", "doh3d", "--help"],
        "info": ["-m", "doh3d", "info", str(file)],
        "loading torch and trimesh": ["-c", "import torch, trimesh"],
    }
    benchmark.group = "start"
    benchmark.pedantic(
        subprocess.run,
        ([sys.executable, *lines[what]],),
        {"check": True, "capture_output": True},
        rounds=3,
        warmup_rounds=1,
    )
