"""What encoding spends its time on, each beside its reference in one group.

python -m pytest benchmarks/test_encoding.py [--mesh bunny.ply]
"""

from dataclasses import replace

import pytest
import torch

from doh3d.fitting.fit import fit_latent
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.together import fit_latents
from doh3d.geometry.sampling import sample_occupancy
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.projection import make_projection
from doh3d.signals.shape import prepare, shape_config
from doh3d.signals.shape_plan import plan_for_shape
from reference_encoder import ReferenceEncoder, reference_config
from speed.references import ball_samples, peak_bytes, pebble, sample_directly

CPU = torch.device("cpu")
NEAR, STD, SOFTNESS = 0.6, 0.01, 0.002


def measured(benchmark, group, function, rounds=5):
    """Time a function that is warm, in a group with its reference, and its memory."""
    function()
    benchmark.group = group
    benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)
    benchmark.extra_info["peak_bytes"] = peak_bytes(function)


@pytest.mark.parametrize("count", [10_000, 100_000])
@pytest.mark.parametrize("way", ["codec", "reference"])
def test_sampling(benchmark, mesh_file, way, count):
    shape = prepare(mesh_file)

    def codec():
        return sample_occupancy(
            shape.normalized,
            (1, 1, 1),
            count,
            near_surface_fraction=NEAR,
            near_surface_std=STD,
            softness=SOFTNESS,
            inside=shape.inside,
        )

    def reference():
        return sample_directly(shape.normalized, count, NEAR, STD, SOFTNESS)

    measured(benchmark, f"{count} samples", {"codec": codec, "reference": reference}[way])


@pytest.mark.parametrize("latent", [1000, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("kind", ["hadamard", "dense"])
@pytest.mark.parametrize("way", ["forward", "backward"])
def test_projection(benchmark, kind, way, latent):
    plan = plan_for_shape(latent, levels=0)
    architecture = Architecture(width=plan.width, octaves=plan.octaves)
    if kind == "dense" and latent * architecture.weight_count > 2**28:
        pytest.skip("the matrix takes more than a gigabyte")
    projection = make_projection(kind, latent, architecture.layer_sizes, seed=0)
    vector, values = torch.randn(latent), torch.randn(architecture.weight_count)
    calls = {
        "forward": lambda: projection.project(vector),
        "backward": lambda: projection.transpose(values),
    }
    # A dense matrix is made when first used for a gradient.
    calls["backward"]()
    measured(benchmark, f"projection {way}, n = {latent}", calls[way])


@pytest.mark.parametrize("way", ["codec", "reference"])
def test_step(benchmark, way):
    samples = ball_samples(8192)
    if way == "reference":
        encoder = ReferenceEncoder(samples, reference_config(4000))
        measured(benchmark, "step", lambda: encoder.step(100, encoder.points, encoder.labels))
        return
    config = shape_config(latent=4000, width=48, octaves=3)
    optimisation = Optimisation([samples], replace(config, batch_size=8192), 0.4, CPU)
    measured(benchmark, "step", lambda: optimisation.step(100))


@pytest.mark.parametrize("way", ["together", "one by one"])
def test_small_shapes(benchmark, way):
    config = shape_config(latent=200, preset="fast")
    config = replace(config, steps=50, batch_size=1024, pool_size=20_000)
    samples = [prepare(pebble(number)).sample(config) for number in range(8)]
    calls = {
        "together": lambda: fit_latents(samples, config, device=CPU),
        "one by one": lambda: [fit_latent(pool, config, device=CPU) for pool in samples],
    }
    measured(benchmark, "8 small shapes, 50 steps", calls[way], rounds=2)
