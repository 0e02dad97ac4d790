"""Write the small example meshes of this folder, and the table in its README.md.

Run it as ``python meshes/make_meshes.py``; the files are the same every time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh

FOLDER = Path(__file__).parent


def extruded(
    points: npt.NDArray[np.float64], triangles: npt.NDArray[np.int64], thickness: float
) -> trimesh.Trimesh:
    """Extrude (N, 2) points and (M, 3) counter-clockwise triangles to a closed solid."""
    count = len(points)
    half = np.full((count, 1), thickness / 2)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    present = {tuple(edge) for edge in edges.tolist()}
    rim = np.array([(a, b) for a, b in edges.tolist() if (b, a) not in present])
    a, b = rim.T
    walls = [np.column_stack([a + count, b + count, b]), np.column_stack([a + count, b, a])]
    return trimesh.Trimesh(
        vertices=np.concatenate([np.hstack([points, half]), np.hstack([points, -half])]),
        faces=np.concatenate([triangles, triangles[:, ::-1] + count, *walls]),
        process=False,
    )


def three_holes() -> trimesh.Trimesh:
    """Make a plate of 6 x 2 x 0.8 with three round holes of radius 0.6."""
    per_side = 12
    side = np.linspace(-1, 1, per_side, endpoint=False)
    one = np.ones(per_side)
    square = np.concatenate(
        [np.column_stack(p) for p in ((side, -one), (one, side), (-side, one), (-one, -side))]
    )
    circle = 0.6 * square / np.linalg.norm(square, axis=1, keepdims=True)
    inner = np.arange(len(square))
    following = np.roll(inner, -1)
    outer = inner + len(square)
    ring = np.concatenate(
        [
            np.column_stack([inner, outer, following + len(square)]),
            np.column_stack([inner, following + len(square), following]),
        ]
    )
    cell = np.concatenate([circle, square])
    points = np.concatenate([cell + np.array([2 * k, 0]) for k in (-1, 0, 1)])
    triangles = np.concatenate([ring + k * len(cell) for k in range(3)])
    # Neighbouring cells share the points of their common side.
    _, first, inverse = np.unique(
        points.round(9) + 0.0, axis=0, return_index=True, return_inverse=True
    )
    return extruded(points[first], inverse.reshape(-1)[triangles], 0.8)


def two_bodies() -> trimesh.Trimesh:
    """Make a ball and a box that do not touch."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    box = trimesh.creation.box(extents=(0.6, 0.8, 1.0))
    ball.apply_translation((-0.7, 0, 0))
    box.apply_translation((0.6, 0, 0))
    return trimesh.util.concatenate([ball, box])


def torus() -> trimesh.Trimesh:
    """Make a torus of radii 1 and 0.35."""
    return trimesh.creation.torus(1.0, 0.35, major_sections=64, minor_sections=32)


def make() -> dict[str, tuple[trimesh.Trimesh, str]]:
    """Make each file's mesh and say what it is."""
    return {
        "sphere.ply": (trimesh.creation.icosphere(subdivisions=4), "ball of radius 1, binary PLY"),
        "torus.obj": (torus(), "torus of radii 1 and 0.35, genus 1"),
        "three_holes.stl": (three_holes(), "plate 6 x 2 x 0.8 with three round holes, genus 3"),
        "two_bodies.off": (two_bodies(), "ball of radius 0.5 beside a box 0.6 x 0.8 x 1"),
        "thin_plate.ply": (trimesh.creation.box((1.0, 0.8, 0.02)), "plate 1 x 0.8 x 0.02"),
    }


def main() -> None:
    """Write all files."""
    lines = [
        "# Example meshes",
        "",
        "Small closed meshes of known volume, written by `make_meshes.py`. The volume is that of",
        "the triangles, which is a little less than the round shape's.",
        "",
        "| file | what | faces | volume |",
        "|---|---|---|---|",
    ]
    for name, (mesh, what) in make().items():
        options = {"include_normals": False} if name.endswith(".obj") else {}
        mesh.export(FOLDER / name, **options)
        lines.append(f"| `{name}` | {what} | {len(mesh.faces)} | {mesh.volume:.6f} |")
    (FOLDER / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
