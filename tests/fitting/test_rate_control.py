import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from doh3d.errors import ConfigError, TargetError
from doh3d.fitting.compress import compress, make_config
from doh3d.fitting.preparation import prepare
from doh3d.fitting.presets import (
    DEFAULT_LATENT,
    batch_for_latent,
    latent_for_bytes,
    plan_for_latent,
    steps_for_latent,
)
from doh3d.fitting.rate_control import _LADDER, IOU, fit_to_quality, search_ladder


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


@pytest.mark.parametrize("preset", ["fast"])
@pytest.mark.parametrize("max_bytes", [300, 700])
def test_a_file_uses_what_it_may_and_no_more(torus, preset, max_bytes):
    shape = compress(torus, max_bytes=max_bytes, preset=preset, device="cpu")
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
        fit_to_quality(None, 0.99, None, lambda data: 0.9 + len(data) / 1e6, scale=IOU, device=None)
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
        ({"max_bytes": 500, "latent": 400}, "latent and max_bytes contradict"),
        ({"min_iou": 0.9, "latent": 400}, "latent and min_iou contradict"),
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
    first, second = plan_for_latent(smaller), plan_for_latent(larger)
    assert first.levels <= second.levels
    assert first.levels < second.levels or first.width <= second.width
    assert first.rate_weight > second.rate_weight
    assert 0 < steps_for_latent(3000, larger) <= steps_for_latent(3000, smaller) <= 3000


def test_the_default_latent_is_about_a_kilobyte():
    assert 900 < 38 + DEFAULT_LATENT * 5.3 / 8 < 1000


class Whatever:
    """A signal of which nothing is asked but how long its latent is to be."""

    def latent_for_bytes(self, size):
        return size


@pytest.mark.parametrize(
    ("sizes", "asked", "errors", "result"),
    [
        # Good at once; cut, then good; cut, whatever is tried.
        ([990], [1.0], {}, 990),
        ([1010, 985], [1.0, 0.97 / 1.01], {1000: 0.2, 985: 0.1}, 985),
        ([1010, 1020], [1.0, 0.97 / 1.01], {1000: 0.1}, 1000),
        # A second one that is worse does not go over the first.
        ([1010, 985], [1.0, 0.97 / 1.01], {1000: 0.1, 985: 0.2}, 1000),
        # The second is no file at all: the first is better than none.
        ([1010, 900], [1.0, 0.97 / 1.01], {}, 1000),
        # And so is the last of all, where those before fell short.
        ([900, 900, 900, 1010], [(0.98 / 0.9) ** k for k in range(4)], {}, 1000),
    ],
)
def test_a_fit_that_would_have_to_be_cut_is_repeated_once(
    monkeypatch, sizes, asked, errors, result
):
    from doh3d.fitting import rate_control

    coming = iter(sizes)
    found = []

    def fit_signal(signal, config, *, payload_bits, **options):
        found.append(payload_bits)
        return next(coming)

    monkeypatch.setattr(rate_control, "fit_signal", fit_signal)
    monkeypatch.setattr(rate_control, "payload_bits_for", lambda signal, config, size: 1.0)
    monkeypatch.setattr(rate_control, "quantize_fit", lambda size, config, signal: size)
    monkeypatch.setattr(rate_control, "serialize", bytes)
    monkeypatch.setattr(
        rate_control, "encode_within", lambda size, config, signal, most: bytes(min(size, most))
    )
    monkeypatch.setattr(
        rate_control, "_error", lambda encoded, signal, device: errors[len(encoded.data)]
    )
    encoded = rate_control.fit_to_bytes(Whatever(), 1000, lambda latent: latent, device=None)
    assert len(encoded.data) == result
    assert found == pytest.approx(asked)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_batches_grow_with_the_latent(one, other):
    smaller, larger = sorted((one, other))
    assert 4096 <= batch_for_latent(4096, smaller) <= batch_for_latent(4096, larger)


def test_the_error_of_a_file_is_what_it_has_on_the_wrong_side(torus):
    shape = prepare(torus)
    config = shape.adapt(make_config(latent=200, preset="fast"), mirror=False)
    good = compress(torus, latent=200, preset="fast", mirror=False, device="cpu")
    poor = compress(torus, latent=30, preset="fast", mirror=False, device="cpu")
    errors = [shape.error(file.code, config, torch.device("cpu")) for file in (good, poor)]
    samples = shape.sample(config)
    found = good.field("cpu").occupancy(shape.transform.to_world(samples.points))
    assert errors[0] == pytest.approx(np.mean(found != samples.inside), abs=2e-3)
    assert 0 < errors[0] < errors[1] < 0.5
