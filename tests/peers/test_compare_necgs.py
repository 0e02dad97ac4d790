import pytest

import compare_necgs
from compare_necgs import COLUMNS, METRICS, report


def row(mesh, size, chamfer):
    values = dict.fromkeys(COLUMNS, "")
    values |= {"mesh": mesh, "target_bytes": str(size), "bytes": str(size - 10)}
    values |= {name: str(chamfer) for name in METRICS}
    return values | {f"floor_{name}": "0.002" for name in METRICS}


def test_means_stand_beside_the_published_figures_of_as_many_bytes():
    rows = [row("one", 2990, 0.003), row("other", 2990, 0.005), row("one", 2060, 0.007)]
    lines = [line.split("\t") for line in report(rows)]
    assert lines[0] == ["codec", "shapes", "bytes", *METRICS]
    ama = next(place for place, line in enumerate(lines) if line[0] == "NeCGS, AMA")
    assert lines[ama][1:4] == ["500", "2990", "0.00344"]
    assert lines[ama + 1] == ["doh3d", "2", "2980", *["0.00400"] * 4]
    assert lines[ama + 2] == ["floor of these meshes", "2", "-", *["0.00200"] * 4]
    mixed = next(line for line in lines if line[0] == "NeCGS, Mixed")
    assert lines[lines.index(mixed) + 1][0].startswith("NeCGS")
    (other,) = (line for line in lines if line[:2] == ["doh3d", "1"])
    assert other[3] == "0.00700"


@pytest.mark.slow
def test_a_second_run_goes_on_where_the_first_stopped(tmp_path, monkeypatch):
    done = []
    (tmp_path / "meshes").mkdir()
    for name in ("one.obj", "other.ply"):
        (tmp_path / "meshes" / name).touch()

    def measure(path, size, preset, table):
        done.append((path.stem, size))
        if len(done) == 3:
            raise KeyboardInterrupt
        table.add(**row(path.stem, size, 0.003) | {"preset": preset})

    monkeypatch.setattr(compare_necgs, "measure", measure)
    output = str(tmp_path / "necgs.tsv")
    arguments = ["compare_necgs", "--meshes", str(tmp_path / "meshes"), "--output", output]
    monkeypatch.setattr("sys.argv", arguments)
    try:
        compare_necgs.main()
    except KeyboardInterrupt:
        compare_necgs.main()
    assert len(done) == 7
    assert len(set(done)) == 6
