"""Files of pixels in and out: PNG, JPEG and WebP, by way of Pillow. No torch here."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError, ImageError
from doh3d.files import check_output, write_atomically
from doh3d.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from PIL import ImageFile

FORMATS = ("PNG", "JPEG", "WEBP")

# What is written, by the name's ending: nothing that loses what the decoder gave.
_WRITTEN = (".png", ".webp")

# What Pillow calls 8 bits of grey and of RGB. A palette is one of them written shorter.
_MODES = ("L", "RGB", "P", "1")

# Where a PNG has its bits a channel.
_PNG_DEPTH = 24


def load_pixels(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read an image of 8 bits, grey or RGB.

    Metadata, an orientation among it, is left aside.

    Returns
    -------
    (height, width, channels) uint8
        One channel, or red, green and blue.

    Raises
    ------
    ImageError
        If the file is no PNG, JPEG or WebP, is damaged, has alpha, 16 bits or other colours, or
        too many pixels.
    ConfigError
        If there is no such file, or it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        with warnings.catch_warnings():
            # Large images are refused below, with the limit's own words.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check(path, image, data)
                pixels = np.asarray(image.convert("L" if image.mode in ("L", "1") else "RGB"))
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: is no PNG, JPEG or WebP image") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: has far too many pixels; {_most()}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: is damaged: {error}") from error
    return pixels.reshape(*pixels.shape[:2], -1)


def save_pixels(pixels: npt.NDArray[np.uint8], path: str | Path) -> None:
    """Write (height, width, 1 or 3) uint8 pixels as PNG or lossless WebP, whole or not at all.

    Raises
    ------
    ConfigError
        If the name ends otherwise, or the file cannot be written.
    """
    from PIL import Image

    check_image_output(path)
    buffer = io.BytesIO()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if Path(path).suffix.lower() == ".webp":
        image.save(buffer, "WEBP", lossless=True)
    else:
        image.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def check_image_output(path: str | Path) -> None:
    """Raise ConfigError unless `save_pixels` can write there."""
    if Path(path).suffix.lower() not in _WRITTEN:
        raise ConfigError(f"{path}: images are written as {' or '.join(_WRITTEN)}")
    check_output(path)


def _check(path: Path, image: ImageFile.ImageFile, data: bytes) -> None:
    """Raise ImageError for what is no still image of 8 bits, grey or RGB."""
    width, height = image.size
    if width * height > DEFAULT_LIMITS.pixels:
        raise ImageError(f"{path}: has {width} x {height} pixels; {_most()}")
    if "transparency" in image.info or "A" in image.getbands() or image.mode in ("LA", "PA"):
        raise ImageError(f"{path}: has an alpha channel; flatten it onto a background first")
    # Pillow reads PNGs of 16 bits RGB as 8 without a word; the depth follows both sides in IHDR.
    deep = image.format == "PNG" and data[_PNG_DEPTH] > 8
    if deep or image.mode.startswith(("I", "F")):
        raise ImageError(f"{path}: has 16 bits or more a channel; convert it to 8 first")
    if getattr(image, "is_animated", False):
        raise ImageError(f"{path}: has several frames; give a single one")
    if image.mode not in _MODES:
        raise ImageError(f"{path}: its colours are {image.mode}; convert it to grey or RGB first")


def _most() -> str:
    return f"at most {DEFAULT_LIMITS.pixels} are taken"
