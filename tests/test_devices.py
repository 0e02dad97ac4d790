"""Settings of torch that are other programs' too."""

import subprocess
import sys
import threading

import pytest
import torch

from doh3d.devices import full_precision, one_thread, resolve_device
from doh3d.thread_team import ThreadTeam

LEGACY = "torch.set_float32_matmul_precision('medium')"
# Each takes a process of its own: the new settings cannot be used after the old one.
SETTINGS = [
    LEGACY,
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
    "torch.backends.fp32_precision = 'tf32'",
]


def in_new_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_is_for_the_caller_alone(two_threads):
    with one_thread() as threads:
        assert threads == 2
        assert torch.get_num_threads() == 1
        assert in_new_thread(torch.get_num_threads) == 2
    assert torch.get_num_threads() == 2


def test_calls_that_overlap_leave_nothing_behind(two_threads):
    # A enters, B enters, A leaves, B leaves: what B found is not what was there before.
    inside, other_left = threading.Event(), threading.Event()
    seen = []

    def other():
        with one_thread():
            inside.set()
            other_left.wait(60)
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    with one_thread():
        thread.start()
        assert inside.wait(60)
    other_left.set()
    thread.join()
    assert seen == [1, 2]
    assert torch.get_num_threads() == 2
    assert in_new_thread(torch.get_num_threads) == 2


def test_helpers_compute_alone_whatever_others_do(two_threads):
    team = ThreadTeam(2)
    meeting = threading.Barrier(2, timeout=60)
    seen = {}

    def look(thread, piece):
        meeting.wait()
        seen[thread] = torch.get_num_threads()

    team.run(look, 2)
    team.close()
    assert seen == {0: 2, 1: 1}
    assert in_new_thread(torch.get_num_threads) == 2


def digest_under(setting):
    """Digest of a file, a mesh and logits, made in a program that has changed a setting."""
    code = f"""
import hashlib, numpy as np, torch, trimesh
from doh3d.api.compressed import CompressedShape
from doh3d.fitting.rate_control import encode
from doh3d.signals.shape import prepare
from doh3d.fitting.config import FitConfig
from doh3d.hypernetwork.architecture import Architecture
{setting}
def settings():
    backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    # What a program asked for under the old name it can still ask for under it.
    old = torch.get_float32_matmul_precision() if {setting == LEGACY} else None
    return [backend.fp32_precision for backend in backends], old
before = settings()
small = Architecture(width=12, depth=2, octaves=2)
config = FitConfig(latent=100, architecture=small, steps=20, batch_size=512, pool_size=4000)
ball = prepare(trimesh.creation.icosphere(subdivisions=2))
encoded = encode(ball, config, device=torch.device("cpu"))
shape = CompressedShape(encoded.data, config)
field = shape.field("cpu")
mesh = field.to_mesh(24)
logits = field.logits(np.random.default_rng(0).uniform(-1, 1, (500, 3)))
assert settings() == before
print(hashlib.sha256(shape.data + mesh.vertices.tobytes() + logits.tobytes()).hexdigest())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def plain_digest():
    return digest_under("pass")


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_other_programs_settings_neither_break_nor_change_anything(setting, plain_digest):
    assert digest_under(setting) == plain_digest


def test_precision_comes_back_after_the_last_of_those_that_need_it():
    backend = torch.backends.mkldnn.matmul
    before = backend.fp32_precision
    try:
        backend.fp32_precision = "bf16"
        with full_precision:
            with full_precision:
                assert backend.fp32_precision == "ieee"
            assert backend.fp32_precision == "ieee"
        assert backend.fp32_precision == "bf16"
    finally:
        backend.fp32_precision = before


def test_auto_takes_what_fits_can_run_on(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
