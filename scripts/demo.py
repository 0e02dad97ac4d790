"""The whole way on one shape: compress the Stanford bunny, decode the file, measure, draw.

Writes out/bunny.doh, out/bunny.ply and out/bunny.png. The bunny is the open one, with the
holes of the original scan, that the PyPI package pymeshfix ships among its examples.
"""

from __future__ import annotations

import time
from importlib import resources
from pathlib import Path

import doh3d
from doh3d.evaluation.metrics import volumetric_iou
from doh3d.geometry.occupancy import inside_test
from doh3d.view.camera import Camera
from doh3d.view.picture import draw_picture
from doh3d.view.stage import Panel

OUT = Path("out")
RESOLUTION = 256


def main() -> None:
    OUT.mkdir(exist_ok=True)
    with resources.as_file(resources.files("pymeshfix") / "examples/StanfordBunny.ply") as path:
        print(f"compressing {path.name}, {path.stat().st_size:,} bytes (about a minute) ...")
        started = time.perf_counter()
        shape = doh3d.compress(path)
        encode_seconds = time.perf_counter() - started
        reference = doh3d.load_mesh(path)
        reference_size = path.stat().st_size
    code = OUT / "bunny.doh"
    shape.save(code)

    started = time.perf_counter()
    field = doh3d.load(code)
    mesh = field.to_mesh(resolution=RESOLUTION)
    decode_seconds = time.perf_counter() - started
    mesh.export(OUT / "bunny.ply")

    result = volumetric_iou(
        inside_test(reference), inside_test(mesh), reference.bounds, mesh.bounds, protocol="bbox"
    )
    size = code.stat().st_size
    print(f"{code}: {size:,} bytes, fitted in {encode_seconds:.1f} s")
    print(f"{OUT / 'bunny.ply'}: decoded at resolution {RESOLUTION} in {decode_seconds:.1f} s")
    print(
        f"IoU {result.iou:.4f} of the extracted mesh, protocol {result.protocol}, "
        f"{result.points:,} points"
    )

    picture = OUT / "bunny.png"
    panels = [
        Panel(reference, (path.name, f"{reference_size:,} bytes")),
        Panel(mesh, (code.name, f"{size:,} bytes, IoU {result.iou:.3f}")),
    ]
    try:
        # Works on machines without a graphics driver, too.
        draw_picture(panels, picture, camera=Camera(azimuth_deg=-70, up="z"), renderer="raycast")
        print(f"{picture}: both, side by side")
    except doh3d.ConfigError as error:
        # Pictures need system libraries that not every machine lets one install.
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
