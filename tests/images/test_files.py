import io

import numpy as np
import pytest
from PIL import Image

from doh3d.errors import ConfigError, ImageError
from doh3d.images.files import load_pixels, save_pixels


def pixels_of(channels):
    rng = np.random.default_rng(channels)
    return rng.integers(0, 256, (7, 9, channels), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_written_pixels_are_read(tmp_path, suffix, channels):
    pixels = pixels_of(channels)
    save_pixels(pixels, tmp_path / f"a{suffix}")
    read = load_pixels(tmp_path / f"a{suffix}")
    # WebP has no grey.
    assert np.array_equal(read, np.broadcast_to(pixels, read.shape))
    assert read.dtype == np.uint8


def test_jpeg_and_palettes_are_read(tmp_path):
    smooth = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(load_pixels(tmp_path / "a.jpg").astype(int) - smooth).max() < 6
    Image.fromarray(smooth).convert("P").save(tmp_path / "p.png")
    assert load_pixels(tmp_path / "p.png").shape == (16, 16, 3)


def deep_rgb_png():
    """A PNG of 16 bits a channel, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    row = zlib.compress(b"\0" + bytes(12))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, options.pop("format", "PNG"), **options)
    return buffer.getvalue()


def refused():
    colour = Image.new("RGB", (4, 4))
    several = {"save_all": True, "append_images": [Image.new("RGB", (4, 4), "red")]}
    palette = encoded(colour.convert("P"), transparency=0)
    return {
        "alpha": (encoded(Image.new("RGBA", (4, 4))), "has an alpha channel; flatten it"),
        "grey alpha": (encoded(Image.new("LA", (4, 4))), "alpha"),
        "palette alpha": (palette, "alpha"),
        "16 bits": (encoded(Image.new("I;16", (4, 4))), "16 bits or more a channel"),
        "16 bits of colour": (deep_rgb_png(), "16 bits or more a channel"),
        "CMYK": (encoded(Image.new("CMYK", (4, 4)), format="JPEG"), "colours are CMYK"),
        "frames": (encoded(colour, **several), "several frames"),
        "GIF": (encoded(colour, format="GIF"), "is no PNG, JPEG or WebP"),
        "text": (b"hello", "is no PNG, JPEG or WebP"),
        "empty": (b"", "is no PNG, JPEG or WebP"),
        "cut short": (encoded(Image.fromarray(pixels_of(3)))[:-60], "is damaged"),
        "too large": (encoded(Image.new("1", (4097, 4096))), "4097 x 4096 pixels; at most"),
    }


@pytest.mark.parametrize("name", refused())
def test_other_images_are_refused_in_a_line(tmp_path, name):
    data, message = refused()[name]
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as error:
        load_pixels(path)
    assert str(error.value).startswith(f"{path}: ")


def test_missing_files_and_other_endings_are_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pixels(tmp_path / "none.png")
    with pytest.raises(ConfigError, match=r"written as \.png or \.webp"):
        save_pixels(pixels_of(3), tmp_path / "a.jpg")
