"""The same input gives the same bytes, and the same bytes the same field."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import doh3d

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.hex"))

# Logits of one file differ between machines, threads and instructions by rounding alone: by at
# most this share of the largest.
LOGIT_TOLERANCE = 1e-5

# What "high" and "medium" matrix products may round to, bfloat16, has 8 bits.
REDUCED_TOLERANCE = 2e-2

COMPRESS = """
import sys, torch
from doh3d.signals import shape_plan
from doh3d.api.compress import compress

torch.set_num_threads(int(sys.argv[3]))
# Batches that are shared out in pieces.
shape_plan.PRESETS["fast"] = shape_plan.Preset(steps=8, batch_size=16_384, pool_size=20_000)
compress(sys.argv[1], preset="fast", latent=150, width=12, depth=2, device="cpu").save(sys.argv[2])
"""

DECODE = """
import sys, numpy as np, doh3d

for path in sys.argv[1:]:
    field = doh3d.load(path, "cpu")
    points = np.random.default_rng(0).uniform(-0.999, 0.999, (5_000, 3))
    points = field.code.transform.to_world(field.code.half_extents * points)
    np.save(path + ".npy", field.logits(points))
"""


def python(script, *arguments, **environment):
    subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | environment,
        check=True,
    )


@pytest.fixture(scope="module")
def golden_files(tmp_path_factory):
    """The golden files, and logits of each as this process has them."""
    folder = tmp_path_factory.mktemp("golden")
    files = [folder / f"{path.stem}.doh" for path in GOLDEN]
    for file, path in zip(files, GOLDEN, strict=True):
        file.write_bytes(bytes.fromhex(path.read_text()))
    return {file: some_logits(file) for file in files}


def some_logits(file):
    field = doh3d.load(file, "cpu")
    points = np.random.default_rng(0).uniform(-0.999, 0.999, (5_000, 3))
    # Within the domain, turned or not.
    return field.logits(field.code.transform.to_world(field.code.half_extents * points))


def assert_same_field(logits, others, share=LOGIT_TOLERANCE):
    """Logits within the tolerance, and occupancy where they are not within it of 0."""
    tolerance = share * np.abs(logits).max()
    np.testing.assert_allclose(others, logits, rtol=0, atol=tolerance)
    decided = np.abs(logits) > tolerance
    assert np.array_equal((others > 0)[decided], (logits > 0)[decided])
    assert decided.any()


@pytest.mark.slow
def test_bytes_do_not_depend_on_how_many_threads_there_are(tmp_path):
    mesh = trimesh.creation.torus(0.65, 0.25, major_sections=24, minor_sections=12)
    mesh.export(tmp_path / "torus.ply")
    files = [tmp_path / f"{threads}.doh" for threads in ("1", "2")]
    for file in files:
        python(COMPRESS, tmp_path / "torus.ply", file, file.stem, OMP_NUM_THREADS=file.stem)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("precision", "share"),
    [
        ("highest", LOGIT_TOLERANCE),
        ("high", REDUCED_TOLERANCE),
        ("medium", REDUCED_TOLERANCE),
    ],
)
def test_logits_keep_to_the_tolerance_over_threads_and_matmul_settings(
    golden_files, threads, precision, share
):
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        found = [some_logits(file) for file in golden_files]
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
    for logits, others in zip(golden_files.values(), found, strict=True):
        assert_same_field(logits, others, share)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["default", "avx2"])
def test_logits_keep_to_the_tolerance_over_vector_instructions(golden_files, level):
    python(DECODE, *golden_files, ATEN_CPU_CAPABILITY=level)
    for file, logits in golden_files.items():
        assert_same_field(logits, np.load(f"{file}.npy"))
