"""Lines between which a nonlinear function stays on an interval.

They turn the target network into a linear map whose error is known, which is what
`doh3d.hypernetwork.cell_bounds` adds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import smooth_relu

# Beyond this radius, in radians, the line approximates a sine worse than the range [-1, 1] does.
_SINE_LINEAR_RADIUS = 1.5

# Beyond this one, a parabola does.
_SINE_BENT_RADIUS = 1.6

# No lattice node is farther than this from where exact arithmetic would place it in its box:
# coordinates are at most about 1, and four roundings lie between the two.
_POINT_ERROR = 2.0**-22

# Of float32 angles, by their size, and of their sines: torch's are within one unit in the last
# place.
_SINE_ERROR = 2.0**-22


@dataclass(frozen=True)
class Lines:
    """Two parallel lines: ``f(x)`` is within ``gap`` of ``slope x + middle``.

    But for rounding: a few units of 1 plus the function's largest value, for which bounds allow.

    Attributes
    ----------
    slope, middle, gap : (B, m) float32
        For each box and neuron.
    """

    slope: torch.Tensor
    middle: torch.Tensor
    gap: torch.Tensor

    def of_boxes(self, boxes: torch.Tensor) -> Lines:
        """Keep the lines of some of the boxes, by their (M,) numbers."""
        return Lines(self.slope[boxes], self.middle[boxes], self.gap[boxes])


def relu_lines(centre: torch.Tensor, radius: torch.Tensor) -> Lines:
    """Lines around max(0, x) on [centre - radius, centre + radius], each (B, m), radius > 0.

    The upper one is the chord.
    """
    # From the highest argument, which may be small beside the radius, and then errs little.
    slope = (centre + radius).clamp_min_(0.0).div_(radius).mul_(0.5).clamp_max_(1.0)
    gap = (radius - centre).clamp_min_(0.0).mul_(slope).mul_(0.5)
    return Lines(slope, gap, gap)


def smooth_lines(centre: torch.Tensor, radius: torch.Tensor) -> Lines:
    """Lines around a smooth ReLU on [centre - radius, centre + radius], each (B, m), radius > 0.

    It is convex. The upper one is the chord, and the lower one the tangent of the chord's slope s,
    s x + s (1 - s).
    """
    lowest = centre - radius
    left, right = smooth_relu(lowest.clone()), smooth_relu(centre + radius)
    slope = right.sub_(left).div_(radius).mul_(0.5).clamp_(0.0, 1.0)
    above = left.addcmul_(slope, lowest, value=-1.0)
    below = torch.addcmul(slope, slope, slope, value=-1.0)
    gap = above.sub_(below).mul_(0.5)
    return Lines(slope, below.add_(gap), gap)


def sine_lines(omega: int, centre: torch.Tensor, radius: torch.Tensor) -> Lines:
    """Lines around sin(omega x) on [centre - radius, centre + radius], each (B, m).

    With angle a and deviation u, |u| <= r, sin(a + u) = sin a cos u + cos a sin u, where
    1 - r^2 / 2 <= cos u <= 1 and u is within r^3 / 6 of sin u.
    """
    angle, reach = omega * centre, omega * radius
    sine, cosine = torch.sin(angle), torch.cos(angle)
    linear = (reach < _SINE_LINEAR_RADIUS).to(centre.dtype)
    bend, twist = (reach**2 / 4) * linear, (reach**3 / 6) * linear
    gap = sine.abs() * bend + cosine.abs() * twist + (1.0 - linear)
    gap = gap + _SINE_ERROR * (angle.abs() + reach + 2.0)
    slope = omega * cosine * linear
    return Lines(slope, sine * (linear - bend) - slope * centre, gap)


@dataclass(frozen=True)
class Bends:
    """Functions of one axis: ``centre + slope t + bend (2 t^2 - 1) +- error``, t in [-1, 1].

    Attributes
    ----------
    centre, slope, bend, error : (n, m) float32
    """

    centre: torch.Tensor
    slope: torch.Tensor
    bend: torch.Tensor
    error: torch.Tensor


@dataclass(frozen=True)
class CellAxis:
    """Where a network's coordinate of an axis is -1 and 1: at ``centre -+ half_side``."""

    centre: float
    half_side: float


