from __future__ import annotations

import math

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("bjontegaard")

from doh3d.errors import ConfigError
from peers.rate_distortion import bd_rate, error_point
from rd_report import report

SIZES = (300, 700, 1500, 4000)


def row(method, size, error, simplifier="open3d_qem", *, measured=True):
    surface = {"chamfer": f"{error:.6f}", "normal_consistency": f"{1 - error:.6f}"}
    return {
        "mesh": "part",
        "method": method,
        "bytes": str(size),
        "iou": f"{1 - error:.6f}",
        "variant": f"90 faces, {simplifier} at 1, 8 bits" if method == "draco" else "n 700",
    } | (surface if measured else dict.fromkeys(surface, ""))


def curve(method, factor, **options):
    return [row(method, round(factor * size), 30 / size, **options) for size in SIZES]


def told(rows):
    """BD-rates by measure and peer."""
    rates, measure = {}, ""
    for line in report(rows):
        if line.startswith("By "):
            measure = line.removeprefix("By ").split(": ")[0]
            continue
        peer, mesh, *rest = line.split("\t")
        if mesh == "part":
            rates[measure, peer] = rest[0]
    return rates


def test_each_measure_has_its_rate_and_two_simplifiers_have_theirs():
    rows = (
        curve("codec", 0.5) + curve("draco", 1) + curve("draco", 0.75, simplifier="meshoptimizer")
    )
    rates = told(rows)
    for measure in ("IoU", "Chamfer distance", "1 - normal consistency"):
        assert rates[measure, "draco"] == "-33.3%"
        assert rates[measure, "draco, two simplifiers"] == "-50.0%"


def test_rows_from_before_a_measure_count_for_iou_alone():
    rows = curve("codec", 0.5) + curve("draco", 1, measured=False)
    lines = list(report(rows))
    assert lines[0] == "By IoU: 4 rows of codec, 4 rows of draco, 4 rows of draco, two simplifiers"
    assert "By Chamfer distance: 4 rows of codec" in lines


def test_an_error_counts_by_its_logarithm():
    anchor = [error_point(size, 30 / size) for size in SIZES]
    test = [error_point(size, 15 / size) for size in SIZES]
    assert bd_rate(anchor, test).percent == pytest.approx(-50, abs=1e-6)
    assert error_point(9, math.inf).iou == 0
    with pytest.raises(ConfigError, match="error is 0; it must be above 0"):
        error_point(9, 0)
