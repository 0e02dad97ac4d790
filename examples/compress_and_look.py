"""Compress one shape, decode the file, and draw both side by side.

usage: python examples/compress_and_look.py MESH [PICTURE.png]

Needs the extra `view`. Writes the picture, shape.png unless named, and the .doh file beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import doh3d
from doh3d.view.thumbnail import draw_panels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path)
    parser.add_argument("picture", type=Path, nargs="?", default=Path("shape.png"))
    parser.add_argument("--max-bytes", type=int, default=1000)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--up", choices="xyz", default="y")
    options = parser.parse_args()

    shape = doh3d.compress(options.mesh, max_bytes=options.max_bytes, preset=options.preset)
    file = options.picture.with_suffix(".doh")
    shape.save(file)

    # All that follows needs the file only, and the original to compare with.
    field = doh3d.load(file)
    result = doh3d.evaluate(file, options.mesh, resolution=128)
    print(f"{options.mesh}: {options.mesh.stat().st_size:,} bytes")
    print(f"{file}: {result.bytes:,} bytes, IoU {result.iou:.4f} ({result.protocol})")

    original, decoded = draw_panels(
        [doh3d.load_mesh(options.mesh), field.to_mesh(128)], pixels=480, up=options.up
    )
    picture = Image.new("RGB", (960, 480))
    picture.paste(original, (0, 0))
    picture.paste(decoded, (480, 0))
    picture.save(options.picture)
    print(f"{options.picture}: the original, and what came back")


if __name__ == "__main__":
    main()
