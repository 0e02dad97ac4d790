from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import RatePoint
from doh3d.evaluation.rate_table import Baseline
from doh3d.sweep.table import SweepRow
from doh3d.view.figures import check_figures, draw_bytes, draw_lines, draw_sweep, quality_ticks
from doh3d.view.scales import byte_ticks

pytest.importorskip("matplotlib")


def row(latent, bits, seed, size, iou):
    return SweepRow(
        mesh="ball.ply",
        latent=latent,
        bits=bits,
        quantizer="ptq",
        seed=seed,
        preset="fast",
        width=24,
        depth=3,
        octaves=3,
        projection="hadamard",
        bytes=size,
        iou=iou,
        iou_of="field",
        protocol="bbox",
        points=4096,
        seconds=1.0,
        latent_bytes=size - 60,
        bias_bytes=22,
        header_bytes=38,
        version="0.1.0",
        date="2026-01-01",
    )


ROWS = [
    row(latent, bits, seed, latent * bits // 8 + 60 + seed, 1 - 8 / latent - 0.3 / 2**bits)
    for seed in (0, 1)
    for latent in (100, 200, 400)
    for bits in (4, 8, 32)
]


def lines_of(figure):
    return {
        line.get_label(): line
        for line in figure.axes[0].get_lines()
        if not line.get_label().startswith("_")
    }


def test_three_pictures_whole_and_alone(tmp_path):
    from PIL import Image

    baseline = Baseline("Draco", (RatePoint(100, 0.8), RatePoint(300, 0.9)))
    paths = draw_sweep(ROWS, tmp_path, [baseline])
    assert [path.name for path in paths] == ["iou_latent.png", "iou_bits.png", "iou_bytes.png"]
    assert sorted(paths) == sorted(tmp_path.iterdir())
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            pixels = np.asarray(picture.convert("RGB"))
        assert pixels.shape[0] > 600
        # Not blank, and white to the corners.
        assert 0.01 < (pixels < 250).any(axis=2).mean() < 0.3
        assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()


def test_pictures_are_the_same_every_time(tmp_path):
    first = [path.read_bytes() for path in draw_sweep(ROWS, tmp_path)]
    assert first == [path.read_bytes() for path in draw_sweep(ROWS, tmp_path)]


def test_a_line_for_each_bit_level_at_the_means():
    # Equal seeds: nothing to shift apart for, but bars exist where seeds differ.
    lines = lines_of(draw_lines(ROWS[:9], "latent"))
    assert list(lines) == ["float32", "8 bits", "4 bits"]
    x, y = lines["8 bits"].get_data()
    np.testing.assert_allclose(x, [100, 200, 400])
    np.testing.assert_allclose(y, -np.log10([8 / n + 0.3 / 256 for n in (100, 200, 400)]))
    lines = lines_of(draw_lines(ROWS[:9], "bits"))
    assert list(lines) == ["400", "200", "100"]
    np.testing.assert_allclose(lines["400"].get_xdata(), [4, 8, 32])


def test_axes_are_logarithmic_and_labelled_in_iou():
    axes = draw_lines(ROWS, "bits").axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "8", "float32"]
    ticks = {
        float(label.get_text()): place
        for label, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
    }
    assert 0.95 in ticks
    assert ticks[0.95] == pytest.approx(-np.log10(0.05))
    assert "bbox, 4096 points" in axes.get_ylabel()


def test_error_bars_are_the_interval_and_only_where_seeds_repeat():
    assert not any(
        c.get_segments()[0].size for c in draw_lines(ROWS[:9], "latent").axes[0].collections
    )
    rows = [row(100, 8, 0, 200, 0.94), row(100, 8, 1, 200, 0.96), row(200, 8, 0, 300, 0.97)]
    (bars,) = draw_lines(rows, "latent").axes[0].collections
    low, high = bars.get_segments()[0][:, 1]
    assert low == pytest.approx(-np.log10(1 - (0.95 - 12.7062 * 0.01)), rel=1e-4)
    # The mean and t make more than 1, which has no place on the axis.
    assert high == 6
    # A single seed has no bar, not one of length zero to 1.
    assert np.ptp(bars.get_segments()[1][:, 1]) == 0
    # Bars that long do not squeeze the lines.
    assert draw_lines(rows, "latent").axes[0].get_ylim()[1] < 2


def test_bytes_show_every_file_the_front_and_baselines():
    rows = [row(100, 8, 0, 200, 0.9), row(100, 8, 1, 210, 0.89), row(200, 8, 0, 300, 0.95)]
    baseline = Baseline("Draco", tuple(RatePoint(*p) for p in [(900, 0.9), (250, 0.8), (400, 0.7)]))
    figure = draw_bytes(rows, [baseline])
    lines = lines_of(figure)
    assert list(lines) == ["Pareto front", "8 bits", "Draco"]
    assert list(lines["8 bits"].get_xdata()) == [200, 210, 300]
    assert list(lines["Pareto front"].get_xdata()) == [200, 300]
    assert list(lines["Draco"].get_xdata()) == [250, 900]
    low, high = figure.axes[0].get_xlim()
    assert low < 200
    assert high > 900


@pytest.mark.parametrize("iou", [0.0, 0.5, 1.0])
def test_a_single_row_of_any_quality_is_drawn(tmp_path, iou):
    assert len(draw_sweep([row(100, 8, 0, 200, iou)], tmp_path)) == 3


@pytest.mark.parametrize(
    ("low", "high"), [(-0.02, 0.3), (1.0, 1.1), (1.94, 1.98), (0, 3), (2.5, 4), (0, 6)]
)
def test_ticks_are_round_and_enough(low, high):
    ticks = quality_ticks(low, high)
    assert 4 <= len(ticks) <= 12
    assert all(low <= -np.log10(1 - tick) <= high for tick in ticks)
    assert len({f"{tick:.9g}" for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("low", "high"),
    [(244, 244), (240, 250), (60, 61), (230, 350), (400, 1000), (169, 1215), (300, 64000)],
)
def test_every_axis_of_sizes_has_labels(low, high):
    # What an axis shows beyond the sizes.
    shown = [tick for tick in byte_ticks([low, high]) if low / 1.03 <= tick <= high * 1.03]
    assert 3 <= len(shown) <= 9
    assert len({f"{tick:g}" for tick in shown}) == len(shown)


def test_no_global_state_is_touched():
    import subprocess

    code = (
        "import sys, doh3d.view.figures as f; assert 'matplotlib' not in sys.modules;"
        "f.check_figures(); assert 'matplotlib' in sys.modules;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_hint_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r'pip install "doh3d\[view\]"') as error:
        check_figures()
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError):
        draw_sweep(ROWS, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        draw_sweep(ROWS, tmp_path / "no")
    buffer = io.BytesIO()
    draw_bytes(ROWS).savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")
