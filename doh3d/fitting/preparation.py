"""From a mesh to what a fit starts from: normalised, boxed and sampled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from doh3d.codec.shape_code import domain_half_sides, extents_for
from doh3d.errors import ConfigError
from doh3d.geometry.mesh import clean_mesh, load_mesh
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
    transform : NormalizingTransform
    extents : three integers
        Of the domain box, see `ShapeCode`.
    samples : OccupancySamples
        In normalised coordinates.
    """

    mesh: trimesh.Trimesh
    transform: NormalizingTransform
    extents: tuple[int, int, int]
    samples: OccupancySamples


def prepare(
    mesh: str | Path | trimesh.Trimesh,
    *,
    pool_size: int,
    near_surface_fraction: float,
    near_surface_std: float,
    seed: int,
) -> PreparedShape:
    """Load, repair, normalise and sample a mesh.

    Parameters
    ----------
    mesh : path or trimesh.Trimesh
        A mesh in memory is not changed.
    pool_size, near_surface_fraction, near_surface_std, seed
        See `FitConfig`.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    ConfigError
        If no sample falls inside.
    """
    clean = load_mesh(mesh) if isinstance(mesh, str | Path) else clean_mesh(mesh, "mesh")
    transform = NormalizingTransform.from_bounds(clean.bounds)
    normalized = clean.copy()
    normalized.vertices = transform.to_normalized(clean.vertices)
    extents = extents_for(np.abs(normalized.bounds).max(axis=0) + DOMAIN_MARGIN)
    samples = sample_occupancy(
        normalized,
        domain_half_sides(extents),
        pool_size,
        near_surface_fraction=near_surface_fraction,
        near_surface_std=near_surface_std,
        seed=seed,
    )
    if not samples.inside.any():
        raise ConfigError(
            f"none of {len(samples.inside)} sampled points is inside the mesh: "
            "its walls are too thin to be represented"
        )
    return PreparedShape(clean, transform, extents, samples)
