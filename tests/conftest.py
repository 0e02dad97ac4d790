"""Meshes that many tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh


@pytest.fixture(scope="session")
def meshes_folder() -> Path:
    """The folder of small example meshes."""
    return Path(__file__).parents[1] / "meshes"


@pytest.fixture
def sphere() -> trimesh.Trimesh:
    """A ball of radius 0.9: normalised coordinates."""
    return trimesh.creation.icosphere(subdivisions=4, radius=0.9)


@pytest.fixture
def torus() -> trimesh.Trimesh:
    """A torus of longest side 1.8: normalised coordinates."""
    return trimesh.creation.torus(0.65, 0.25, major_sections=64, minor_sections=32)


@pytest.fixture
def box() -> trimesh.Trimesh:
    """A box of 1.8 x 1.2 x 0.6: normalised coordinates."""
    return trimesh.creation.box((1.8, 1.2, 0.6))


@pytest.fixture(scope="session")
def crossed() -> Callable[[np.ndarray], np.ndarray]:
    """Which cells have corners of both signs: (x, y, z) bool of (x + 1, y + 1, z + 1) values."""

    def of_values(values: np.ndarray) -> np.ndarray:
        corners = np.lib.stride_tricks.sliding_window_view(values > 0, (2, 2, 2))
        return corners.any(axis=(3, 4, 5)) & ~corners.all(axis=(3, 4, 5))

    return of_values
