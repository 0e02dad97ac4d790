"""From a mesh to what a fit starts from: normalised, boxed and sampled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.container import parse
from doh3d.codec.extras import NO_EXTRAS, Extras, pack_extras
from doh3d.codec.placement import pack_transform
from doh3d.codec.shape_code import ShapeCode, domain_half_sides, extents_for, shape_box
from doh3d.codec.signal_code import ParameterGroup
from doh3d.errors import ConfigError
from doh3d.evaluation.evaluate import mesh_iou
from doh3d.field import OccupancyField
from doh3d.fitting.config import FitConfig
from doh3d.fitting.plan import make_config
from doh3d.fitting.signal import QualityScale, Signal
from doh3d.geometry.flatness import flat_share
from doh3d.geometry.frame import find_frame
from doh3d.geometry.inputs import MeshInput
from doh3d.geometry.occupancy import InsideTest, inside_test
from doh3d.geometry.reading import Reading, read_shape
from doh3d.geometry.rotation import NO_FRAME, Frame
from doh3d.geometry.sampling import OccupancySamples, sample_occupancy, surface_points
from doh3d.geometry.symmetry import mirrored_axes
from doh3d.geometry.transform import TRANSFORM_BYTES, NormalizingTransform
from doh3d.hypernetwork.partition import Partition, balanced_partition
from doh3d.limits import Limits
from doh3d.options import CompressOptions
from doh3d.signals.shape_plan import latent_for_bytes, plan_for_shape
from doh3d.signals.strays import StraySampler

if TYPE_CHECKING:
    import torch
    import trimesh

# Room between the shape and its domain box, in normalised units: 2.5% of the longest side.
DOMAIN_MARGIN = 0.045

# Farther from a mirror plane than this, in normalised units, the centre is rounded more finely.
_MOST_OFF_PLANE = 2e-5

# Points on the surface by which cells are made.
_SURFACE_POINTS = 2**14

# Samples that tell which of two fits is better.
_ERROR_SAMPLES = 2**17


# The IoU of the extracted mesh. What it leaves to 1 falls with about that power of the size.
IOU = QualityScale("IoU", lambda iou: 1 - iou, 0.6, 1000)


@dataclass(frozen=True)
class PreparedShape(Signal[ShapeCode]):
    """A shape that can be fitted, as often as wanted.

    Attributes
    ----------
    reading : Reading
        The mesh as it was read and as it was repaired, in its own units.
    normalized : trimesh.Trimesh
        The repaired mesh in its frame, centred and with longest side 1.8, but for what rounding
        the transform does: up to 0.004 off the middle, and 0.4% smaller.
    transform : NormalizingTransform
        From the one to the other and back. See `placed` for fits with cells.
    extents : three integers
        Of the domain box, see `ShapeCode`.
    extras : Extras
        What its file says beside the shape, within the size that is asked for.
    """

    scale: ClassVar[QualityScale] = IOU

    reading: Reading
    normalized: trimesh.Trimesh
    transform: NormalizingTransform
    extents: tuple[int, int, int]
    extras: Extras = NO_EXTRAS
    # The last draw: several fits in a row mostly ask for the same points.
    _drawn: dict[tuple[Any, ...], OccupancySamples] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def mesh(self) -> trimesh.Trimesh:
        """The repaired mesh, in its own units."""
        return self.reading.mesh

    def identity(self) -> dict[str, str]:
        """Return a digest of the repaired mesh, of its frame and of extras, where it has them."""
        digest = hashlib.sha256()
        for array in (self.mesh.vertices, self.mesh.faces):
            digest.update(array.tobytes())
        if self.transform.frame != NO_FRAME:
            digest.update(str(self.transform.frame).encode())
        digest.update(pack_extras(self.extras))
        return {"mesh": digest.hexdigest()}

    def latent_for_bytes(self, size: int) -> int:
        """Latent length whose file is expected to take `size` bytes."""
        longer = len(pack_transform(self.transform)) - TRANSFORM_BYTES[0]
        return latent_for_bytes(size - longer - len(pack_extras(self.extras)))

    def placed(self, config: FitConfig) -> PreparedShape:
        """Place the shape where a fit of this configuration has it, which its file says.

        A finer centre takes three bytes more. With cells it takes 1 to 3% off the error.
        """
        finely = self._placed_finely if config.levels else None
        return self if finely is None else finely

    @cached_property
    def _placed_finely(self) -> PreparedShape | None:
        """The shape by a transform that is rounded finely; None where it is this one.

        It would hold itself, and stay until somebody looks for garbage.
        """
        finely = prepare_in_frame(self.reading, self.transform.frame, finely=True)
        if finely.transform == self.transform:
            return None
        return replace(
            self,
            normalized=finely.normalized,
            transform=finely.transform,
            extents=finely.extents,
            _drawn={},
        )

    def config(self, options: CompressOptions, latent: int | None = None) -> FitConfig:
        """Configure a fit, for this shape's flat area and mirror planes, and with its cells."""
        config = make_config(options, partial(plan_for_shape, flat_share=self.flat_share), latent)
        return self.adapt(config, mirror=options.mirror)

    def code(self, config: FitConfig, latent: ParameterGroup, biases: ParameterGroup) -> ShapeCode:
        """Everything that the file of a fit says."""
        shape = self.placed(config)
        return ShapeCode(
            architecture=config.architecture,
            dense_projection=config.projection == "dense",
            seed=config.seed,
            transform=shape.transform,
            extents=shape.extents,
            latent=latent,
            biases=biases,
            extras=self.extras,
        )

    def error(self, data: bytes, config: FitConfig, device: torch.device) -> float:
        """Share of the samples of a fit that its file has on the wrong side of the surface."""
        samples = self.sample(config)
        field = OccupancyField(parse(data, Limits.of_format()), device)
        logits = field.normalized_logits(samples.points[:_ERROR_SAMPLES])
        return float(np.mean((logits > 0) != samples.inside[:_ERROR_SAMPLES]))

    def strays(
        self, data: bytes, config: FitConfig, device: torch.device, *, thorough: bool
    ) -> OccupancySamples | None:
        """Sample where a file has something that the mesh has nowhere near, or the reverse."""
        field = OccupancyField(parse(data, Limits.of_format()), device)
        sampler = self.placed(config)._stray_sampler
        return sampler.sample(field, config.seed, thorough=thorough)

    @cached_property
    def _stray_sampler(self) -> StraySampler:
        return StraySampler(self.normalized, domain_half_sides(self.extents), self.inside)

    def quality(self, data: bytes, device: torch.device) -> float:
        """IoU of the extracted mesh, as `doh3d eval` measures it by default."""
        mesh = OccupancyField(parse(data, Limits.of_format()), device).to_mesh()
        return mesh_iou(self.reading, mesh).iou

    def inside(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Whether (N, 3) normalised points are inside, (N,) bool."""
        return self._inside_test(points)

    @cached_property
    def _inside_test(self) -> InsideTest:
        return inside_test(self.normalized)

    @cached_property
    def flat_share(self) -> float:
        """How flat the surface is, from 0 to 1: its plan depends on it."""
        return flat_share(self.normalized)

    @cached_property
    def mirrored(self) -> tuple[int, ...]:
        """Axes along which the shape is its own mirror image, about the middle of its box."""
        low, high = self.normalized.bounds
        middle = self.middle
        return mirrored_axes(
            lambda points: self.inside(points + middle), np.stack([low - middle, high - middle])
        )

    @property
    def middle(self) -> npt.NDArray[np.float64]:
        """(3,) middle of the normalised mesh's box: 0 but for the rounded transform."""
        low, high = self.normalized.bounds
        centre: npt.NDArray[np.float64] = (low + high) / 2
        return centre

    def adapt(self, config: FitConfig, *, mirror: bool = True) -> FitConfig:
        """Leave to the networks only what mirror planes do not tell, and cut space into cells."""
        architecture = replace(config.architecture, mirrored=self.mirrored if mirror else ())
        if config.levels:
            shape = self.placed(config)
            partition = shape._partition(architecture.mirrored, config.levels)
            architecture = replace(architecture, partition=partition)
        return replace(config, architecture=architecture)

    def _partition(self, mirrored: tuple[int, ...], levels: int) -> Partition:
        """Cut the domain, or the side of mirror planes that is stored, where the shape is."""
        generator = np.random.Generator(np.random.PCG64(0))
        low, high = shape_box(self.extents, mirrored)
        half = domain_half_sides(self.extents)
        surface, _ = surface_points(self.normalized, _SURFACE_POINTS, generator)
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
        return self.placed(config)._sampled(config)

    def _sampled(self, config: FitConfig) -> OccupancySamples:
        """Draw them where the shape lies, or take those drawn last."""
        key = (config.pool_size, config.surface_sampling, config.seed)
        if key in self._drawn:
            return self._drawn[key]
        samples = self.draw(config)
        if not samples.inside.any():
            raise ConfigError(
                f"none of {len(samples)} sampled points is inside the mesh: "
                "its walls are too thin to be represented"
            )
        self._drawn.clear()
        self._drawn[key] = samples
        return samples

    def draw(self, config: FitConfig) -> OccupancySamples:
        """Draw them anew."""
        sampling = config.surface_sampling
        assert sampling is not None
        return sample_occupancy(
            self.normalized,
            domain_half_sides(self.extents),
            config.pool_size,
            near_surface_fraction=sampling.near_fraction,
            near_surface_std=sampling.near_std,
            softness=sampling.softness,
            seed=config.seed,
            inside=self.inside,
        )


def shape_config(*, levels: int | None = None, **options: Any) -> FitConfig:
    """Configure a shape's fit by the names of `CompressOptions`, before `adapt`.

    Space is cut into 2^levels cells; as many as the plan has unless that is given.
    """
    return make_config(CompressOptions(**options), plan_for_shape, levels=levels)


def check_shape_options(options: CompressOptions) -> None:
    """Raise ConfigError where no shape can be fitted with these options."""
    make_config(options, plan_for_shape)


def prepare(mesh: MeshInput | Reading | PreparedShape, *, exact: bool = False) -> PreparedShape:
    """Load, repair and normalise a mesh in its frame, as far as that has not been done.

    One in memory is not changed. With `exact` a file whose triangles would be thinned is refused.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    """
    if isinstance(mesh, PreparedShape):
        return mesh
    reading = mesh if isinstance(mesh, Reading) else read_shape(mesh, exact=exact)
    along_axes = prepare_in_frame(reading, NO_FRAME)
    frame = find_frame(along_axes.normalized, lambda points: along_axes.inside(points))
    shape = along_axes if frame == NO_FRAME else prepare_in_frame(reading, frame)
    # A network is mirrored about 0, so that a plane must go through it.
    if (np.abs(shape.middle[list(shape.mirrored)]) > _MOST_OFF_PLANE).any():
        return prepare_in_frame(reading, frame, finely=True)
    return shape


def prepare_in_frame(reading: Reading, frame: Frame, *, finely: bool = False) -> PreparedShape:
    """Normalise a repaired mesh in a frame that is given, as three integers.

    The transform is rounded to what takes few bytes before anything is sampled, so that it costs
    the fit nothing; see `NormalizingTransform.rounded`.
    """
    clean = reading.mesh
    transform = NormalizingTransform.from_bounds(clean.bounds)
    normalized = clean.copy()
    normalized.vertices = transform.to_normalized(clean.vertices)
    if frame != NO_FRAME:
        transform = transform.in_frame(frame, normalized.vertices)
    transform = transform.rounded(finely=finely)
    normalized.vertices = transform.to_normalized(clean.vertices)
    extents = extents_for(np.abs(normalized.bounds).max(axis=0) + DOMAIN_MARGIN)
    return PreparedShape(reading, normalized, transform, extents)
