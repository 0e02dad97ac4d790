"""Lines between which a nonlinear function stays on an interval.

They turn the target network into a linear map whose error is known, which is what
`doh3d.hypernetwork.bounds` adds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from doh3d.hypernetwork.architecture import Architecture

# Beyond this radius, in radians, the line approximates a sine worse than the range [-1, 1] does.
_SINE_LINEAR_RADIUS = 1.5

# No lattice node is farther than this from where exact arithmetic would place it in its box:
# coordinates are at most about 1, and four roundings lie between the two.
_POINT_ERROR = 2.0**-22

# Of float32 angles, by their size, and of their sines: torch's are within one unit in the last
# place.
_SINE_ERROR = 2.0**-22


@dataclass(frozen=True)
class Lines:
    """``lower_slope x + lower_offset <= f(x) <= upper_slope x + upper_offset``.

    Attributes
    ----------
    lower_slope, lower_offset, upper_slope, upper_offset : (B, m) float32
        For each box and neuron. `lower_offset` is None where it is zero throughout.
    """

    lower_slope: torch.Tensor
    lower_offset: torch.Tensor | None
    upper_slope: torch.Tensor
    upper_offset: torch.Tensor


def relu_lines(centre: torch.Tensor, radius: torch.Tensor) -> Lines:
    """Lines around max(0, x) on [centre - radius, centre + radius], each (B, m), radius > 0.

    The upper one is the chord. The lower is 0 or x, whichever leaves the smaller area (Zhang et
    al., "Efficient neural network robustness certification", NeurIPS 2018).
    """
    # Where the sign is known, the clamp makes the chord's slope 0 or 1.
    upper_slope = (centre / radius).mul_(0.5).add_(0.5).clamp_(0.0, 1.0)
    upper_offset = (radius - centre).clamp_min_(0.0).mul_(upper_slope)
    return Lines(upper_slope.round(), None, upper_slope, upper_offset)


def sine_lines(omega: int, centre: torch.Tensor, radius: torch.Tensor) -> Lines:
    """Parallel lines around sin(omega x) on [centre - radius, centre + radius], each (B, m).

    With angle a and deviation u, |u| <= r, sin(a + u) = sin a cos u + cos a sin u, where
    1 - r^2 / 2 <= cos u <= 1 and u is within r^3 / 6 of sin u.
    """
    angle, reach = omega * centre, omega * radius
    sine, cosine = torch.sin(angle), torch.cos(angle)
    linear = (reach < _SINE_LINEAR_RADIUS).to(centre.dtype)
    bend, twist = (reach**2 / 4) * linear, (reach**3 / 6) * linear
    error = sine.abs() * bend + cosine.abs() * twist + (1.0 - linear)
    error = error + _SINE_ERROR * (angle.abs() + reach + 2.0)
    slope = omega * cosine * linear
    middle = sine * (linear - bend) - slope * centre
    return Lines(slope, middle - error, slope, middle + error)


def linear_encoding(
    architecture: Architecture, centres: torch.Tensor, half_side: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Linearise one axis' part of the positional encoding: ``centre + slope t +- error``.

    Parameters
    ----------
    architecture : Architecture
    centres : (n,) float32
        Where intervals of the axis have their centres.
    half_side : float
        Half their length; t in [-1, 1] runs over it.

    Returns
    -------
    centre, slope, error : (n, 1 + 2 L) float32
        x, and for each octave sine and cosine. Bounds as in `sine_lines`.
    """
    centre, slope = [centres], [torch.full_like(centres, half_side)]
    error = [torch.full_like(centres, _POINT_ERROR)]
    for octave in range(architecture.octaves):
        frequency = math.pi * 2**octave
        reach = half_side * frequency
        linear = reach < _SINE_LINEAR_RADIUS
        bend, twist = (reach**2 / 4, reach**3 / 6) if linear else (1.0, 0.0)
        rounding = _POINT_ERROR * frequency + _SINE_ERROR * (2.0 + frequency + reach)
        angle = centres * frequency
        sine, cosine = torch.sin(angle), torch.cos(angle)
        for value, derivative in ((sine, cosine), (cosine, -sine)):
            centre.append(value * (1.0 - bend))
            slope.append(derivative * (reach if linear else 0.0))
            deviation = value.abs() * bend + derivative.abs() * twist if linear else 1.0
            error.append(torch.zeros_like(angle) + deviation + rounding)
    return torch.stack(centre, dim=1), torch.stack(slope, dim=1), torch.stack(error, dim=1)
