"""Parts as they lie and turned at random, fitted in the frame that is found and along the axes.

python scripts/ablations/turned.py MESH... [--preset fast] [--max-bytes 1200] [--turns 2]
    [--seeds 1] [--in-frame]

Rotation 0 is the mesh as it is. Where no frame is found, the row of the axes is that of both; with
--in-frame turned parts are fitted in their frames only. The
error is 1 - IoU on stratified points of the box around the domain.
"""

import argparse
import itertools
import time
from pathlib import Path

import harness  # noqa: F401  The scripts above this folder can be imported after it.
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from doh3d.codec.container import parse
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.field import OccupancyField
from doh3d.fitting.rate_control import fit_to_bytes
from doh3d.geometry.reading import read_shape
from doh3d.geometry.rotation import NO_FRAME
from doh3d.options import CompressOptions
from doh3d.signals.shape import prepare, prepare_in_frame
from result_table import ResultTable, results_path

COLUMNS = "mesh preset max_bytes turn axes frame mirrored bytes error seconds".split()  # noqa: SIM905
KEY = ("mesh", "preset", "max_bytes", "turn", "seed", "axes")


def turned(path, turn):
    """Turn the mesh of a file by the rotation of that number; 0 is none."""
    mesh = read_shape(path).mesh
    if turn:
        rotation = Rotation.random(random_state=turn).as_matrix()
        mesh.vertices = np.asarray(mesh.vertices) @ rotation.T
    return read_shape(mesh)


def measure(shape, seed, arguments):
    """Fit a shape; return the bytes and the error of its file."""
    options = CompressOptions(preset=arguments.preset, seed=seed)
    fitted = fit_to_bytes(
        shape,
        arguments.max_bytes,
        lambda latent: shape.config(options, latent),
        device=torch.device("cpu"),
    )
    field = OccupancyField(parse(fitted.data), "cpu")
    judge = LabelledPoints.of(shape.mesh, field.bounds, points=2**20)
    return len(fitted.data), 1 - judge.iou(field).iou


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--max-bytes", type=int, default=1200)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--in-frame", action="store_true")
    parser.add_argument("--output", type=Path, default=results_path("ablation-turned"))
    arguments = parser.parse_args()
    table = ResultTable(arguments.output, COLUMNS, KEY)
    for path, turn in itertools.product(arguments.meshes, range(arguments.turns + 1)):
        reading = turned(path, turn)
        framed = prepare(reading)
        shapes = {"own": prepare_in_frame(reading, NO_FRAME), "frame": framed}
        if framed.transform.frame == NO_FRAME:
            del shapes["frame"]
        elif arguments.in_frame:
            del shapes["own"]
        for (axes, shape), seed in itertools.product(shapes.items(), range(arguments.seeds)):
            start = (path.stem, arguments.preset, arguments.max_bytes, turn, seed, axes)
            key = dict(zip(KEY, start, strict=True))
            if not table.has(**key):
                started = time.perf_counter()
                size, error = measure(shape, seed, arguments)
                row = table.add(
                    **key,
                    frame=shape.transform.frame,
                    mirrored="".join("xyz"[axis] for axis in shape.mirrored),
                    bytes=size,
                    error=f"{error:.5f}",
                    seconds=f"{time.perf_counter() - started:.1f}",
                )
                print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
