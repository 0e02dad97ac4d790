"""The scripts under examples/ run as they stand, with quick settings."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
RUNS = {
    "compress_and_look.py": ["shape.png", "--max-bytes", "400", "--preset", "fast"],
    "sweep_and_plot.py": ["swept", "--latent", "60,120", "--points", "4096"],
}
PICTURES = {"compress_and_look.py": "shape.png", "sweep_and_plot.py": "swept/plot.png"}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_examples(name, tmp_path, meshes_folder, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("open3d")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, str(meshes_folder / "sphere.ply"), *RUNS[name]])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert "IoU 0.9" in capsys.readouterr().out
    picture = np.asarray(Image.open(tmp_path / PICTURES[name]).convert("L"))
    assert len(np.unique(picture)) > 20
