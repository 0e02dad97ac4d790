"""The README's examples run as they stand."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from doh3d import cli
from doh3d.evaluation.protocols import iou_points
from doh3d.signals import shape_plan
from doh3d.signals.shape import PreparedShape

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def bunny(tmp_path, monkeypatch):
    """A folder with bunny.ply and photo.png: small ones, since the examples name no option."""
    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "bunny.ply")
    rows, columns = np.mgrid[:120, :160]
    Image.fromarray((rows + columns / 2).astype(np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    # What is tested is that the examples run, not how good their files are: fits are short, what
    # strays in so short a one is left, and IoU is measured at few points.
    brief = shape_plan.Preset(steps=60, batch_size=512, pool_size=5_000)
    for name in ("fast", "default"):
        monkeypatch.setitem(shape_plan.PRESETS, name, brief)
    monkeypatch.setattr(PreparedShape, "strays", lambda *_, **__: None)

    def few(*arguments, points=None, **others):
        return iou_points(*arguments, points=2**13, **others)

    for module in ("evaluate", "metrics"):
        monkeypatch.setattr(f"doh3d.evaluation.{module}.iou_points", few)
    return tmp_path


@pytest.mark.slow
def test_python_examples(bunny):
    assert blocks("python")
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.slow
def test_command_line_examples(bunny, monkeypatch, capsys):
    lines = [line for block in blocks("console") for line in block.splitlines()]
    commands = [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
    assert len(commands) >= 5
    for command in commands:
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0, command
        assert capsys.readouterr().out