def bent_encoding(
    architecture: Architecture,
    centres: torch.Tensor,
    half_side: float,
    cell: CellAxis,
) -> Bends:
    """Bound one axis' part of the positional encoding over intervals of equal length.

    What a sine lacks to its line is mostly a parabola, and the parabolas of all features of an
    axis add up with their signs.

    Parameters
    ----------
    architecture : Architecture
    centres : (n,) float32
        Where the intervals have their centres.
    half_side : float
        Half their length; t in [-1, 1] runs over it.
    cell : CellAxis
        Of the cell whose network it is.

    Returns
    -------
    Bends
        Of x, and for each octave of sine and cosine, (n, 1 + 2 L).
    """
    centres = (centres - cell.centre) / cell.half_side
    half_side = half_side / cell.half_side
    # Coordinates, of other cells' points too, are at most this. A subtraction and a division more
    # are rounded, unless they change nothing.
    reach = (1.0 + abs(cell.centre)) / cell.half_side
    point_error = (1 if cell == CellAxis(0.0, 1.0) else 4) * _POINT_ERROR / cell.half_side
    zero = torch.zeros_like(centres)
    columns = [(centres, zero + half_side, zero, zero + point_error)]
    for octave in range(architecture.octaves):
        frequency = math.pi * 2**octave
        r = half_side * frequency
        angle = centres * frequency
        sine, cosine = torch.sin(angle), torch.cos(angle)
        rounding = point_error * frequency + _SINE_ERROR * (2.0 + frequency * reach + r)
        for value, derivative in ((sine, cosine), (cosine, -sine)):
            if r > _SINE_BENT_RADIUS:
                columns.append((zero, zero, zero, zero + (1.0 + rounding)))
                continue
            # At u = r t, value cos u + derivative sin u, where cos u is 1 - u^2 / 2 and 0 to
            # u^4 / 24 more, and sin u is u - u^3 / 6 and 0 to u^5 / 120 more, away from 0; with
            # t^3 = (3 t + T_3(t)) / 4, and T_3 a Chebyshev polynomial, in [-1, 1].
            even, odd = r**4 / 48, r**3 / 24 + r**5 / 120
            columns.append(
                (
                    value * (1.0 - r**2 / 4 + even),
                    derivative * (r - r**3 / 8),
                    value * (-(r**2) / 4),
                    value.abs() * even + derivative.abs() * odd + rounding,
                )
            )
    centre, slope, bend, error = (
        torch.stack(column, dim=1) for column in zip(*columns, strict=True)
    )
    return Bends(centre, slope, bend, error)


def mirrored_encoding(
    architecture: Architecture,
    centres: torch.Tensor,
    half_side: float,
    cell: CellAxis,
) -> Bends:
    """Bound the encoding of |x| over intervals of equal length; otherwise as `bent_encoding`."""
    bends = bent_encoding(architecture, centres.abs(), half_side, cell)
    bends.slope.mul_(torch.where(centres < 0, -1.0, 1.0).unsqueeze(1))
    # On an interval around 0, two at the most, |x| is no smooth function of t.
    around = centres.abs() < half_side + _POINT_ERROR
    for index in around.nonzero().flatten().tolist():
        half = 0.5 * (float(centres[index].abs()) + half_side + _POINT_ERROR)
        whole = bent_encoding(architecture, centres.new_full((1,), half), half, cell)
        bends.centre[index] = whole.centre[0]
        bends.error[index] = whole.error[0] + whole.slope[0].abs() + whole.bend[0].abs()
        bends.slope[index] = bends.bend[index] = 0.0
    return bends
