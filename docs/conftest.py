"""Examples of the pages fit as their readers do: tests elsewhere make `fast` shorter."""

from __future__ import annotations

import runpy

import pytest


@pytest.fixture(autouse=True)
def usual_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the presets from the modules as they are written, whatever was made of them."""
    from doh3d.signals import image_plan, shape_plan

    for module in (shape_plan, image_plan):
        written = runpy.run_path(str(module.__file__))["PRESETS"]
        monkeypatch.setitem(module.PRESETS, "fast", written["fast"])
