"""The light on a surface: matt, soft, and the same whoever draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

# Warm grey: dark enough to stand out on white, light enough to show its shading.
CLAY = np.array([0.86, 0.82, 0.76])

# Where a face leans further from the mean normal at its corner than this, there is an edge.
_CREASE_DEG = 30.0


@dataclass(frozen=True)
class Surface:
    """A mesh with a normal at each vertex, where vertices at edges stand for one face each.

    Attributes
    ----------
    vertices, normals : (V, 3) float64
    faces : (F, 3) int64
    source : (V,) int64
        The vertex of the given mesh that each comes from.
    """

    vertices: FloatArray
    normals: FloatArray
    faces: IntArray
    source: IntArray

    @classmethod
    def of(cls, vertices: FloatArray, faces: IntArray) -> Surface:
        """Smooth a welded mesh over its curved parts, and keep its edges sharp."""
        corners = np.asarray(vertices)[faces]
        forth = _unit(np.roll(corners, -1, axis=1) - corners)
        flat = _unit(np.cross(forth[:, 0], forth[:, 1]))
        # Weighed by angles, so that neither sizes nor the way faces are cut count.
        cosines = -np.einsum("fij,fij->fi", forth, np.roll(forth, 1, axis=1))
        weighed = np.arccos(np.clip(cosines, -1, 1))[..., None] * flat[:, None]
        index, weighed = faces.ravel(), weighed.reshape(-1, 3)
        sums = [np.bincount(index, weighed[:, axis], len(vertices)) for axis in range(3)]
        smooth = _unit(np.stack(sums, axis=1))
        leaning = np.einsum("fij,fj->fi", smooth[faces], flat)
        on_edge = leaning < np.cos(np.radians(_CREASE_DEG))
        source = np.concatenate([np.arange(len(vertices)), faces[on_edge]])
        normals = np.concatenate([smooth, flat[np.nonzero(on_edge)[0]]])
        faces = faces.copy()
        faces[on_edge] = np.arange(len(vertices), len(source))
        return cls(np.asarray(vertices)[source], normals, faces, source)


def shade(surface: Surface, colours: FloatArray | None = None) -> tuple[IntArray, FloatArray]:
    """Light a surface from over the viewer's shoulders and from the sky.

    Parameters
    ----------
    surface : Surface
        In view axes: right, upward, towards the viewer.
    colours : (V, 3) float, optional
        Red, green and blue of the given mesh's vertices in [0, 1]; clay unless given.

    Returns
    -------
    faces : (F, 3) int64
        Each vertex may have two colours: vertex i of V seen from behind is V + i.
    colours : (2 V, 3) float64
        As they are seen, in [0, 1]. Given colours stay close to themselves, so that they can be
        looked up in a legend.
    """
    # A back side is seen only through a hole; it is lit like a front one.
    normals = np.concatenate([surface.normals, -surface.normals])
    corners = surface.vertices[surface.faces, :2]
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    from_behind = one[:, 0] * other[:, 1] < one[:, 1] * other[:, 0]
    faces = surface.faces + len(surface.vertices) * from_behind[:, None]
    key_light = np.maximum(normals @ _unit(np.array([-0.9, 0.9, 1.0])), 0)
    fill_light = np.maximum(normals @ _unit(np.array([1.5, 0.0, 1.0])), 0)
    sky_light = (normals[:, 1] + 1) / 2
    brightness = 0.24 + 0.62 * key_light + 0.16 * fill_light + 0.16 * sky_light
    if colours is None:
        lit = brightness[:, None] * CLAY
    else:
        of_vertices = np.tile(colours[surface.source], (2, 1))
        lit = (0.45 + 0.55 * np.minimum(brightness, 1))[:, None] * of_vertices
    return faces, np.clip(lit, 0, 1)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: FloatArray = vectors / np.where(lengths > 0, lengths, 1)
    return unit
