"""Pixels in and out: PNG, JPEG and WebP by way of Pillow, or arrays. No torch here."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.codec.image_code import CHANNELS
from doh3d.errors import ConfigError, ImageError
from doh3d.files import check_output, other_kind, write_atomically
from doh3d.limits import DEFAULT_LIMITS, MAX_SIDE

if TYPE_CHECKING:
    from PIL import Image, ImageFile

FORMATS = ("PNG", "JPEG", "WEBP")

# What is written, by the name's ending: nothing that loses what the decoder gave.
_WRITTEN = (".png", ".webp")

# What Pillow calls 8 bits of grey and of RGB. A palette is one of them written shorter.
_MODES = ("L", "RGB", "P", "1")

_JPEG_MAGIC = b"\xff\xd8\xff"

# A PNG starts with this; then come chunks: length, name, data, checksum.
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK_FRAME = 12
# Where a PNG has its bits a channel.
_PNG_DEPTH = 24
# What says nothing of pixels as they are stored, and may be of any size: texts, a colour profile.
_PNG_PASSED_OVER = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


# A file, or pixels: (height, width), (height, width, 1) or (height, width, 3) uint8.
ImageInput: TypeAlias = str | Path | npt.NDArray[np.uint8]


def load_pixels(image: ImageInput) -> npt.NDArray[np.uint8]:
    """Read an image of 8 bits, grey or RGB, upright as its EXIF orientation says; or take pixels.

    Of a photo that carries further pictures (MPO), such as a preview or a depth map, the first is
    read. All other metadata, texts and colour profiles among it, is left aside.

    Parameters
    ----------
    image : path or (height, width), (height, width, 1) or (height, width, 3) uint8

    Returns
    -------
    (height, width, channels) uint8
        One channel, or red, green and blue.

    Raises
    ------
    ImageError
        If the file is no PNG, JPEG or WebP, is damaged, has alpha, 16 bits or other colours, or
        too many pixels; or if pixels are not of such a shape or type.
    ConfigError
        If there is no such file, or it cannot be read.
    """
    if not isinstance(image, str | Path):
        return _checked(image)
    return _read(Path(image))


def _checked(image: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """(height, width, channels) uint8 of pixels in memory."""
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
        raise ImageError(f"there are {width} x {height} pixels; {_most()}")
    return pixels


def _read(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    other = other_kind(path)
    if other is not None:
        raise ConfigError(f"{path}: is {other}; an image file is needed")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        with warnings.catch_warnings():
            # Large images are refused below, with the limit's own words; damaged metadata is no
            # concern of the pixels.
            warnings.simplefilter("ignore")
            with _opened(data) as image:
                _check(path, image, data)
                shown = image.convert("L" if image.mode in ("L", "1") else "RGB")
                pixels = np.asarray(_upright(shown, _orientation(image)))
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


def _opened(data: bytes) -> ImageFile.ImageFile:
    """Open an image, of a photo with further pictures the first."""
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    if data.startswith(_JPEG_MAGIC):
        # `Image.open` would look for further pictures, and fail where their index is damaged.
        return JpegImageFile(io.BytesIO(data))
    return Image.open(io.BytesIO(_without_texts(data)), formats=FORMATS)


def _without_texts(data: bytes) -> bytes:
    """Leave out of a PNG what Pillow would unpack, and refuse where it is large.

    Other data comes back as it is; so does what follows where a PNG is damaged.
    """
    if not data.startswith(_PNG_MAGIC):
        return data
    kept, place = [_PNG_MAGIC], len(_PNG_MAGIC)
    while place < len(data):
        end = place + _PNG_CHUNK_FRAME + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] not in _PNG_PASSED_OVER or end > len(data):
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


def _orientation(image: Image.Image) -> int:
    """Return how the picture lies, 1 to 8 as EXIF counts them; 1 where nothing tells."""
    from PIL import ExifTags
    from PIL.Image import Exif

    exif = Exif()
    # Damaged metadata makes Pillow raise errors of many kinds; the pixels are there all the same.
    with contextlib.suppress(Exception):
        exif.load(image.info.get("exif", b""))
        return int(exif.get(ExifTags.Base.Orientation, 1))
    return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn and mirror a picture so that it lies as the EXIF orientation says."""
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(ways[orientation]) if orientation in ways else image


def _most() -> str:
    return f"at most {DEFAULT_LIMITS.pixels} are taken"
