"""How much of an image a file keeps, and at what rate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.images.files import load_pixels
from doh3d.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class ImageEvaluation:
    """A file of an image against the original.

    Attributes
    ----------
    bytes : int
        Size of the file on disk.
    bpp : float
        The same in bits a pixel.
    psnr_db : float
        Over all pixels and channels, after rounding to 8 bits; infinite where nothing differs.
    width, height, channels : int
    """

    bytes: int
    bpp: float
    psnr_db: float
    width: int
    height: int
    channels: int

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary for JSON, which has no infinity: null where nothing differs."""
        psnr_db = self.psnr_db if math.isfinite(self.psnr_db) else None
        return asdict(self) | {"psnr_db": psnr_db}


def mean_squared_error(reference: npt.NDArray[np.uint8], image: npt.NDArray[np.uint8]) -> float:
    """Mean squared difference of uint8 pixels of one shape."""
    return float(np.mean((reference.astype(np.float64) - image.astype(np.float64)) ** 2))


def psnr(reference: npt.NDArray[np.uint8], image: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of uint8 pixels of one shape, in dB: 10 log10(255^2 / MSE)."""
    squared = mean_squared_error(reference, image)
    return 10 * math.log10(255**2 / squared) if squared else math.inf


def evaluate_image(
    path: str | Path,
    reference: str | Path,
    *,
    device: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
) -> ImageEvaluation:
    """Decode a `.doh` file and compare it with the image that it was made from.

    Raises
    ------
    FormatError
        If the file is not a valid `.doh` file of an image.
    ImageError
        If the reference cannot be read.
    ConfigError
        If the two differ in size or in channels.
    """
    from doh3d.images.field import load_image

    field = load_image(path, device, limits=limits)
    pixels = load_pixels(reference)
    if pixels.shape != field.shape:
        raise ConfigError(
            f"{path} holds {_describe(field.shape)}, but {reference} has {_describe(pixels.shape)}"
        )
    size = Path(path).stat().st_size
    height, width, channels = field.shape
    return ImageEvaluation(
        bytes=size,
        bpp=8 * size / (width * height),
        psnr_db=psnr(pixels, field.pixels()),
        width=width,
        height=height,
        channels=channels,
    )


def _describe(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels of {shape[2]} channel{'s' * (shape[2] > 1)}"
