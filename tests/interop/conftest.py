"""A shape that was compressed once."""

import pytest
import trimesh

import doh3d

QUICK = {"preset": "fast", "latent": 200, "width": 16, "depth": 2, "device": "cpu"}


@pytest.fixture(scope="session")
def quick():
    """Options of a fit that takes a second."""
    return QUICK


@pytest.fixture(scope="session")
def compressed():
    """A torus off the origin."""
    mesh = trimesh.creation.torus(65.0, 25.0, major_sections=48, minor_sections=24)
    mesh.apply_translation([1000, 0, -50])
    return doh3d.compress(mesh, **QUICK)
