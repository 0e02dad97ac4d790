"""Sweep the latent's length for one mesh, and plot IoU against the size of the file.

usage: python examples/sweep_and_plot.py MESH [FOLDER]

Needs the extra `view`. `doh3d sweep` and `doh3d report` do more of the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from doh3d.evaluation.rate_distortion import pareto_front
from doh3d.sweep.run import parse_numbers, run_sweep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("sweep"))
    parser.add_argument("--latent", default="150,300,600,1200")
    parser.add_argument("--bits", default="6")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--points", type=int, default=2**19)
    options = parser.parse_args()

    # The same call again takes up a sweep that was stopped, or adds to it.
    swept = run_sweep(
        options.mesh,
        options.folder,
        latents=parse_numbers("latent", options.latent),
        bits=parse_numbers("bits", options.bits),
        preset=options.preset,
        points=options.points,
    )
    front = pareto_front(swept.rows)
    for row in front:
        print(f"latent {row.latent}, {row.bits} bits: {row.bytes} bytes, IoU {row.iou:.4f}")

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([row.bytes for row in front], [row.iou for row in front], marker="o")
    axes.set_xscale("log")
    axes.set_xlabel("size of the file in bytes")
    axes.set_ylabel(f"IoU of the {front[0].iou_of} ({front[0].protocol})")
    axes.set_title(options.mesh.name)
    figure.savefig(options.folder / "plot.png", dpi=150)
    print(f"{options.folder / 'plot.png'}: IoU against bytes")


if __name__ == "__main__":
    main()
