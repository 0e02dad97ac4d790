"""The whole way on one shape: compress the Stanford bunny, decode the file, measure, draw.

Writes out/bunny.ply, the bunny itself, out/bunny.doh, out/back.ply and out/bunny.png. The bunny is
the open one, with the holes of the original scan, that the PyPI package pymeshfix ships among its
examples.
"""

from __future__ import annotations

import shutil
import time
from importlib import resources
from pathlib import Path

import doh3d
from doh3d.view.camera import Camera
from doh3d.view.picture import draw_picture
from doh3d.view.stage import Panel

OUT = Path("out")
RESOLUTION = 256


def main() -> None:
    OUT.mkdir(exist_ok=True)
    source, code, back = OUT / "bunny.ply", OUT / "bunny.doh", OUT / "back.ply"
    with resources.as_file(resources.files("pymeshfix") / "examples/StanfordBunny.ply") as path:
        shutil.copyfile(path, source)
    source_size = source.stat().st_size
    print(f"compressing {source}, {source_size:,} bytes (about a minute) ...")
    started = time.perf_counter()
    shape = doh3d.compress(source)
    encode_seconds = time.perf_counter() - started
    shape.save(code)

    started = time.perf_counter()
    field = doh3d.load(code)
    mesh = field.to_mesh(resolution=RESOLUTION)
    decode_seconds = time.perf_counter() - started
    mesh.export(back)

    reference = doh3d.load_mesh(source)
    result = doh3d.evaluate(code, source, resolution=RESOLUTION)
    print(f"{code}: {result.bytes:,} bytes, fitted in {encode_seconds:.1f} s")
    print(f"{back}: decoded at resolution {RESOLUTION} in {decode_seconds:.1f} s")
    print(
        f"IoU {result.iou:.4f} of the extracted mesh, protocol {result.protocol}, "
        f"{result.points:,} points"
    )
    for warning in result.warnings:
        print(f"warning: {source}: {warning}")

    picture = OUT / "bunny.png"
    panels = [
        Panel(reference, (source.name, f"{source_size:,} bytes")),
        Panel(mesh, (code.name, f"{result.bytes:,} bytes, IoU {result.iou:.3f}")),
    ]
    try:
        # Works on machines without a graphics driver, too.
        draw_picture(panels, picture, camera=Camera(azimuth_deg=-70, up="z"), renderer="raycast")
        print(f"{picture}: both, side by side")
    except doh3d.ConfigError as error:
        # Pictures need system libraries that not every machine lets one install.
        print(f"no picture: {error}")
    print("The command is .venv/bin/doh3d; `. .venv/bin/activate` lets you say doh3d. Next:")
    print("    cd out && doh3d page bunny.doh --up z")


if __name__ == "__main__":
    main()
