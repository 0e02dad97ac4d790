"""What a fit does on a device that is not the CPU, tried without one."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from doh3d.fitting import replay
from doh3d.fitting.config import FitConfig
from doh3d.fitting.curvature import WeightCurvature
from doh3d.fitting.memory import signals_at_once
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.replay import Replay
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import balanced_partition
from doh3d.signals.shape import shape_config

# Tensors without values take the way of those on a GPU, but that nothing is recorded.
META = torch.device("meta")
CUDA = torch.device("cuda")
SMALL = FitConfig(
    latent=80,
    architecture=Architecture(width=8, depth=2, octaves=1, activation="smooth"),
    steps=21,
    batch_size=256,
    pool_size=4096,
)


class HostReadError(Exception):
    """An operation gives the host a value of the device, or the reverse."""


class NoHostReads(TorchDispatchMode):
    """Refuses what a CUDA graph cannot hold: values read back, shapes by values, CPU tensors."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        flat = torch.utils._pytree.tree_leaves((args, kwargs))
        tensors = [each for each in flat if isinstance(each, torch.Tensor)]
        by_mask = "index" in str(func) and any(each.dtype == torch.bool for each in tensors[1:2])
        if torch.Tag.data_dependent_output in func.tags or by_mask:
            raise HostReadError(f"{func} reads a value")
        if torch.Tag.dynamic_output_shape in func.tags and "index" not in str(func):
            raise HostReadError(f"{func} has a shape that depends on values")
        found = func(*args, **(kwargs or {}))
        tensors += [
            each for each in torch.utils._pytree.tree_leaves(found) if torch.is_tensor(each)
        ]
        if any(each.device.type == "cpu" for each in tensors):
            raise HostReadError(f"{func} has a tensor on the CPU")
        return found


@pytest.mark.parametrize(
    "read",
    [
        lambda t: float(t.sum()),
        lambda t: t.sum().item(),
        lambda t: bool(t[0] > 0),
        lambda t: t.tolist(),
        lambda t: t.nonzero(),
        lambda t: t[t > 0],
        lambda t: t.unique(),
        lambda t: t.cpu(),
        lambda t: t + torch.ones(3),
        lambda t: t.add_(torch.tensor(1.0)),
    ],
)
def test_a_host_read_is_noticed(read):
    tensor = torch.ones(3, device=META)
    with NoHostReads(), pytest.raises(Exception, match=r"reads|depends|CPU|[Mm]eta"):
        read(tensor)
    with NoHostReads():
        _ = (tensor[tensor.long() * 0] * 2 > 1).any()


# All but the first change one part of the plain fit's steps.
KINDS = {
    "plain": {},
    "rounded after it": {"quantizer": "ptq", "bits": 10},
    "dense": {"projection": "dense"},
    "Adam": {"optimizer": "adam"},
    "in turn": {"importance_sampling": False},
    "squared": {"loss": "log-squared-error"},
    "sine": {"architecture": Architecture(width=8, depth=2, octaves=0, activation="sine", omega=6)},
}


def without_values(signals, levels, options):
    """An optimisation of balls, whose cells lie elsewhere for each; asked for sizes."""
    samples, configs = [], []
    for number in range(signals):
        points = np.random.default_rng(number).uniform(-1, 1, (4096, 3)).astype(np.float32)
        inside = (np.linalg.norm(points, axis=1) < 0.7).astype(np.float32)
        samples.append(OccupancySamples(points, inside))
        config = dataclasses.replace(SMALL, **options)
        if levels:
            ones = np.ones(3)
            partition = balanced_partition(-ones, ones, points * (1 + 0.1 * number), levels)
            network = dataclasses.replace(config.architecture, partition=partition)
            config = dataclasses.replace(config, architecture=network, levels=levels)
        configs.append(config)
    optimisation = Optimisation(samples, configs, 0.1, META)
    optimisation.sizes.ask([900.0] * signals)
    return optimisation


@pytest.mark.parametrize(
    ("signals", "levels", "options"),
    [
        *(pytest.param(1, 0, KINDS[kind], id=kind, marks=pytest.mark.slow) for kind in KINDS),
        # All that a plain fit does, and the rest.
        pytest.param(2, 1, {}, id="many in cells"),
    ],
)
def test_between_two_reports_nothing_is_read_back(monkeypatch, signals, levels, options):
    # As short as a fit can be that has all that happens in one.
    monkeypatch.setattr("doh3d.fitting.optimisation.REPORT_INTERVAL", 1)
    optimisation = without_values(signals, levels, options)
    with NoHostReads():
        # Through draws, measurements, choices of delta, and rounding from its begin to its end.
        while optimisation._next_step < SMALL.steps:
            optimisation._step_to_report(meets_sizes=True)
            optimisation._state(torch.clone)
    assert optimisation.parameters.fixed == (0 if options.get("quantizer") == "ptq" else 80)
    named = optimisation._tensors()
    assert {tensor.device.type for tensor in named.values()} == {"meta"}


def test_a_read_that_is_added_to_a_step_is_noticed(monkeypatch):
    optimisation = without_values(1, 0, {})
    learn = WeightCurvature.learn

    def reading(self, gradient):
        learn(self, gradient)
        assert float(self.trace()) > 0

    monkeypatch.setattr(WeightCurvature, "learn", reading)
    with NoHostReads(), pytest.raises(HostReadError):
        optimisation.step(0)


# Recording.


class Recorder:
    """Stands in for `torch.cuda`: tells what is asked of it."""

    def __init__(self, told, fails=False):
        self.told, self.fails = told, fails

    def is_available(self):
        return True

    def device(self, _):
        return self

    def Stream(self):  # noqa: N802
        return self

    def current_stream(self):
        return self

    def wait_stream(self, _):
        self.told.append("wait")

    def CUDAGraph(self):  # noqa: N802
        return self

    def replay(self):
        self.told.append("replay")

    def stream(self, _):
        return self

    def graph(self, _, capture_error_mode):
        self.told.append("record")
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def replayed(monkeypatch, calls, **options):
    told = []
    monkeypatch.setattr(replay.torch, "cuda", Recorder(told, **options))
    work = Replay(lambda: told.append("work"), CUDA)
    for _ in range(calls):
        work()
    return told


def test_work_is_recorded_once_it_is_warm_and_replayed_from_then_on(monkeypatch):
    warm = ["wait", "work", "wait"]
    # Recording does nothing yet.
    assert replayed(monkeypatch, 5) == [*warm, *warm, "record", "work", *["replay"] * 3]


def test_what_cannot_be_recorded_is_done_each_time(monkeypatch, caplog):
    told = replayed(monkeypatch, 5, fails=True)
    assert told[6:] == ["record", "work", "work", "work"]
    assert caplog.text.count("cannot be recorded") == 1


def test_on_the_cpu_work_is_done_each_time():
    told = []
    work = Replay(lambda: told.append("work"), torch.device("cpu"))
    for _ in range(4):
        work()
    assert told == ["work"] * 4


def test_a_gpu_holds_as_many_signals_as_its_memory_and_the_cpu_a_dozen(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (75 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
    small, large = (shape_config(latent=latent) for latent in (1400, 22_000))
    assert 10 < signals_at_once(small, torch.device("cpu")) < 20
    assert 256 <= signals_at_once(small, CUDA) < 1000
    assert 64 <= signals_at_once(large, CUDA) < signals_at_once(small, CUDA)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 80 * 2**30))
    assert signals_at_once(small, CUDA) == 1
