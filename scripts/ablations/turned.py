"""Parts as they lie and turned at random, fitted in the frame that is found and along the axes.

python scripts/ablations/turned.py MESH... [--preset fast] [--max-bytes 1200] [--turns 2]
    [--seeds 1] [--in-frame]

Rotation 0 is the mesh as it is. Where no frame is found, the row of the axes is that of both; with
--in-frame turned parts are fitted in their frames only. The
error is 1 - IoU on stratified points of the box around the domain.
"""

import argparse
import csv
import itertools
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

import doh3d
from doh3d.codec.container import parse
from doh3d.evaluation.evaluate import LabelledPoints
from doh3d.field import OccupancyField
from doh3d.fitting.rate_control import fit_to_bytes
from doh3d.geometry.reading import read_shape
from doh3d.geometry.rotation import NO_FRAME
from doh3d.options import CompressOptions
from doh3d.signals.shape import prepare, prepare_in_frame

COLUMNS = "mesh preset max_bytes turn seed axes frame mirrored bytes error".split()  # noqa: SIM905


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
    default = Path(f"results/{doh3d.__version__}/ablation-turned.tsv")
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    if not arguments.output.exists():
        arguments.output.write_text("\t".join(COLUMNS) + "\n")
    with arguments.output.open() as file:
        done = {tuple(row.values())[:6] for row in csv.DictReader(file, delimiter="\t")}
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
            if tuple(map(str, start)) not in done:
                size, error = measure(shape, seed, arguments)
                planes = "".join("xyz"[axis] for axis in shape.mirrored)
                row = (*start, shape.transform.frame, planes, size, f"{error:.5f}")
                with arguments.output.open("a") as file:
                    print(*row, sep="\t", file=file)
                print(*row, flush=True)


if __name__ == "__main__":
    main()
