"""How much of an image a file keeps, and at what rate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import doh3d
from doh3d.errors import ConfigError
from doh3d.evaluation.inputs import Compressed, size_of
from doh3d.images.files import ImageInput, load_pixels
from doh3d.limits import DEFAULT_LIMITS, Limits

# What may be measured.
MeasuredImage: TypeAlias = "str | Path | doh3d.ImageField | Compressed"


@dataclass(frozen=True)
class ImageEvaluation:
    """A compressed image against the original.

    Attributes
    ----------
    bytes : int or None
        Size of the file on disk, or of what was compressed; None for a field, which has no file.
    bpp : float or None
        The same in bits a pixel.
    psnr_db : float
        Over all pixels and channels, after rounding to 8 bits; infinite where nothing differs.
    width, height, channels : int
    """

    bytes: int | None
    bpp: float | None
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
    image: MeasuredImage,
    reference: ImageInput,
    *,
    device: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
) -> ImageEvaluation:
    """Decode an image and compare it with the one that it was made from.

    Parameters
    ----------
    image : path, CompressedImage or ImageField
        A `.doh` file, what `compress_image` made, or a field.
    reference : path or (height, width), (height, width, 1) or (height, width, 3) uint8
        An image as `compress_image` takes it.
    limits : Limits
        What is taken from a `.doh` file.

    Raises
    ------
    FormatError
        If the file is not a valid `.doh` file of an image.
    ImageError
        If the reference cannot be read.
    ConfigError
        If the two differ in size or in channels, or `image` is nothing of the kind.
    """
    field = _field(image, device, limits)
    pixels = load_pixels(reference)
    if pixels.shape != field.shape:
        raise ConfigError(
            f"{_name(image, 'the image')} holds {_describe(field.shape)}, "
            f"but {_name(reference, 'the reference')} has {_describe(pixels.shape)}"
        )
    size = size_of(image)
    height, width, channels = field.shape
    return ImageEvaluation(
        bytes=size,
        bpp=None if size is None else 8 * size / (width * height),
        psnr_db=psnr(pixels, field.pixels()),
        width=width,
        height=height,
        channels=channels,
    )


def _field(image: MeasuredImage, device: str, limits: Limits) -> doh3d.ImageField:
    from doh3d.images.field import ImageField, load_image

    if isinstance(image, str | Path):
        return load_image(image, device, limits=limits)
    field = image.field(device) if isinstance(image, Compressed) else image
    if not isinstance(field, ImageField):
        raise ConfigError(
            f"image is of type {type(image).__name__}; a path of a .doh file, a CompressedImage "
            "or an ImageField is needed"
        )
    return field


def _name(image: object, otherwise: str) -> str:
    return str(image) if isinstance(image, str | Path) else otherwise


def _describe(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels of {shape[2]} channel{'s' * (shape[2] > 1)}"
