"""How many bodies a shape has, and how many holes go through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doh3d.geometry.half_edges import HalfEdges, components

if TYPE_CHECKING:
    import trimesh

# A body with less than this share of the volume is a speck.
NOTABLE_SHARE = 1e-3

# Cells along the longest side of the grid on which bodies are counted where a surface that
# overlaps itself or is open does not tell.
_GRID = 64


@dataclass(frozen=True)
class Topology:
    """Bodies and holes of a shape.

    Attributes
    ----------
    components : int
        Bodies with at least `NOTABLE_SHARE` of the volume each.
    specks : int
        Smaller bodies; 0 where the surface does not tell.
    genus : int or None
        Holes through the components and through the walls of their cavities: 0 for a ball, 1
        for a torus. None where the surface does not tell, being open, overlapping or not a
        manifold.
    """

    components: int
    specks: int
    genus: int | None


def mesh_topology(
    mesh: trimesh.Trimesh,
    inside: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]] | None = None,
) -> Topology:
    """Count the bodies that a mesh encloses, and their holes.

    Parameters
    ----------
    mesh : trimesh.Trimesh
        Welded and wound outwards, as `clean_mesh` and extraction give it; or without faces.
    inside : callable, optional
        Inside test of the mesh, (N, 3) float64 -> (N,) bool. Without it the surface is taken
        to be closed and free of overlaps.

    Returns
    -------
    Topology
        Where there is an inside test and the surface is in several pieces, which may overlap,
        or lie in one another, components are counted on a grid of 64 cells along the longest
        side; gaps of less than a cell are not seen.
    """
    if not len(mesh.faces):
        return Topology(0, 0, 0)
    volumes, genus = _pieces(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    least = NOTABLE_SHARE * float(volumes.clip(min=0).sum())
    notable = np.abs(volumes) >= least
    bodies = int((notable & (volumes > 0)).sum())
    specks = int((~notable & (volumes > 0)).sum())
    holes = None if genus is None else int(genus[notable].sum())
    if inside is None:
        return Topology(bodies, specks, holes)
    if len(volumes) == 1:
        return Topology(1, 0, holes)
    components = _components_on_grid(inside, np.asarray(mesh.bounds))
    if genus is None or components != bodies:
        return Topology(components, 0, None)
    return Topology(components, specks, holes)


def _pieces(
    vertices: npt.NDArray[np.float64], faces: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64] | None]:
    """(S,) signed volumes of the surface's pieces, connected over edges, and (S,) genus.

    No genus where an edge is not shared by exactly two faces, of opposite directions.
    """
    half = HalfEdges.of(faces)
    one, two = half.pairs(most=None)
    piece = components(len(faces), half.face[one], half.face[two])
    count = int(piece.max()) + 1

    corners = vertices[faces] - vertices.mean(axis=0)
    a, b, c = corners.transpose(1, 0, 2)
    six_volumes = np.einsum("ij,ij->i", a, np.cross(b, c))
    volumes = np.bincount(piece, weights=six_volumes, minlength=count) / 6

    if (half.faces_at_edge() != 2).any() or (half.sign[one] == half.sign[two]).any():
        return volumes, None
    # A vertex where two cones of faces touch counts once for each: corners are joined across
    # edges only. Corner h is where half-edge h starts.
    following = np.roll(np.arange(faces.size).reshape(-1, 3), -1, axis=1).ravel()
    ends = np.concatenate([one, two]), np.concatenate([following[two], following[one]])
    fan = components(faces.size, *ends)
    _, first = np.unique(fan, return_index=True)
    vertex_count = np.bincount(piece[first // 3], minlength=count)
    face_count = np.bincount(piece, minlength=count)
    # V - E + F, with three edges for each two faces, is 2 - 2 genus.
    characteristic = vertex_count - face_count // 2
    return volumes, 1 - characteristic // 2


def _components_on_grid(
    inside: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]],
    bounds: npt.NDArray[np.float64],
) -> int:
    from scipy.ndimage import label

    sides = bounds[1] - bounds[0]
    spacing = float(sides.max()) / _GRID
    shape = np.maximum(np.ceil(sides / spacing), 1).astype(int)
    cells = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    # Cells about the middle of the box, which they may exceed a little.
    points = bounds.mean(axis=0) + (cells.reshape(-1, 3) + 0.5 - shape / 2) * spacing
    filled = inside(points).reshape(shape)
    # Cells that touch at a corner are of one body: thin walls along a diagonal stay whole.
    labels, _ = label(filled, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    return int((sizes >= NOTABLE_SHARE * sizes.sum()).sum())
