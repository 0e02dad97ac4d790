import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from doh3d.api.compress import compress
from doh3d.codec.container import parse
from doh3d.errors import ConfigError, TargetError
from doh3d.field import OccupancyField
from doh3d.fitting.plan import Preset
from doh3d.fitting.rate_control import _LADDER, encode, fit_to_quality, search_ladder
from doh3d.signals.shape import IOU, prepare, shape_config
from doh3d.signals.shape_plan import PRESETS, effort_for_latent, latent_for_bytes, plan_for_shape


@given(st.integers(1, 60), st.data())
def test_search_finds_the_lowest_rung_whatever_the_prediction(rungs, data):
    answer = data.draw(st.integers(0, rungs))
    start = data.draw(st.integers(0, rungs - 1))
    tried = []

    def reaches(rung):
        assert 0 <= rung < rungs
        assert rung not in tried
        tried.append(rung)
        return rung >= answer

    found = search_ladder(
        rungs,
        start=start,
        reaches=reaches,
        predict=lambda rung: data.draw(st.integers(-100, 100)),
    )
    assert found == (answer if answer < rungs else None)
    if found:
        assert found - 1 in tried
    assert len(tried) <= 5 + math.ceil(math.log2(rungs + 1))


def test_a_good_prediction_needs_few_trials():
    tried = []

    def reaches(rung):
        tried.append(rung)
        return rung >= 30

    search_ladder(58, start=13, reaches=reaches, predict=lambda rung: 30 if rung < 30 else 29)
    assert tried == [13, 30, 29]


def test_the_ladder_spans_the_allowed_sizes():
    assert _LADDER[0] == 300
    assert _LADDER[-1] == 64_000
    ratios = [b / a for a, b in itertools.pairwise(_LADDER)]
    assert all(1 < ratio < 1.11 for ratio in ratios)


@pytest.mark.parametrize("max_bytes", [300, pytest.param(700, marks=pytest.mark.slow)])
def test_a_file_uses_what_it_may_and_no_more(torus, max_bytes):
    shape = compress(torus, max_bytes=max_bytes, preset="fast", device="cpu")
    assert 0.95 * max_bytes <= len(shape.data) <= max_bytes


@pytest.mark.slow
def test_the_smallest_file_that_is_good_enough(torus):
    shape = compress(torus, min_iou=0.93, preset="fast", device="cpu")
    from doh3d.evaluation.evaluate import mesh_iou

    assert mesh_iou(torus, shape.field("cpu").to_mesh()).iou >= 0.93


def test_quality_out_of_reach_carries_the_best_file(monkeypatch):
    from doh3d.fitting import rate_control

    def fake_fit(shape, max_bytes, config_for_latent, **options):
        return rate_control.Encoded(bytes(max_bytes), config_for_latent)

    monkeypatch.setattr(rate_control, "fit_to_bytes", fake_fit)
    with pytest.raises(TargetError, match=r"0\.99 was not reached: 64000 bytes reach 0\.9") as best:
        fit_to_quality(Whatever(), 0.99, None, device=None)
    assert len(best.value.data) == 64_000
    assert best.value.reached == pytest.approx(0.964)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_bytes": 299}, "max_bytes is 299.*300 to 64000"),
        ({"max_bytes": 64_001}, "300 to 64000"),
        ({"min_iou": 1.0}, "above 0 and below 1"),
        ({"min_iou": 0.0}, "above 0 and below 1"),
        ({"max_bytes": 500, "min_iou": 0.9}, "contradict"),
        ({"max_bytes": 500, "latent": 400}, "max_bytes and latent contradict"),
        ({"min_iou": 0.9, "latent": 400}, "min_iou and latent contradict"),
        ({"max_bytes": 500, "bits": 6}, "leave out bits"),
        ({"max_bytes": 500, "quantizer": "ptq"}, "leave out bits and ptq"),
    ],
)
def test_targets_out_of_range_or_contradicting_are_named_before_any_work(options, named):
    with pytest.raises(ConfigError, match=named):
        compress("never-read.ply", **options)


