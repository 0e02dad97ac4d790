from __future__ import annotations

import sys

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("bjontegaard")

import measure_all
import provenance
import release_jobs
from measure_all import estimate, missing
from provenance import PROVENANCE

JOB = release_jobs.Job(
    "rd codec fast",
    "cow",
    "rd",
    tuple({"mesh": "cow", "method": "codec", "target_bytes": most} for most in (500, 1200)),
    (["true"],),
    seconds=7,
)


def row(most, *, code=None, mesh="cow", seconds="10", commit="abc"):
    return {
        "mesh": mesh,
        "method": "codec",
        "target_bytes": str(most),
        "code": provenance.code("codec") if code is None else code,
        "seconds": seconds,
        "commit": commit,
    }


def test_rows_of_other_code_are_missing():
    assert missing(JOB, {}) == list(JOB.keys)
    rows = {"rd": [row(500), row(1200, code=""), row(1200, mesh="pig")]}
    assert missing(JOB, rows) == [JOB.keys[1]]
    assert missing(JOB, {"rd": [row(500), row(1200)]}) == []


def test_what_is_missing_is_estimated_by_earlier_rows():
    key = JOB.keys[0]
    assert estimate(JOB, key, {}) == 7
    # The same of two commits, each with two rows.
    earlier = [row(500, seconds=s, commit=c) for s, c in zip("1234", "aabb", strict=True)]
    assert estimate(JOB, key, {"rd": earlier}) == 5
    # Only others' rows of that size.
    earlier = [
        row(500, mesh="pig", seconds="30"),
        row(500, mesh="dog", seconds="50"),
        row(1200, mesh="pig", seconds="900"),
    ]
    assert estimate(JOB, key, {"rd": earlier}) == 40


@pytest.fixture
def inputs(tmp_path):
    """Folders with the names that studies know, and nothing in the files."""
    meshes = {*release_jobs.PIECES_OF, *release_jobs.PARTS}
    names = {
        "meshes": [f"{mesh}.obj" for mesh in meshes],
        "images": [f"kodim{number:02}.png" for number in range(1, 25)],
        "volumes": [release_jobs.MAP, "aorta_1.5mm.nii.gz", "ct_labels_1mm.nii.gz"],
    }
    for folder, files in names.items():
        (tmp_path / folder).mkdir()
        for name in files:
            (tmp_path / folder / name).touch()
    return [tmp_path / folder for folder in names]


def test_every_script_knows_the_rows_that_are_expected_of_it(inputs, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = list(release_jobs.jobs(*inputs))
    assert len({(job.group, job.name) for job in found}) == len(found)
    for job in found:
        script = job.commands[-1][1]
        with open(script) as file:
            text = file.read()
        if "harness" in text:
            text += (release_jobs.SCRIPTS / "ablations" / "harness.py").read_text()
        for column in {column for key in job.keys for column in key}:
            assert column in PROVENANCE or column in text, (job.name, column)
        assert len({tuple(key.items()) for key in job.keys}) == len(job.keys)


def test_groups_without_inputs_are_left_out(inputs):
    volumes = inputs[-1]
    assert {job.group for job in release_jobs.jobs(None, None, volumes)} == {"volumes"}
    assert list(release_jobs.jobs(None, None, None)) == []


def test_jobs_run_their_commands_and_say_how_they_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_all, "LOGS", tmp_path)

    def ran(*commands, limit=60.0):
        return measure_all.run(release_jobs.Job("g", "n", "rd", (), commands), limit)

    made = tmp_path / "made" / "file.doh"
    script = "import sys, pathlib; pathlib.Path(sys.argv[-1]).touch(); print('made')"
    make = [sys.executable, "-c", script, "-o", str(made)]
    assert ran(make) == "done"
    assert made.exists()
    assert (tmp_path / "g-n.log").read_text() == "made\n"
    # What is there is not made again.
    assert ran(make) == "done"
    assert (tmp_path / "g-n.log").read_text() == ""
    assert ran([sys.executable, "-c", "exit(3)"], ["false"]).startswith("FAILED with 3, see ")
    forever = [sys.executable, "-c", "import signal; signal.pause()"]
    assert ran(forever, limit=0.1) == "stopped: the time is over"
