"""Draw an original beside what comes back from files of several sizes: docs/bunny.png.

usage: python scripts/draw_rates.py [MESH] [-o PNG] [--bytes 500,1000,2000,4000]
       [--preset default] [--up z] [--azimuth -70] [--renderer open3d]

Each fit takes about a minute; the files stay in out/rates/ and are taken from there the next
time. Without a mesh it is the demo's bunny, which the PyPI package pymeshfix brings.
"""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path

import doh3d
from doh3d.view.camera import Camera
from doh3d.view.comparison import load_comparison
from doh3d.view.picture import draw_picture

OUT = Path("out/rates")
RESOLUTION = 256
SIZE = (1500, 420)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/bunny.png"))
    parser.add_argument("--bytes", default="500,1000,2000,4000")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--up", default="z")
    parser.add_argument("--azimuth", type=float, default=-70.0)
    parser.add_argument("--renderer", default="open3d")
    options = parser.parse_args()

    if options.mesh is None:
        options.mesh = Path(str(resources.files("pymeshfix") / "examples/StanfordBunny.ply"))
    folder = OUT / f"{options.mesh.stem}-{options.preset}"
    folder.mkdir(parents=True, exist_ok=True)
    codes = []
    for max_bytes in map(int, options.bytes.split(",")):
        code = folder / f"{max_bytes}.doh"
        if not code.exists():
            doh3d.compress(options.mesh, max_bytes=max_bytes, preset=options.preset).save(code)
        print(f"{code}: {code.stat().st_size:,} bytes", flush=True)
        codes.append(code)
    comparison = load_comparison([*codes, options.mesh])
    panels = comparison.panels(comparison.extract(RESOLUTION))
    draw_picture(
        panels,
        options.output,
        size=SIZE,
        camera=Camera(azimuth_deg=options.azimuth, up=options.up),
        renderer=options.renderer,
    )
    print(f"{options.output}: {comparison.title}")


if __name__ == "__main__":
    main()