@given(st.integers(300, 64_000))
def test_plans_grow_with_the_size(size):
    smaller, larger = latent_for_bytes(size), latent_for_bytes(size + 500)
    assert smaller < larger
    first, second = plan_for_shape(smaller), plan_for_shape(larger)
    assert first.levels <= second.levels
    assert first.levels < second.levels or first.architecture.width <= second.architecture.width
    assert first.rate_weight > second.rate_weight


class Whatever:
    """A signal of which nothing is known but what a file's size says."""

    scale = IOU

    def latent_for_bytes(self, size):
        return size

    def quality(self, data, device):
        return 0.9 + len(data) / 1e6

    def error(self, data, config, device):
        return config[len(data)]


@pytest.mark.parametrize(
    ("sizes", "errors", "result"),
    [
        # Good at once; cut, then good; cut, whatever is tried.
        ([990], {}, 990),
        ([1010, 985], {1000: 0.2, 985: 0.1}, 985),
        ([1010, 1020], {1000: 0.1}, 1000),
        # A second one that is worse does not go over the first.
        ([1010, 985], {1000: 0.1, 985: 0.2}, 1000),
        # The second falls short, and is worse; or better, since a cut may cost much.
        ([1010, 900], {1000: 0.1, 900: 0.2}, 1000),
        ([1010, 900], {1000: 0.2, 900: 0.1}, 900),
        # And so may be one before.
        ([910, 1010, 900], {910: 0.1, 1000: 0.3, 900: 0.2}, 910),
        # The last of all is cut, where those before fell short.
        ([900, 900, 900, 1010], {1000: 0.1, 900: 0.2}, 1000),
    ],
)
def test_a_fit_that_would_have_to_be_cut_is_repeated_once(monkeypatch, sizes, errors, result):
    from doh3d.fitting import rate_control

    coming = iter(sizes)
    asked = []

    def fits_of(signal, config, device, payload_bits):
        asked.append(payload_bits)
        yield from ()
        return next(coming)

    def encode_within(size, config, signal, most):
        return bytes(min(size, most)), size / most - 1

    monkeypatch.setattr(rate_control, "fits_of", fits_of)
    monkeypatch.setattr(rate_control, "payload_bits_for", lambda signal, config, size: 1.0)
    monkeypatch.setattr(rate_control, "encode_within", encode_within)
    encoded = rate_control.fit_to_bytes(Whatever(), 1000, lambda latent: errors, device=None)
    assert len(encoded.data) == result
    assert len(asked) == len(sizes)
    # What came out too large is asked for less, what fell short for more.
    for size, before, after in zip(sizes, asked, asked[1:], strict=False):
        assert (after < before) == (size > 1000)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_longer_latents_take_fewer_steps_of_more_points(one, other):
    preset = Preset(steps=3000, batch_size=4096, pool_size=10**9)
    smaller, larger = (effort_for_latent(preset, latent) for latent in sorted((one, other)))
    assert 4096 <= smaller.batch_size <= larger.batch_size
    assert 0 < larger.steps <= smaller.steps <= 3000


def test_the_error_of_a_file_is_what_it_has_on_the_wrong_side(torus, monkeypatch):
    quick = Preset(steps=120, batch_size=1024, pool_size=20_000)
    monkeypatch.setitem(PRESETS, "fast", quick)
    shape = prepare(torus)
    config = shape.adapt(shape_config(latent=200, preset="fast"), mirror=False)
    cpu = torch.device("cpu")
    files = [encode(shape, replace(config, latent=latent), device=cpu).data for latent in (200, 30)]
    errors = [shape.error(data, config, cpu) for data in files]
    samples = shape.sample(config)
    field = OccupancyField(parse(files[0]), "cpu")
    found = field.occupancy(shape.transform.to_world(samples.points))
    assert errors[0] == pytest.approx(np.mean(found != samples.inside), abs=1e-3)
    assert 0 < errors[0] < errors[1] < 0.5
