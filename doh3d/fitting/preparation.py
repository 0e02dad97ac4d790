"""From a mesh to what a fit starts from: normalised, boxed and sampled."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from doh3d.codec.shape_code import domain_half_sides, extents_for
from doh3d.errors import ConfigError
from doh3d.fitting.config import FitConfig
from doh3d.geometry.mesh import clean_mesh, load_mesh
from doh3d.geometry.occupancy import InsideTest, inside_test
from doh3d.geometry.sampling import OccupancySamples, sample_occupancy
from doh3d.geometry.transform import NormalizingTransform

if TYPE_CHECKING:
    import trimesh

# Room between the shape and its domain box, in normalised units: 2.5% of the longest side.
DOMAIN_MARGIN = 0.045


@dataclass(frozen=True)
class PreparedShape:
    """A shape that can be fitted, as often as wanted.

    Attributes
    ----------
    mesh : trimesh.Trimesh
        Repaired, in its own units.
    normalized : trimesh.Trimesh
        The same, centred and with longest side 1.8.
    transform : NormalizingTransform
        From the one to the other and back.
    extents : three integers
        Of the domain box, see `ShapeCode`.
    """

    mesh: trimesh.Trimesh
    normalized: trimesh.Trimesh
    transform: NormalizingTransform
    extents: tuple[int, int, int]
    # The last draw: several fits in a row mostly ask for the same points.
    _drawn: dict[tuple[float, ...], OccupancySamples] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def inside(self) -> InsideTest:
        """Inside test of the normalised mesh."""
        return inside_test(self.normalized)

    def sample(self, config: FitConfig) -> OccupancySamples:
        """Draw the points that a configuration asks for, in normalised coordinates.

        Raises
        ------
        ConfigError
            If none of them is inside.
        """
        key = (
            config.pool_size,
            config.near_surface_fraction,
            config.near_surface_std,
            config.softness,
            config.seed,
        )
        if key in self._drawn:
            return self._drawn[key]
        samples = sample_occupancy(
            self.normalized,
            domain_half_sides(self.extents),
            config.pool_size,
            near_surface_fraction=config.near_surface_fraction,
            near_surface_std=config.near_surface_std,
            softness=config.softness,
            seed=config.seed,
            inside=self.inside,
        )
        if not samples.inside.any():
            raise ConfigError(
                f"none of {len(samples)} sampled points is inside the mesh: "
                "its walls are too thin to be represented"
            )
        self._drawn.clear()
        self._drawn[key] = samples
        return samples


def prepare(mesh: str | Path | trimesh.Trimesh) -> PreparedShape:
    """Load, repair and normalise a mesh; one in memory is not changed.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    """
    clean = load_mesh(mesh) if isinstance(mesh, str | Path) else clean_mesh(mesh, "mesh")
    transform = NormalizingTransform.from_bounds(clean.bounds)
    normalized = clean.copy()
    normalized.vertices = transform.to_normalized(clean.vertices)
    extents = extents_for(np.abs(normalized.bounds).max(axis=0) + DOMAIN_MARGIN)
    return PreparedShape(clean, normalized, transform, extents)
