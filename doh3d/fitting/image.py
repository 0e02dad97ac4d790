"""The whole way from an image to the bytes of a `.doh` file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.container import parse_signal, serialize
from doh3d.codec.image_code import CHANNELS, ImageCode, image_box
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.devices import resolve_device
from doh3d.errors import ConfigError, ImageError
from doh3d.evaluation.image import psnr
from doh3d.files import write_atomically
from doh3d.fitting.config import FitConfig
from doh3d.fitting.encoding import quantize_fit
from doh3d.fitting.fit import ProgressFunction
from doh3d.fitting.image_presets import (
    IMAGE_OVERHEAD_BYTES,
    find_image_preset,
    image_latent_for_bytes,
    plan_for_image,
)
from doh3d.fitting.rate_control import (
    MAX_BYTES,
    MIN_BYTES,
    Encoded,
    QualityScale,
    fit_to_bytes,
    fit_to_quality,
)
from doh3d.fitting.resumable import fit_signal
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition, balanced_partition
from doh3d.images.field import ImageField, pixel_points, pixels_to_values
from doh3d.images.files import load_pixels
from doh3d.limits import DEFAULT_LIMITS, MAX_SIDE, Limits

# 1 / p for the real p with p^3 = p + 1.
_R2 = 0.7548776662466927

# Squared error relative to full range, and about how it falls with the size.
PSNR = QualityScale("PSNR", lambda decibels: 10 ** (-decibels / 10), 0.45, 5000)


@dataclass(frozen=True)
class PreparedImage:
    """An image that can be fitted, as often as wanted.

    Attributes
    ----------
    pixels : (height, width, 1 or 3) uint8
    """

    pixels: npt.NDArray[np.uint8]

    @property
    def overhead_bytes(self) -> int:
        """Bytes of a file that are neither latent nor biases."""
        return IMAGE_OVERHEAD_BYTES

    def latent_for_bytes(self, size: int) -> int:
        """Latent length whose file is expected to take `size` bytes."""
        return image_latent_for_bytes(size)

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
        effectiveness of quasirandom sequences", 2018): its gradient scatters less than that of
        as many random pixels. The seed says where the order begins.
        """
        height, width, channels = self.pixels.shape
        generator = np.random.Generator(np.random.PCG64(config.seed))
        across, down = _R2 * np.arange(width), _R2**2 * np.arange(height)
        places = (across + down[:, None] + generator.random()) % 1
        order = np.argsort(places, axis=None, kind="stable")[: config.pool_size]
        values = pixels_to_values(self.pixels.reshape(-1, channels)[order])
        return PixelSamples(pixel_points(width, height, order), values)

    def error(self, code: SignalCode, config: FitConfig, device: torch.device) -> float:
        """Mean squared error of the pixels that a file decodes to."""
        assert isinstance(code, ImageCode)
        found = ImageField(code, device).pixels().astype(np.float64)
        return float(np.mean((found - self.pixels) ** 2))

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


@dataclass(frozen=True)
class CompressedImage:
    """An image as the bytes of a `.doh` file.

    Attributes
    ----------
    data : bytes
        The file; its length is the rate.
    config : FitConfig
        What the fit was told.
    """

    data: bytes
    config: FitConfig

    @property
    def code(self) -> ImageCode:
        """What the file holds."""
        return parse_signal(self.data, Limits.of_format(), ImageCode)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; ConfigError where it cannot be written."""
        write_atomically(path, self.data)

    def field(self, device: str = "auto") -> ImageField:
        """Decode the bytes to the field that anyone who loads the file gets."""
        return ImageField(self.code, device)


def make_image_config(
    *,
    channels: int = 3,
    preset: str = "default",
    latent: int,
    seed: int = 0,
) -> FitConfig:
    """Fill a fit's configuration from preset and plan; see `compress_image`."""
    effort = find_image_preset(preset)
    # A latent out of range is the configuration's to refuse.
    plan = plan_for_image(max(latent, 1))
    architecture = Architecture(
        width=plan.width,
        depth=plan.depth,
        octaves=plan.octaves,
        partition=Partition.whole(2),
        out_dim=channels,
    )
    return FitConfig(
        latent=latent,
        levels=plan.levels,
        bits=plan.bits,
        architecture=architecture,
        seed=seed,
        steps=effort.steps_for(2**plan.levels * architecture.weight_count),
        batch_size=effort.batch_size,
        learning_rate=plan.learning_rate,
        rate_weight=plan.rate_weight,
        pool_size=effort.pool_size,
        solver_effort=plan.solver_effort,
        draws_by_error=False,
        loss="log-squared-error",
    )


