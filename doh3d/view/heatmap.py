"""Colours that tell how far a reconstruction lies from its reference, and on which side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.geometry.distance import surface_distance
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.transform import NormalizingTransform

if TYPE_CHECKING:
    import trimesh

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Diverging, symmetric in lightness, told apart with any colour vision: blue is inside.
COLOUR_MAP = "RdBu_r"

# The range holds this share of all distances; specks and spikes would use up the colours.
_SHARE_PERCENT = 98.0

# Below the coding of any shape in this codec.
_LEAST_RANGE_PERCENT = 1e-3


class SignedDistance:
    """Signed distance to one mesh, in percent of its longest side.

    The distance is libigl's, exact; the sign is that of
    :func:`doh3d.geometry.occupancy.inside_test`, so that open and overlapping meshes have one.

    Parameters
    ----------
    reference : trimesh.Trimesh
        As :func:`doh3d.load_mesh` returns it.
    """

    def __init__(self, reference: trimesh.Trimesh) -> None:
        import trimesh

        bounds = np.asarray(reference.bounds, dtype=np.float64)
        self._transform = NormalizingTransform.from_bounds(bounds)
        self._percent = 100 * self._transform.scale / float(np.ptp(bounds, axis=0).max())
        self._inside = inside_test(reference)
        normalized = self._transform.to_normalized(reference.vertices)
        self._distance = surface_distance(
            trimesh.Trimesh(normalized, reference.faces, process=False)
        )

    def __call__(self, points: npt.ArrayLike) -> FloatArray:
        """Measure (N, 3) points, in the mesh's own units; (N,) percent, positive outside."""
        points = np.asarray(points, dtype=np.float64)
        distance = self._distance(self._transform.to_normalized(points)).astype(np.float64)
        signed: FloatArray = np.where(self._inside(points), -distance, distance) * self._percent
        return signed


def colour_range(distances: Sequence[FloatArray]) -> float:
    """Choose how far the colours reach to either side, for several shapes together.

    Parameters
    ----------
    distances : sequence of (N,) float
        In percent.

    Returns
    -------
    float
        A round number of percent, of one digit, that nearly all lie within.
    """
    every = np.abs(np.concatenate(distances))
    wanted = float(np.percentile(every, _SHARE_PERCENT)) if len(every) else 0.0
    wanted = max(wanted, _LEAST_RANGE_PERCENT)
    power = 10.0 ** math.floor(math.log10(wanted))
    # The last allows for the logarithm's rounding.
    steps = [step * power for step in (1, 2, 3, 4, 5, 6, 8, 10, 20)]
    return float(f"{next(step for step in steps if step >= wanted * (1 - 1e-9)):.6g}")


def heat_colours(distances: npt.ArrayLike, range_percent: float) -> FloatArray:
    """Colour signed distances: red outside, white at the surface, blue inside.

    Parameters
    ----------
    distances : (N,) float
        In percent.
    range_percent : float
        Where the colours end, on either side.

    Returns
    -------
    (N, 3) float64
        Red, green and blue in [0, 1].

    Raises
    ------
    ConfigError
        matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
    except ImportError as error:
        raise ConfigError(
            'heatmaps need matplotlib; install it with: pip install "doh3d[view]"'
        ) from error
    share = 0.5 + 0.5 * np.clip(np.asarray(distances, dtype=np.float64) / range_percent, -1, 1)
    return np.asarray(colormaps[COLOUR_MAP](share)[:, :3], dtype=np.float64)
