"""A shape that was compressed once."""

import pytest
import trimesh

import doh3d
from doh3d.signals import shape_plan
from doh3d.signals.shape import PreparedShape

QUICK = {"preset": "fast", "latent": 200, "width": 16, "depth": 2, "device": "cpu"}


@pytest.fixture
def quick(monkeypatch, no_peers):
    """Options of a fit whose bytes matter, and not what it has learnt."""
    preset = shape_plan.Preset(steps=40, batch_size=512, pool_size=5_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", preset)
    # It strays everywhere, and would be repeated.
    monkeypatch.setattr(PreparedShape, "strays", lambda *_, **__: None)
    return QUICK


@pytest.fixture(scope="session")
def compressed():
    """A torus off the origin."""
    mesh = trimesh.creation.torus(65.0, 25.0, major_sections=48, minor_sections=24)
    mesh.apply_translation([1000, 0, -50])
    return doh3d.compress(mesh, **QUICK)
