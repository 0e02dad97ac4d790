"""The reference decoder, loaded by its path: tests are no package."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    """The module ``tests/reference_decoder.py``."""
    path = Path(__file__).parents[1] / "reference_decoder.py"
    spec = importlib.util.spec_from_file_location("reference_decoder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
