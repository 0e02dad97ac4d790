"""Stub tasks, and collections of text files in place of meshes."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

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
