"""From an image to what a fit starts from: pixels in an order that suits it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.container import parse_signal
from doh3d.codec.image_code import ImageCode, image_box
from doh3d.codec.signal_code import ParameterGroup
from doh3d.errors import ConfigError
from doh3d.evaluation.image import mean_squared_error, psnr
from doh3d.fitting.config import FitConfig
from doh3d.fitting.plan import make_config
from doh3d.fitting.signal import QualityScale, Signal
from doh3d.hypernetwork.partition import balanced_partition
from doh3d.images.field import ImageField, pixel_points, pixels_to_values
from doh3d.images.files import ImageInput, load_pixels
from doh3d.limits import Limits
from doh3d.options import DEFAULT_BPP, MAX_BYTES, MIN_BYTES, CompressOptions
from doh3d.signals.image_plan import image_latent_for_bytes, plan_for_image

# 1 / p for the real p with p^3 = p + 1.
_R2 = 0.7548776662466927

# Squared error relative to full range, and about how it falls with the size.
PSNR = QualityScale("PSNR", lambda decibels: 10 ** (-decibels / 10), 0.45, 5000)


@dataclass(frozen=True)
class PreparedImage(Signal[ImageCode]):
    """An image that can be fitted, as often as wanted.

    Attributes
    ----------
    pixels : (height, width, 1 or 3) uint8
    """

    scale: ClassVar[QualityScale] = PSNR

    pixels: npt.NDArray[np.uint8]

    def identity(self) -> dict[str, str]:
        """Return a digest of the pixels and their shape."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(self.pixels.tobytes())
        return {"image": digest.hexdigest()}

    def latent_for_bytes(self, size: int) -> int:
        """Latent length whose file is expected to take `size` bytes."""
        return image_latent_for_bytes(size)

    def bytes_asked(self, options: CompressOptions) -> int | None:
        """Bytes that the file may have: 0.15 bits a pixel where nothing else is asked for."""
        if options.max_bytes is not None:
            return options.max_bytes
        if options.latent is not None or options.min_psnr is not None:
            return None
        height, width, _ = self.pixels.shape
        bpp = DEFAULT_BPP if options.bpp is None else options.bpp
        size = int(bpp * width * height / 8) if 0 < bpp < 1e6 else 0
        if options.bpp is None:
            return min(max(size, MIN_BYTES), MAX_BYTES)
        if not MIN_BYTES <= size <= MAX_BYTES:
            low, high = (8 * limit / (width * height) for limit in (MIN_BYTES, MAX_BYTES))
            raise ConfigError(
                f"bpp is {bpp}; for {width} x {height} pixels it must be {low:.4f} to {high:.4f} "
                f"({MIN_BYTES} to {MAX_BYTES} bytes)"
            )
        return size

    def config(self, options: CompressOptions, latent: int | None = None) -> FitConfig:
        """Configure a fit, for this image's channels and with its cells."""
        plan_for = partial(plan_for_image, channels=self.pixels.shape[2])
        return self.adapt(make_config(options, plan_for, latent))

    def adapt(self, config: FitConfig) -> FitConfig:
        """Cut the plane into as many cells as the configuration asks for, all of one size.

        Into fewer where a cell would be smaller than a pixel, and could have none.
        """
        height, width, _ = self.pixels.shape
        levels, sides = 0, [float(width), float(height)]
        while levels < config.levels and max(sides) >= 2:
            sides[sides.index(max(sides))] /= 2
            levels += 1
        if not levels:
            return replace(config, levels=0)
        partition = balanced_partition(*image_box(width, height), None, levels)
        architecture = replace(config.architecture, partition=partition)
        return replace(config, levels=levels, architecture=architecture)

    def sample(self, config: FitConfig) -> PixelSamples:
        """Order the pixels, and keep as many as the configuration's pool holds.

        Each slice is spread evenly over the image (the R2 sequence; Roberts, "The unreasonable
        effectiveness of quasirandom sequences", 2018), and so are the pixels that are kept of a
        large one. The seed says where the order begins.
        """
        height, width, channels = self.pixels.shape
        generator = np.random.Generator(np.random.PCG64(config.seed))
        across, down = _R2 * np.arange(width), _R2**2 * np.arange(height)
        places = (across + down[:, None] + generator.random()) % 1
        order = np.argsort(places, axis=None, kind="stable")[: config.pool_size]
        values = pixels_to_values(self.pixels.reshape(-1, channels)[order])
        return PixelSamples(pixel_points(width, height, order), values)

    def error(self, data: bytes, config: FitConfig, device: torch.device) -> float:
        """Mean squared error of the pixels that a file decodes to."""
        return mean_squared_error(self.pixels, self._decoded(data, device))

    def quality(self, data: bytes, device: torch.device) -> float:
        """PSNR of the pixels that a file decodes to, as `doh3d image eval` measures it."""
        return psnr(self.pixels, self._decoded(data, device))

    def _decoded(self, data: bytes, device: torch.device) -> npt.NDArray[np.uint8]:
        code = parse_signal(data, Limits.of_format(), ImageCode)
        return ImageField(code, device).pixels()

    def code(self, config: FitConfig, latent: ParameterGroup, biases: ParameterGroup) -> ImageCode:
        """Everything that the file of a fit says."""
        height, width, _ = self.pixels.shape
        return ImageCode(
            architecture=config.architecture,
            dense_projection=config.projection == "dense",
            seed=config.seed,
            latent=latent,
            biases=biases,
            width=width,
            height=height,
        )


@dataclass(frozen=True)
class PixelSamples:
    """Pixels in an order whose slices are spread evenly.

    Attributes
    ----------
    points : (N, 2) float32
        In [-1, 1], as `ImageField.values` has them.
    values : (N, channels) float32
        In [-1, 1].
    """

    points: npt.NDArray[np.float32]
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.points)


def image_config(*, channels: int = 3, levels: int | None = None, **options: Any) -> FitConfig:
    """Configure an image's fit by the names of `CompressOptions`, before `adapt`."""
    plan_for = partial(plan_for_image, channels=channels)
    return make_config(CompressOptions(**options), plan_for, levels=levels)


def check_image_options(options: CompressOptions) -> None:
    """Raise ConfigError where no image can be fitted with these options."""
    make_config(options, plan_for_image)


def prepare_image(image: ImageInput | PreparedImage) -> PreparedImage:
    """Read an image, unless it has been prepared; pixels in memory are not changed.

    Raises as `doh3d.images.files.load_pixels`.
    """
    return image if isinstance(image, PreparedImage) else PreparedImage(load_pixels(image))
