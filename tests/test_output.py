"""What commands say where: reports on standard output, everything else on standard error."""

import io
import json
import logging
import sys

import numpy as np
import pytest
import rich.console
import trimesh
from PIL import Image

from doh3d import cli
from doh3d.signals import shape_plan

QUICK = ["--preset", "fast", "--latent", "100", "--width", "8", "--depth", "2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a mesh, an image, and presets that take no time."""
    quick = shape_plan.Preset(steps=40, batch_size=512, pool_size=5_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", quick)
    monkeypatch.chdir(tmp_path)
    trimesh.creation.torus(65.0, 25.0, major_sections=24, minor_sections=12).export("torus.ply")
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 255, (24, 32), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return tmp_path


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the command in this process; status, and all that reached the two descriptors."""

    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["doh3d", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = capfd.readouterr()
        return stopped.value.code, out, err

    return run_command


REPORTING = [
    ["check", "torus.ply"],
    ["compress", "torus.ply", "-o", "torus.doh", *QUICK],
    ["info", "torus.doh"],
    ["decompress", "torus.doh", "-o", "back.stl", "--resolution", "16"],
    ["eval", "torus.doh", "-r", "torus.ply", "--points", "4096", "--resolution", "16"],
    ["sweep", "torus.ply", "-o", "swept", "--latent", "100", "--bits", "4", "--preset", "fast",
     "--points", "4096"],
    ["image", "compress", "photo.png", "-o", "photo.doh", "--preset", "fast"],
    ["image", "decompress", "photo.doh", "-o", "back.png"],
    ["image", "eval", "photo.doh", "-r", "photo.png"],
]  # fmt: skip


def has_control_characters(text):
    return any(not character.isprintable() for character in text if character != "\n")


@pytest.mark.slow
def test_in_a_pipe_there_is_one_json_object_and_no_noise(folder, run):
    pytest.importorskip("matplotlib")
    for command in REPORTING:
        status, out, err = run(*command, "--json")
        assert status == 0, (command, err)
        assert isinstance(json.loads(out), dict)
        assert not has_control_characters(out + err), command


@pytest.mark.slow
def test_batch_commands_in_a_pipe(folder, run):
    for command in (
        ["batch", "torus.ply", "-o", "set", "--preset", "fast", "--latent", "100"],
        ["batch-eval", "set", "--points", "4096", "--resolution", "16", "--no-figures"],
        ["batch-export", "set", "-o", "meshes", "--resolution", "16"],
    ):
        status, out, err = run(*command, "--workers", "1", "--json")
        assert status == 0, (command, err)
        assert isinstance(json.loads(out), dict)
        assert not has_control_characters(out + err), command


@pytest.mark.slow
def test_the_log_is_quiet_unless_asked(folder, run):
    torus = trimesh.load_mesh("torus.ply")
    torus.faces = np.concatenate([torus.faces, torus.faces[:2]])
    torus.export("doubled.ply")
    command = ["compress", "doubled.ply", "-o", "a.doh", *QUICK, "--json"]

    def logged(err):
        """Without what compress says of so short a fit."""
        return [line for line in err.splitlines() if "warning: a.doh" not in line]

    status, out, err = run("--verbose", *command)
    assert status == 0
    assert json.loads(out)["bytes"] > 0
    lines = logged(err)
    assert "doh3d: doubled.ply: 2 doubled faces left out" in lines
    assert any(line.startswith("doh3d: fitting 100 latents, 6 bits") for line in lines)
    assert any(line.startswith("doh3d: fitted in ") for line in lines)
    # The mesh is read twice, and what is said of it is said once.
    assert len(set(lines)) == len(lines)
    # Once more, without being asked, after it was.
    assert logged(run(*command)[2]) == []
    assert run("-v", "info", "a.doh")[0] == 0


def test_warnings_are_shown_without_asking(folder, run):
    torus = trimesh.load_mesh("torus.ply")
    broken = trimesh.Trimesh(
        np.concatenate([torus.vertices, [[np.nan] * 3]]),
        np.concatenate([torus.faces, [[0, 1, len(torus.vertices)]]]),
        process=False,
    )
    broken.export("broken.ply")
    status, _, err = run("compress", "broken.ply", "-o", "a.doh", *QUICK)
    assert status == 0
    assert err.count("faces use vertices that are not finite") == 1
    assert err.startswith("doh3d: warning: broken.ply: 1 ")


def test_the_library_says_nothing_by_itself():
    logger = logging.getLogger("doh3d")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert logger.level == logging.NOTSET


@pytest.mark.slow
def test_on_a_terminal_every_step_shows_that_it_goes_on(folder, run, monkeypatch):
    screen = io.StringIO()
    real = rich.console.Console
    monkeypatch.setattr(
        rich.console,
        "Console",
        lambda **options: real(file=screen, force_terminal=True, width=120),
    )
    for command, words in (
        (REPORTING[0], ["looking"]),
        (REPORTING[1], ["fitting", "measuring"]),
        (REPORTING[3], ["extracting"]),
        (REPORTING[4], ["measuring"]),
        (REPORTING[5], ["fitting", "drawing"]),
        (REPORTING[6], ["fitting", "measuring"]),
        (REPORTING[7], ["decoding"]),
        (REPORTING[8], ["measuring"]),
    ):
        screen.truncate(0)
        assert run(*command)[0] == 0
        for word in words:
            assert word in screen.getvalue(), command
