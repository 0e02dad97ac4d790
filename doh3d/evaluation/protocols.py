"""The points on which two shapes' volumes are compared: one protocol for each purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.geometry.stratified import CHUNK_POINTS, cell_points

FloatArray: TypeAlias = npt.NDArray[np.float64]
Protocol: TypeAlias = Literal["bbox", "occnet", "grid"]

DEFAULT_BBOX_POINTS = 2**21
DEFAULT_OCCNET_POINTS = 100_000
DEFAULT_GRID = 128

# Most points: hours of work already, and far more than any decimal of IoU needs.
_MOST_POINTS = 2**30
_MOST_GRID = 2**10

# Share of the reference's longest side by which the box of `bbox` and `grid` is grown on
# each side.
BOX_MARGIN = 0.025
# The cube of Occupancy Networks around a shape whose longest side is 1: side 1 + padding.
OCCNET_PADDING = 0.1


def iou_points(
    protocol: Protocol,
    reference_bounds: npt.ArrayLike,
    other_bounds: npt.ArrayLike | None,
    *,
    points: int | None = None,
    grid: int | None = None,
    seed: int = 0,
) -> Iterator[FloatArray]:
    """Yield the points on which a protocol compares two shapes, in chunks.

    `bbox`
        Stratified: one uniform point in each cell of an n x n x n division of the box that
        encloses both shapes, grown on each side by 2.5% of the reference's longest side.
        What floats far from the shape is therefore seen. n is 128 for 2^21 points, and the
        rounded cube root of `points` otherwise: n^3 points are evaluated.
    `occnet`
        Uniform in the cube of side 1.1 around the reference scaled to longest side 1 and
        centred, as Occupancy Networks evaluate (Mescheder et al., CVPR 2019, padding 0.1).
        What lies outside that cube is not seen.
    `grid`
        The cell centres of an N x N x N division of the box of `bbox`. No randomness.

    Parameters
    ----------
    protocol : {"bbox", "occnet", "grid"}
    reference_bounds : (2, 3) float
        Lowest and highest corner of the reference, any unit; the longest side is > 0.
    other_bounds : (2, 3) float or None
        The same for the other shape; None where it is empty.
    points : int, optional
        Number of points: 2^21 for `bbox`, 100,000 for `occnet` unless given. Not for `grid`.
    grid : int, optional
        N of `grid`, 128 unless given. Not for the others.
    seed : int
        >= 0; the same points for the same seed, however they are chunked.

    Returns
    -------
    iterator of (M, 3) float64
        In the unit of the bounds, M <= 2^17.

    Raises
    ------
    ConfigError
        Unknown protocol; a count that is not the protocol's, below 1, or of more than 2^30 points;
        a negative seed; bounds that are not finite, not ordered or of no extent.
    """
    count = _division(protocol, points, grid)
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be 0 or more")
    reference = _checked_bounds("reference_bounds", reference_bounds)
    longest = _longest_side(reference)
    if protocol == "occnet":
        centre = reference.mean(axis=0)
        return _uniform_points(centre, longest * (1 + OCCNET_PADDING), count, seed)
    low, high = reference
    if other_bounds is not None:
        other = _checked_bounds("other_bounds", other_bounds)
        low, high = np.minimum(low, other[0]), np.maximum(high, other[1])
    margin = BOX_MARGIN * longest
    return cell_points(low - margin, high + margin, count, seed if protocol == "bbox" else None)


def _division(protocol: Protocol, points: int | None, grid: int | None) -> int:
    """Check the counts; return the points of `occnet`, the cells along a side of the others."""
    if protocol not in get_args(Protocol):
        raise ConfigError(f"protocol is {protocol!r}; it must be one of bbox, occnet, grid")
    if protocol == "grid":
        name, count = "grid", DEFAULT_GRID if grid is None else grid
        unused, given = "points", points
    else:
        default = DEFAULT_BBOX_POINTS if protocol == "bbox" else DEFAULT_OCCNET_POINTS
        name, count = "points", default if points is None else points
        unused, given = "grid", grid
    if given is not None:
        raise ConfigError(f"{unused} is {given}; protocol {protocol} takes {name}, not {unused}")
    most = _MOST_GRID if protocol == "grid" else _MOST_POINTS
    if not 1 <= count <= most:
        raise ConfigError(f"{name} is {count}; it must be 1 to {most}")
    return max(1, round(count ** (1 / 3))) if protocol == "bbox" else count


def _checked_bounds(name: str, bounds: npt.ArrayLike) -> FloatArray:
    corners = np.asarray(bounds, dtype=np.float64)
    if corners.shape != (2, 3) or not np.isfinite(corners).all() or (corners[0] > corners[1]).any():
        raise ConfigError(
            f"{name} is {corners.tolist()}; it must be a lowest and a highest corner, (2, 3)"
        )
    if name == "reference_bounds" and not _longest_side(corners) > 0:
        raise ConfigError(f"{name} is {corners.tolist()}; its longest side must be more than 0")
    return corners


def _longest_side(bounds: FloatArray) -> float:
    return float((bounds[1] - bounds[0]).max())


def _uniform_points(centre: FloatArray, side: float, count: int, seed: int) -> Iterator[FloatArray]:
    rng = np.random.default_rng(seed)
    for start in range(0, count, CHUNK_POINTS):
        yield centre + side * (rng.random((min(CHUNK_POINTS, count - start), 3)) - 0.5)
