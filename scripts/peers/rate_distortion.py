"""How many bytes one codec saves on another, and how much better it is at equal size.

Of shapes, rate is a file's size in bytes. Quality is ``-log10(1 - IoU)``, since IoU itself
saturates: 0.9 is quality 1, 0.99 quality 2, and the step from one to the other counts as much as
the next. Of images, rate is bits a pixel and quality PSNR in dB, as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import RatedShape, RatePoint, pareto_front

FloatArray = npt.NDArray[np.float64]

# Piecewise cubic Hermite interpolation goes through two points already, but a straight line
# between two says little about a codec.
_FEWEST_POINTS = 3


@dataclass(frozen=True)
class BdRate:
    """Bjontegaard delta rate.

    Attributes
    ----------
    percent : float or None
        How many more bytes the tested codec needs at equal quality, on average over the overlap:
        -50 is half the bytes. None where it cannot be told.
    low, high : float or None
        The overlap, in IoU: the qualities that both curves reach. None where they reach none.
    reason : str
        Why percent is None, otherwise empty.
    """

    percent: float | None
    low: float | None
    high: float | None
    reason: str = ""


def bd_rate(anchor: Iterable[RatedShape], test: Iterable[RatedShape]) -> BdRate:
    """Average difference in bytes between two codecs at equal IoU.

    The method of Bjontegaard (VCEG-M33, 2001) with piecewise cubic Hermite interpolation of log
    bytes over ``-log10(1 - IoU)``, by the `bjontegaard` package. Only Pareto points count, and
    of those only points of IoU strictly between 0 and 1, whose quality is finite and above 0.

    Parameters
    ----------
    anchor, test : iterable of RatePoint, or of anything with `bytes` and `iou`
        In any order.

    Returns
    -------
    BdRate
        Negative where `test` needs fewer bytes. Without a percentage, but with a reason, where
        a curve has fewer than three Pareto points or the curves do not overlap.

    Raises
    ------
    ConfigError
        The bjontegaard package is not installed.
    """
    package = _bjontegaard()
    anchor_bytes, anchor_quality = _curve(anchor)
    test_bytes, test_quality = _curve(test)
    for name, curve in (("anchor", anchor_bytes), ("test", test_bytes)):
        if len(curve) < _FEWEST_POINTS:
            count = f"{len(curve)} Pareto point{'' if len(curve) == 1 else 's'}"
            reason = f"the {name} has {count} with an IoU between 0 and 1; {_FEWEST_POINTS} needed"
            return BdRate(None, None, None, reason)
    low = max(anchor_quality[0], test_quality[0])
    high = min(anchor_quality[-1], test_quality[-1])
    if not low < high:
        spans = [
            f"IoU {_iou(quality[0]):.4f} to {_iou(quality[-1]):.4f}"
            for quality in (anchor_quality, test_quality)
        ]
        reason = f"the curves do not overlap: the anchor has {spans[0]}, the test {spans[1]}"
        return BdRate(None, None, None, reason)
    percent = package.bd_rate(
        anchor_bytes,
        anchor_quality,
        test_bytes,
        test_quality,
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    return BdRate(float(percent), _iou(low), _iou(high))


def error_point(size: int, error: float) -> RatePoint:
    """Let an error stand in place of 1 - IoU, for `bd_rate` by another measure than IoU.

    Quality is then -log10(error): each halving of a distance counts as much as the next.

    Parameters
    ----------
    size : int
        Of the file, in bytes.
    error : float
        Above 0; 1 or more counts as nothing kept.

    Raises
    ------
    ConfigError
        The error is not above 0.
    """
    if not error > 0:
        raise ConfigError(f"error is {error}; it must be above 0")
    return RatePoint(size, 1 - min(error, 1.0))


@dataclass(frozen=True)
class PsnrPoint:
    """An image, or the mean of several, at one rate.

    Attributes
    ----------
    bpp : float
        Size of the file on disk in bits a pixel, above 0.
    psnr_db : float
        Finite.
    """

    bpp: float
    psnr_db: float

    def __post_init__(self) -> None:
        """Refuse what is no measurement."""
        if not 0 < self.bpp < math.inf:
            raise ConfigError(f"bpp is {self.bpp}; it must be above 0")
        if not math.isfinite(self.psnr_db):
            raise ConfigError(f"psnr_db is {self.psnr_db}; it must be finite")


@dataclass(frozen=True)
class BdPsnr:
    """Bjontegaard deltas of two curves of PSNR.

    Attributes
    ----------
    decibels : float or None
        How much better the tested codec is at equal rate, on average over the rates that both
        curves have. None where they have none in common.
    low_bpp, high_bpp : float
        Those rates.
    rate_percent : float or None
        How many more bits it needs at equal PSNR, on average over the qualities that both curves
        reach: -50 is half. None where they reach none in common.
    low_db, high_db : float
        Those qualities.
    """

    decibels: float | None
    low_bpp: float
    high_bpp: float
    rate_percent: float | None
    low_db: float
    high_db: float


def bd_psnr(anchor: Iterable[PsnrPoint], test: Iterable[PsnrPoint]) -> BdPsnr:
    """Average differences in PSNR at equal rate, and in rate at equal PSNR.

    The method of `bd_rate`, over the logarithm of bits a pixel.

    Parameters
    ----------
    anchor, test : iterable of PsnrPoint
        In any order; only Pareto points count.

    Raises
    ------
    ConfigError
        A curve has fewer than three Pareto points, or the bjontegaard package is missing.
    """
    package = _bjontegaard()
    curves = []
    for name, points in (("anchor", anchor), ("test", test)):
        front = _psnr_front(points)
        if len(front) < _FEWEST_POINTS:
            raise ConfigError(f"the {name} has {len(front)} Pareto points; {_FEWEST_POINTS} needed")
        curves += [
            np.array([point.bpp for point in front]),
            np.array([point.psnr_db for point in front]),
        ]
    options = {"method": "pchip", "require_matching_points": False, "min_overlap": 0}
    low_bpp, high_bpp = _overlap(curves[0], curves[2])
    low_db, high_db = _overlap(curves[1], curves[3])
    return BdPsnr(
        decibels=float(package.bd_psnr(*curves, **options)) if low_bpp < high_bpp else None,
        low_bpp=low_bpp,
        high_bpp=high_bpp,
        rate_percent=float(package.bd_rate(*curves, **options)) if low_db < high_db else None,
        low_db=low_db,
        high_db=high_db,
    )


def _psnr_front(points: Iterable[PsnrPoint]) -> list[PsnrPoint]:
    """Keep the points that no other equals or beats in both, rate and PSNR increasing."""
    front: list[PsnrPoint] = []
    for point in sorted(points, key=lambda point: (point.bpp, -point.psnr_db)):
        if not front or point.psnr_db > front[-1].psnr_db:
            front.append(point)
    return front


def _overlap(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """Find what two increasing curves both span; where nothing, the first number is not below."""
    return float(max(first[0], second[0])), float(min(first[-1], second[-1]))


def interpolate_bytes(points: Iterable[RatedShape], iou: float) -> float | None:
    """Bytes at which a curve reaches an IoU, interpolated as `bd_rate` does.

    Parameters
    ----------
    points : iterable of RatePoint, or of anything with `bytes` and `iou`
    iou : float
        In (0, 1).

    Returns
    -------
    float or None
        None outside the curve, or where it has fewer than two Pareto points.
    """
    from scipy.interpolate import PchipInterpolator

    if not 0 < iou < 1:
        raise ConfigError(f"iou is {iou}; it must be between 0 and 1")
    size, quality = _curve(points)
    wanted = -math.log10(1 - iou)
    if len(size) < 2 or not quality[0] <= wanted <= quality[-1]:
        return None
    return float(10 ** PchipInterpolator(quality, np.log10(size))(wanted))


def _curve(points: Iterable[RatedShape]) -> tuple[FloatArray, FloatArray]:
    """Bytes and quality of the Pareto points, both strictly increasing."""
    front: Sequence[RatedShape] = pareto_front(point for point in points if 0 < point.iou < 1)
    size = np.array([point.bytes for point in front], dtype=np.float64)
    quality = np.array([-math.log10(1 - point.iou) for point in front], dtype=np.float64)
    # IoUs that differ in the last bit may have one quality; the interpolation wants it to grow.
    grows = np.diff(quality, prepend=0.0) > 0
    return size[grows], quality[grows]


def _iou(quality: float) -> float:
    return float(1 - 10**-quality)


def _bjontegaard() -> Any:
    try:
        import bjontegaard
    except ImportError as error:
        raise ConfigError(
            'bjontegaard is not installed; install it with: pip install "doh3d[peers]"'
        ) from error
    return bjontegaard
