import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from peers.published import kodak_curves, published_rows
from peers.rate_distortion import PsnrPoint, bd_psnr

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("name", ["kodak", "necgs"])
def test_every_figure_has_its_source_and_licence(name):
    rows = published_rows(name)
    licences = (SCRIPTS / "peers/published/README.md").read_text()
    assert rows
    for row in rows:
        assert row["source"]
        assert all(part in licences for part in row["source"].split())
        assert row["licence"] in {"Apache-2.0", "BSD-3-Clause", "quoted"}


def test_curves_rise_with_the_rate():
    curves = kodak_curves()
    assert {"COIN", "JPEG 2000", "C3", "VTM"} <= set(curves)
    for name, points in curves.items():
        points = sorted(points, key=lambda point: point.bpp)
        assert all(one.psnr_db < other.psnr_db for one, other in pairwise(points)), name
        assert 20 < points[0].psnr_db < 30, name


def test_what_the_page_says_of_the_papers_figures_holds():
    curves = kodak_curves()
    coin = curves["COIN"]
    assert bd_psnr(coin, curves["C3"]).rate_percent == pytest.approx(-79.9, abs=0.05)
    assert bd_psnr(coin, curves["C3"]).decibels == pytest.approx(5.81, abs=0.005)
    above = [PsnrPoint(point.bpp, point.psnr_db + 2.38) for point in coin]
    assert bd_psnr(coin, above).rate_percent == pytest.approx(-59.9, abs=0.05)
    fewer = [PsnrPoint(point.bpp * (1 - 0.7866), point.psnr_db) for point in coin]
    assert bd_psnr(coin, fewer).decibels == pytest.approx(3.78, abs=0.005)


def test_every_curve_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("benchmark_kodak", SCRIPTS / "benchmark_kodak.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert set(module.STYLES) == {"doh3d", *kodak_curves()}
    drawn = {}
    for presets in ((), ("default",), ("default", "fast")):
        rows = [
            {"image": "a", "preset": preset, "target_bpp": rate, "bpp": rate, "psnr_db": psnr_db}
            for preset in presets
            for rate, psnr_db in (("0.07", "25"), ("0.15", "27"))
        ]
        module.draw(rows, tmp_path / "kodak.png")
        drawn[presets] = (tmp_path / "kodak.png").read_bytes()
        assert len(drawn[presets]) > 10_000
    assert len(set(drawn.values())) == 3