def compress_image(
    image: str | Path | npt.NDArray[np.uint8],
    *,
    max_bytes: int | None = None,
    bpp: float | None = None,
    min_psnr: float | None = None,
    preset: str = "default",
    latent: int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: ProgressFunction | None = None,
) -> CompressedImage:
    """Compress an image to the bytes of a `.doh` file.

    Of `max_bytes`, `bpp`, `min_psnr` and `latent` one is given, or none for 0.15 bpp.

    Parameters
    ----------
    image : path or (height, width), (height, width, 1) or (height, width, 3) uint8
        PNG, JPEG or WebP of 8 bits, grey or RGB; or pixels.
    max_bytes : int, optional
        Make a file of at most so many bytes, 300 to 64,000, and of at least 95% of them.
    bpp : float, optional
        The same in bits a pixel.
    min_psnr : float, optional
        Make the smallest file that reaches this PSNR in dB; several fits.
    preset : "fast", "default" or "best"
        How long to optimise.
    latent : int, optional
        Numbers in the latent, n, whatever size that comes to.
    seed : int
        0 to 65535. The same seed gives the same file on the same machine.
    device : "auto", "cpu", "cuda" or "mps"
    progress : callable, optional
        Called with a `FitProgress` every 50 steps.

    Raises
    ------
    ImageError
        If the file is no such image, or the pixels are not of such a shape.
    ConfigError
        If an option is out of range, or contradicts another.
    TargetError
        If no file of at most 64,000 bytes reaches `min_psnr`; it carries the best one.
    """
    targets = {"max_bytes": max_bytes, "bpp": bpp, "min_psnr": min_psnr, "latent": latent}
    given = [name for name, target in targets.items() if target is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} contradict each other; give one of them")
    find_image_preset(preset)
    torch_device = resolve_device(device)
    prepared = PreparedImage(_pixels(image))
    pixels = prepared.pixels
    height, width, channels = pixels.shape
    options: dict[str, Any] = {"channels": channels, "preset": preset, "seed": seed}

    def config_for_latent(n: int) -> FitConfig:
        return prepared.adapt(make_image_config(latent=n, **options))

    if min_psnr is not None:
        if not min_psnr > 0:
            raise ConfigError(f"min_psnr is {min_psnr}; it must be above 0 dB")
        encoded = fit_to_quality(
            prepared,
            min_psnr,
            config_for_latent,
            _decoded_psnr(pixels, device),
            scale=PSNR,
            device=torch_device,
            progress=progress,
        )
    elif latent is not None:
        config = config_for_latent(latent)
        result = fit_signal(prepared, config, device=torch_device, progress=progress)
        encoded = Encoded(serialize(quantize_fit(result, config, prepared)), config)
    else:
        encoded = fit_to_bytes(
            prepared,
            _bytes_asked(max_bytes, bpp, width, height),
            config_for_latent,
            device=torch_device,
            progress=progress,
        )
    return CompressedImage(encoded.data, encoded.config)


# Bits a pixel where nothing is asked for.
DEFAULT_BPP = 0.15


def _bytes_asked(max_bytes: int | None, bpp: float | None, width: int, height: int) -> int:
    """Bytes that a file may have; ConfigError where that is out of range."""
    if max_bytes is not None:
        if not MIN_BYTES <= max_bytes <= MAX_BYTES:
            raise ConfigError(f"max_bytes is {max_bytes}; it must be {MIN_BYTES} to {MAX_BYTES}")
        return max_bytes
    if bpp is None:
        size = int(DEFAULT_BPP * width * height / 8)
        return min(max(size, MIN_BYTES), MAX_BYTES)
    size = int(bpp * width * height / 8) if 0 < bpp < 1e6 else 0
    if not MIN_BYTES <= size <= MAX_BYTES:
        low, high = (8 * limit / (width * height) for limit in (MIN_BYTES, MAX_BYTES))
        raise ConfigError(
            f"bpp is {bpp}; for {width} x {height} pixels it must be {low:.4f} to {high:.4f} "
            f"({MIN_BYTES} to {MAX_BYTES} bytes)"
        )
    return size


def _pixels(image: str | Path | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(height, width, channels) uint8 of a file or an array."""
    if isinstance(image, str | Path):
        return load_pixels(image)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in CHANNELS:
        raise ImageError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}; they must be uint8, "
            "(height, width) or (height, width, 1 or 3)"
        )
    height, width, _ = pixels.shape
    if not (min(height, width) >= 1 and max(height, width) <= MAX_SIDE):
        raise ImageError(f"there are {width} x {height} pixels; a side must be 1 to {MAX_SIDE}")
    if height * width > DEFAULT_LIMITS.pixels:
        raise ImageError(
            f"there are {width} x {height} pixels; at most {DEFAULT_LIMITS.pixels} are taken"
        )
    return pixels


def _decoded_psnr(pixels: npt.NDArray[np.uint8], device: str) -> Callable[[bytes], float]:
    """Measure files as `doh3d image eval` does."""

    def measure(data: bytes) -> float:
        code = parse_signal(data, Limits.of_format(), ImageCode)
        return psnr(pixels, ImageField(code, device).pixels())

    return measure
