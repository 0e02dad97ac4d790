"""A plane through a field: its logits, a picture and polygons."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from doh3d.errors import ConfigError
from doh3d.geometry.contours import closed_contours
from doh3d.geometry.surface import closed_values
from doh3d.late_module import LateModule
from doh3d.operations.normalized import NormalizedField

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = LateModule("PIL.Image")

FloatArray = npt.NDArray[np.float64]

# Inside and outside in a picture.
_INK, _PAPER = 60.0, 255.0

# Points evaluated at a time.
_POINTS = 2**18


@dataclass(frozen=True)
class FieldSlice:
    """A plane through a field, as `OccupancyField.slice` cuts it.

    A place of the plane has two coordinates, along `axes`, in the shape's own units.

    Attributes
    ----------
    origin : (3,) float64
        The place of the plane that has the coordinates 0, 0.
    axes : (2, 3) float64
        Unit vectors to the right and upwards, seen from where the normal points.
    low : (2,) float64
        Coordinates of the first node.
    spacing : float
        Between nodes, in the shape's own units.
    logits : (H, W) float32
        At the nodes, the lowest row first; -inf beyond the domain.
    polygons : list of (K, 2) float64
        Closed outlines of the section, first corners not repeated. Outer ones run
        counterclockwise, those of holes clockwise.
    """

    origin: FloatArray
    axes: FloatArray
    low: FloatArray
    spacing: float
    logits: npt.NDArray[np.float32]
    polygons: list[FloatArray]

    @property
    def area(self) -> float:
        """Area of the section, in the shape's own units squared; holes do not count."""
        doubled = 0.0
        for x, y in (polygon.T for polygon in self.polygons):
            doubled += float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
        return doubled / 2

    def to_space(self, places: npt.ArrayLike) -> FloatArray:
        """(N, 3) float64 points of space at (N, 2) places of the plane, such as a polygon."""
        found: FloatArray = np.asarray(places, dtype=np.float64) @ self.axes + self.origin
        return found

    def picture(self) -> Image.Image:
        """Draw the section in grey, a pixel for each node, the highest row at the top.

        >>> field.slice((0, 0, 1), resolution=64).picture().mode
        'L'
        """
        from PIL import Image

        finite = np.nan_to_num(self.logits.astype(np.float64), neginf=np.nan)
        down, right = np.gradient(finite)
        # How much of a pixel is inside, taking the logit as linear there.
        slope = np.maximum(np.abs(down) + np.abs(right), 1e-12)
        share = np.clip(np.nan_to_num(finite / slope, nan=-1.0) + 0.5, 0.0, 1.0)
        share = np.where(np.isnan(slope), self.logits > 0, share)
        grey = np.rint(_PAPER + (_INK - _PAPER) * share).astype(np.uint8)
        return Image.fromarray(grey[::-1])


def cut(
    field: NormalizedField, origin: FloatArray, normal: FloatArray, resolution: int
) -> FieldSlice:
    """Cut a field with a plane, at a node for each of `resolution` steps along its longer side."""
    length = float(np.abs(normal).max())
    if not length:
        raise ConfigError("the normal is 0, 0, 0; it must have a direction")
    normal = normal / length
    normal = normal / np.linalg.norm(normal)
    # The axis that follows the one that the plane faces: x and y for z, y and z for x.
    right = np.roll(np.eye(3)[int(np.abs(normal).argmax())], 1)
    right = right - (right @ normal) * normal
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(normal, right)])
    code = field.code
    corners = code.transform.to_world(
        np.array(list(product((-1, 1), repeat=3))) * code.half_extents
    )
    places = (corners - origin) @ axes.T
    low, high = places.min(axis=0), places.max(axis=0)
    spacing = float((high - low).max()) / resolution
    # One node more on each side, where everything is outside.
    low = low - spacing
    width, height = (np.ceil((high - low) / spacing).astype(int) + 2).tolist()
    flat = np.empty(width * height, dtype=np.float32)
    for start in range(0, len(flat), _POINTS):
        rows, columns = np.divmod(np.arange(start, min(start + _POINTS, len(flat))), width)
        some = origin + (low + spacing * np.stack([columns, rows], axis=1)) @ axes
        points = field.place(field.normalized(torch.from_numpy(some)))
        with torch.no_grad():
            flat[start : start + len(some)] = field.logits(points).cpu().numpy()
    logits = flat.reshape(height, width)
    at_edge = np.ones(logits.shape, dtype=np.bool_)
    at_edge[1:-1, 1:-1] = False
    loops = closed_contours(closed_values(logits, at_edge))
    polygons = [low + spacing * loop for loop in loops]
    return FieldSlice(origin, axes, low, spacing, logits, polygons)
