from __future__ import annotations

import math
import sys
import warnings

import numpy as np
import pytest

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import RatePoint
from peers.rate_distortion import PsnrPoint, bd_psnr, bd_rate, interpolate_bytes

CURVE = [RatePoint(300, 0.8), RatePoint(700, 0.9), RatePoint(1500, 0.95), RatePoint(4000, 0.99)]


def at(curve, factor):
    return [RatePoint(round(point.bytes * factor), point.iou) for point in curve]


def log_linear(scale, slope, ious):
    """A codec whose log10 bytes are linear in quality."""
    return [RatePoint(round(scale * (1 - iou) ** -slope), iou) for iou in ious]


def test_a_curve_against_itself_is_nothing():
    result = bd_rate(CURVE, CURVE)
    assert result.percent == pytest.approx(0, abs=1e-9)
    assert (result.low, result.high) == (pytest.approx(0.8), pytest.approx(0.99))
    assert result.reason == ""


@pytest.mark.parametrize(("factor", "percent"), [(0.5, -50), (2, 100), (1.1, 10)])
def test_a_curve_against_itself_at_other_sizes_is_that_factor(factor, percent):
    assert bd_rate(CURVE, at(CURVE, factor)).percent == pytest.approx(percent, abs=1e-9)


def test_points_need_not_match_and_only_the_overlap_counts():
    anchor = log_linear(1e6, 1, [0.5, 0.8, 0.9, 0.99])
    test = log_linear(0.75e6, 1, [0.7, 0.85, 0.95, 0.97, 0.995])
    result = bd_rate(anchor, test)
    assert result.percent == pytest.approx(-25, abs=1e-3)
    assert (result.low, result.high) == (pytest.approx(0.7), pytest.approx(0.99))


def test_quality_is_the_logarithm_of_the_error():
    # Between IoU 0.9 and 0.99 the test's log2(bytes) falls behind from 0 to 1, linearly in
    # -log10(1 - IoU) but not in IoU: the mean is a factor of sqrt(2).
    ious = [1 - 10**-quality for quality in np.linspace(1, 2, 9)]
    anchor = log_linear(1e6, 1, ious)
    test = log_linear(1e6 / 2, 1 + math.log10(2), ious)
    assert bd_rate(anchor, test).percent == pytest.approx(100 * (math.sqrt(2) - 1), abs=1e-3)


def test_points_off_the_front_and_without_finite_quality_do_not_count():
    extra = [RatePoint(5000, 0.7), RatePoint(100, 0), RatePoint(9000, 1), RatePoint(700, 0.85)]
    result = bd_rate([*extra, *CURVE], at(CURVE, 0.5))
    assert result == bd_rate(CURVE, at(CURVE, 0.5))


def test_curves_that_do_not_overlap_have_no_rate_but_a_reason():
    better = [RatePoint(500 + 9 * n, 0.995 + n / 1000) for n in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = bd_rate(CURVE, better)
    assert result.percent is None
    assert result.low is None
    assert result.high is None
    assert "IoU 0.8000 to 0.9900" in result.reason
    assert "IoU 0.9950 to 0.9980" in result.reason


@pytest.mark.parametrize("touching", [0.99, 0.8])
def test_curves_that_touch_at_one_quality_do_not_overlap(touching):
    step = 0.002 if touching == 0.99 else -0.1
    other = [
        RatePoint(999 + round(9 * n * step / abs(step)), touching + step * n) for n in range(3)
    ]
    assert "do not overlap" in bd_rate(CURVE, other).reason


def test_too_few_points_have_no_rate_but_a_reason():
    result = bd_rate(CURVE, [*CURVE[:2], RatePoint(9000, 0.5), RatePoint(9000, 1)])
    assert result.percent is None
    assert result.reason == "the test has 2 Pareto points with an IoU between 0 and 1; 3 needed"
    assert bd_rate([], CURVE).reason.startswith("the anchor has 0 Pareto points")


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    with pytest.raises(ConfigError, match=r'^bjontegaard is not installed.*"doh3d\[peers\]"$'):
        bd_rate(CURVE, CURVE)


def test_bytes_are_interpolated_through_the_points_and_between_them():
    for point in CURVE:
        assert interpolate_bytes(CURVE, point.iou) == pytest.approx(point.bytes)
    line = log_linear(1e6, 1, [0.5, 0.8, 0.99])
    assert interpolate_bytes(line, 0.95) == pytest.approx(2e7, rel=1e-4)


@pytest.mark.parametrize("iou", [0.79, 0.991])
def test_bytes_beyond_the_curve_are_unknown(iou):
    assert interpolate_bytes(CURVE, iou) is None
    assert interpolate_bytes(CURVE[:1], 0.8) is None


@pytest.mark.parametrize("iou", [0, 1, -0.1, math.nan])
def test_an_iou_to_interpolate_at_is_between_0_and_1(iou):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        interpolate_bytes(CURVE, iou)


# Of images.


def psnr_curve(factor=1.0, offset=0.0):
    """PSNR that grows by 4 dB with each doubling, `factor` times the rate."""
    rates = (0.03, 0.07, 0.15, 0.3, 0.6)
    return [PsnrPoint(factor * bpp, 30 + 4 * math.log2(bpp) + offset) for bpp in rates]


def test_half_the_bits_is_what_it_says():
    found = bd_psnr(psnr_curve(), psnr_curve(factor=0.5))
    assert found.rate_percent == pytest.approx(-50)
    assert found.decibels == pytest.approx(4)
    assert (found.low_bpp, found.high_bpp) == (0.03, 0.3)
    assert found.low_db == pytest.approx(30 + 4 * math.log2(0.03))


def test_a_decibel_more_is_what_it_says():
    found = bd_psnr(psnr_curve(), reversed(psnr_curve(offset=1.0)))
    assert found.decibels == pytest.approx(1)
    assert found.rate_percent == pytest.approx(100 * (2**-0.25 - 1))


def test_curves_of_images_without_overlap_have_no_delta():
    found = bd_psnr(psnr_curve(), psnr_curve(factor=100))
    assert found.decibels is None
    assert found.rate_percent == pytest.approx(9900)
    assert bd_psnr(psnr_curve(), psnr_curve(offset=50)).rate_percent is None


def test_points_of_images_that_are_none_are_refused():
    with pytest.raises(ConfigError, match=r"bpp is 0; it must be above 0"):
        PsnrPoint(0, 30)
    with pytest.raises(ConfigError, match=r"psnr_db is inf"):
        PsnrPoint(1, math.inf)
    with pytest.raises(ConfigError, match="the test has 1 Pareto points; 3 needed"):
        bd_psnr(psnr_curve(), [PsnrPoint(0.1, 30), PsnrPoint(0.2, 29)])
