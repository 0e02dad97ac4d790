"""From a mesh to what a fit starts from: normalised, boxed and sampled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.codec.shape_code import ShapeCode, domain_half_sides, extents_for, shape_box
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.errors import ConfigError
from doh3d.field import OccupancyField
from doh3d.fitting.config import FitConfig
from doh3d.fitting.presets import OVERHEAD_BYTES, latent_for_bytes
from doh3d.geometry.inputs import MeshInput
from doh3d.geometry.occupancy import InsideTest, inside_test
from doh3d.geometry.reading import Reading, read_shape
from doh3d.geometry.sampling import OccupancySamples, sample_occupancy, surface_points
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.partition import Partition, balanced_partition

if TYPE_CHECKING:
    import torch
    import trimesh

# Room between the shape and its domain box, in normalised units: 2.5% of the longest side.
DOMAIN_MARGIN = 0.045

# Share of the volume that may differ between a shape and its mirror image: at no rate is a file so
# good that half of it mattered.
_MIRROR_TOLERANCE = 5e-4

# Points on the surface by which cells are made.
_SURFACE_POINTS = 2**14

# Samples that tell which of two fits is better.
_ERROR_SAMPLES = 2**17

# Points that tell most shapes from their mirror images, and points that tell the others.
_MIRROR_TRIALS = (2**11, 2**16)


@dataclass(frozen=True)
class PreparedShape:
    """A shape that can be fitted, as often as wanted.

    Attributes
    ----------
    reading : Reading
        The mesh as it was read and as it was repaired, in its own units.
    normalized : trimesh.Trimesh
        The repaired mesh, centred and with longest side 1.8.
    transform : NormalizingTransform
        From the one to the other and back.
    extents : three integers
        Of the domain box, see `ShapeCode`.
    """

    reading: Reading
    normalized: trimesh.Trimesh
    transform: NormalizingTransform
    extents: tuple[int, int, int]
    # The last draw: several fits in a row mostly ask for the same points.
    _drawn: dict[tuple[float, ...], OccupancySamples] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def mesh(self) -> trimesh.Trimesh:
        """The repaired mesh, in its own units."""
        return self.reading.mesh

    @property
    def overhead_bytes(self) -> int:
        """Bytes of a file that are neither latent nor biases."""
        return OVERHEAD_BYTES + 16 * self.transform.double

    def latent_for_bytes(self, size: int) -> int:
        """Latent length whose file is expected to take `size` bytes."""
        return latent_for_bytes(size)

    def code(self, config: FitConfig, latent: ParameterGroup, biases: ParameterGroup) -> ShapeCode:
        """Everything that the file of a fit says."""
        return ShapeCode(
            architecture=config.architecture,
            dense_projection=config.projection == "dense",
            seed=config.seed,
            transform=self.transform,
            extents=self.extents,
            latent=latent,
            biases=biases,
        )

    def error(self, code: SignalCode, config: FitConfig, device: torch.device) -> float:
        """Share of the samples of a fit that its file has on the wrong side of the surface."""
        assert isinstance(code, ShapeCode)
        samples = self.sample(config)
        logits = OccupancyField(code, device).normalized_logits(samples.points[:_ERROR_SAMPLES])
        return float(np.mean((logits > 0) != samples.inside[:_ERROR_SAMPLES]))

    @cached_property
    def inside(self) -> InsideTest:
        """Inside test of the normalised mesh."""
        return inside_test(self.normalized)

    @cached_property
    def mirrored(self) -> tuple[int, ...]:
        """Axes along which the shape is its own mirror image, about the middle of its box."""
        generator = np.random.Generator(np.random.PCG64(0))
        low, high = self.normalized.bounds
        axes: tuple[int, ...] = (0, 1, 2)
        for count in _MIRROR_TRIALS:
            if axes:
                points = generator.uniform(low, high, (count, 3))
                inside = self.inside(points)
                axes = tuple(axis for axis in axes if self._is_mirrored(axis, points, inside))
        return axes

    def _is_mirrored(
        self, axis: int, points: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]
    ) -> bool:
        mirror = np.where(np.arange(3) == axis, -1.0, 1.0)
        image = self.inside(points * mirror)
        return int((inside != image).sum()) <= _MIRROR_TOLERANCE * int((inside | image).sum())

    def adapt(self, config: FitConfig, *, mirror: bool = True) -> FitConfig:
        """Leave to the networks only what mirror planes do not tell, and cut space into cells."""
        architecture = replace(config.architecture, mirrored=self.mirrored if mirror else ())
        if config.levels:
            partition = self._partition(architecture.mirrored, config.levels)
            architecture = replace(architecture, partition=partition)
        return replace(config, architecture=architecture)

    def _partition(self, mirrored: tuple[int, ...], levels: int) -> Partition:
        """Cut the domain, or the side of mirror planes that is stored, where the shape is."""
        generator = np.random.Generator(np.random.PCG64(0))
        low, high = shape_box(self.extents, mirrored)
        half = domain_half_sides(self.extents)
        surface = surface_points(self.normalized, _SURFACE_POINTS, generator)
        # As samples are: some near the surface, some all over the box.
        points = np.concatenate([surface, generator.uniform(-half, half, surface.shape)])
        for axis in mirrored:
            points[:, axis] = np.abs(points[:, axis])
        return balanced_partition(low, high, points, levels)

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


def prepare(mesh: MeshInput) -> PreparedShape:
    """Load, repair and normalise a mesh; one in memory is not changed.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    """
    reading = read_shape(mesh)
    clean = reading.mesh
    transform = NormalizingTransform.from_bounds(clean.bounds)
    normalized = clean.copy()
    normalized.vertices = transform.to_normalized(clean.vertices)
    extents = extents_for(np.abs(normalized.bounds).max(axis=0) + DOMAIN_MARGIN)
    return PreparedShape(reading, normalized, transform, extents)
