from __future__ import annotations

import math

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("bjontegaard")

from benchmark_rd import COLUMNS, fill, surface_columns
from doh3d.errors import ConfigError
from peers.decimation import decimation_rows
from peers.rate_distortion import bd_rate, error_point
from rd_report import report
from result_table import ResultTable

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


def test_a_table_from_before_a_column_gets_it(tmp_path):
    path = tmp_path / "rd.tsv"
    path.write_text("mesh\tbytes\tversion\nold\t300\t0.0.1\n")
    table = ResultTable(path, ["mesh", "bytes", "chamfer", "version"])
    assert table.rows() == [{"mesh": "old", "bytes": "300", "chamfer": "", "version": "0.0.1"}]
    # To read changes nothing.
    assert path.read_text().startswith("mesh\tbytes\tversion\n")
    table.add(mesh="new", bytes=200, chamfer=0.01)
    old, new = table.rows()
    assert old == {"mesh": "old", "bytes": "300", "chamfer": "", "version": "0.0.1"}
    assert (new["mesh"], new["bytes"], new["chamfer"]) == ("new", "200", "0.01")


def test_rows_of_draco_on_the_front_are_measured_later(tmp_path, torus, capsys):
    for package in ("DracoPy", "fast_simplification"):
        pytest.importorskip(package)
    torus.export(tmp_path / "torus.ply")
    found = decimation_rows(
        torus,
        faces=(100, 300),
        quantization_bits=(8,),
        simplifiers=("fast_simplification",),
        points=2**12,
        screening_points=2**9,
    )
    table = ResultTable(tmp_path / "rd.tsv", COLUMNS)

    def add(row, size, iou):
        known = {"mesh": "torus", "method": "draco", "variant": row.variant}
        table.add(**known, bytes=size, iou=iou)

    for each in found:
        add(each, each.bytes, f"{each.iou:.5f}")
    # Beside the front, and one that is made otherwise today.
    add(found[0], found[0].bytes + 1, 0.1)
    add(found[0], found[0].bytes - 1, 0.05)
    fill(table, [tmp_path / "torus.ply"])
    *measured, beside, other = table.rows()
    for each, filled in zip(found, measured, strict=True):
        expected = surface_columns(each.surface)
        assert float(filled["chamfer"]) == pytest.approx(float(expected["chamfer"]), rel=0.01)
    assert (beside["chamfer"], other["chamfer"]) == ("", "")
    assert f"now takes {found[0].bytes} B, not {found[0].bytes - 1}" in capsys.readouterr().out
