"""Stub tasks, and collections of text files in place of meshes."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import pytest

from doh3d.dataset import tasks
from doh3d.dataset.engine import Outcome, whole
from doh3d.evaluation.surface import surface_metrics
from doh3d.signals import shape_plan
from doh3d.signals.shape import PreparedShape

IMPORTABLE = Path(__file__).parent / "importable"


@pytest.fixture
def stubs(monkeypatch):
    """The module of stub tasks, which worker processes can import as well."""
    monkeypatch.syspath_prepend(str(IMPORTABLE))
    # Ray's workers take up the path from here.
    monkeypatch.setenv("PYTHONPATH", f"{IMPORTABLE}:{Path(__file__).parents[2]}")
    return importlib.import_module("batch_stubs")


@pytest.fixture
def collection(tmp_path):
    """A folder to which shapes are added by name, each a text that says what becomes of it."""
    folder = tmp_path / "collection"
    folder.mkdir()

    def add(**texts):
        for name, text in texts.items():
            (folder / f"{name}.ply").write_text(text)
        return folder

    return add


class ThisProcess:
    """An engine without processes, last job first, to show that order is of no matter."""

    def run(self, task, jobs, split=whole):
        for job in list(jobs)[::-1]:
            yield Outcome(job, task(job), None, 1)

    def close(self):
        pass


@pytest.fixture(scope="session")
def this_process():
    """An engine without processes."""
    return ThisProcess()


def _quick():
    """Short fits and coarse measurements, in this process."""
    surface = functools.partial(surface_metrics, samples=2000)
    with pytest.MonkeyPatch.context() as patch:
        preset = shape_plan.Preset(steps=40, batch_size=512, pool_size=5_000)
        patch.setitem(shape_plan.PRESETS, "fast", preset)
        # Fits as short stray everywhere, and would be fitted alone.
        patch.setattr(PreparedShape, "strays", lambda *_, **__: None)
        patch.setattr(tasks, "IOU_POINTS", 4096)
        patch.setattr(tasks, "CHAMFER_RESOLUTION", 32)
        patch.setattr("doh3d.evaluation.surface.surface_metrics", surface)
        patch.setattr("doh3d.evaluation.evaluate.surface_metrics", surface)
        patch.setattr("doh3d.evaluation.evaluate._draco_bytes", lambda mesh: None)
        yield


# The module's is for what a module's tests share; a test alone must leave the next one as it was.
quick = pytest.fixture(_quick, name="quick")
quick_module = pytest.fixture(_quick, scope="module", name="quick_module")
