import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from doh3d.errors import ConfigError, ImageError
from doh3d.evaluation.image import psnr
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


# Where the corner of the stored picture that is at the top left belongs, by EXIF's orientation,
# and whether width and height change places: EXIF 2.32, 4.6.4.
ORIENTATIONS = {
    1: ("top", "left", False),
    2: ("top", "right", False),
    3: ("bottom", "right", False),
    4: ("bottom", "left", False),
    5: ("top", "left", True),
    6: ("top", "right", True),
    7: ("bottom", "right", True),
    8: ("bottom", "left", True),
}


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def stored_as(pixels, orientation):
    """How a camera stores what is seen, so that row 0 and column 0 are where EXIF says."""
    vertical, horizontal, turned = ORIENTATIONS[orientation]
    stored = pixels[::-1] if vertical == "bottom" else pixels
    stored = stored[:, ::-1] if horizontal == "right" else stored
    return np.ascontiguousarray(stored.transpose(1, 0, 2) if turned else stored)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_pictures_are_turned_upright(tmp_path, orientation, kind):
    pixels = pixels_of(3)
    stored = Image.fromarray(stored_as(pixels, orientation))
    stored.save(tmp_path / "a", kind, lossless=True, exif=exif_of(orientation))
    assert np.array_equal(load_pixels(tmp_path / "a"), pixels)


def test_a_turned_photo_is_compared_with_what_is_seen(tmp_path):
    seen = np.zeros((16, 32, 3), dtype=np.uint8)
    seen[:, 24:] = (250, 0, 0)
    stored = Image.fromarray(stored_as(seen, 8))
    stored.save(tmp_path / "a.jpg", quality=95, subsampling=0, exif=exif_of(8))
    read = load_pixels(tmp_path / "a.jpg")
    assert read.shape == seen.shape
    assert psnr(seen, read) > 40


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"\xff" * 40])
def test_damaged_metadata_says_nothing(tmp_path, exif):
    smooth = Image.new("RGB", (24, 16), "teal")
    smooth.save(tmp_path / "a.jpg", exif=exif)
    assert load_pixels(tmp_path / "a.jpg").shape == (16, 24, 3)


@pytest.mark.parametrize("orientation", [0, 9, 6000])
def test_orientations_that_do_not_exist_say_nothing(tmp_path, orientation):
    Image.new("RGB", (24, 16)).save(tmp_path / "a.png", exif=exif_of(orientation))
    assert load_pixels(tmp_path / "a.png").shape == (16, 24, 3)


def phone_photo():
    """A JPEG with a second, smaller picture, and what the first one shows."""
    photo = Image.new("RGB", (32, 16), "teal")
    return encoded(photo, format="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])


def test_of_a_photo_with_further_pictures_the_first_is_read(tmp_path):
    data = phone_photo()
    (tmp_path / "a.jpg").write_bytes(data)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    assert load_pixels(tmp_path / "a.jpg").shape == (16, 32, 3)
    # An index that leads nowhere is no reason to refuse the first.
    place = data.index(b"MPF\0") + 4
    for at in range(place, place + 80):
        (tmp_path / "a.jpg").write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        assert load_pixels(tmp_path / "a.jpg").shape == (16, 32, 3)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iCCP"])
def test_texts_of_any_size_are_passed_over(tmp_path, kind, place):
    words = bytes(70 * 2**20)
    packed = zlib.compress(words)
    data = {
        "tEXt": b"a\0" + words,
        "zTXt": b"a\0\0" + packed,
        "iTXt": b"a\0\1\0\0\0" + packed,
        "iCCP": b"a\0\0" + packed,
    }[kind]
    pixels = pixels_of(3)
    png = encoded(Image.fromarray(pixels))
    cut = 33 if place == "before" else len(png) - 12
    (tmp_path / "a.png").write_bytes(png[:cut] + chunk(kind.encode(), data) + png[cut:])
    assert np.array_equal(load_pixels(tmp_path / "a.png"), pixels)


def chunk(name, data):
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def deep_rgb_png():
    """A PNG of 16 bits a channel, which Pillow cannot write."""
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
        "cut in a chunk": (encoded(Image.new("RGB", (4, 4)))[:20], "is no PNG|is damaged"),
        "a JPEG of nothing": (b"\xff\xd8\xff\xe0", "is damaged"),
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


def test_what_is_no_file_is_not_opened(tmp_path):
    # To open it would wait for a writer.
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"a\.png: is a named pipe; an image file is needed"):
        load_pixels(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="is a device"):
        load_pixels("/dev/zero")
