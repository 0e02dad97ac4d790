import pytest

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_table import parse_baseline, read_baseline


def test_a_baseline_is_read_for_its_mesh(tmp_path):
    table = tmp_path / "draco.tsv"
    table.write_text("mesh\tfaces\tbytes\tiou\nball.stl\t9\t300\t0.8\ncow.ply\t9\t200\t0.7\n")
    points = parse_baseline(f"Draco={table}", "meshes/ball.ply").points
    assert [(point.bytes, point.iou) for point in points] == [(300, 0.8)]
    table.write_text("bytes\tiou\n300\t0.8\n500\t0.9\n")
    assert len(read_baseline("Draco", table, "any.ply").points) == 2


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("size\tiou\n1\t0.5\n", "no column 'bytes'"),
        ("", "no column 'bytes'"),
        ("bytes\tiou\n", "has no row for ball.ply"),
        ("mesh\tbytes\tiou\ncow.ply\t1\t0.5\n", "has no row for ball.ply"),
        ("bytes\tiou\n10\t0.5\n10\n", "line 3: bytes '10' and iou None"),
        ("bytes\tiou\n0\t0.5\n", "line 2"),
        ("bytes\tiou\n5\t1.5\n", "line 2"),
        ("bytes\tiou\n5\tnan\n", "line 2"),
    ],
)
def test_a_table_that_is_no_baseline_is_named(tmp_path, text, named):
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(ConfigError, match=named):
        read_baseline("Draco", tmp_path / "a.tsv", "ball.ply")


@pytest.mark.parametrize("text", ["Draco", "=a.tsv", "Draco="])
def test_a_baseline_has_a_name_and_a_file(text):
    with pytest.raises(ConfigError, match=r"must be NAME=FILE\.tsv"):
        parse_baseline(text, "ball.ply")
