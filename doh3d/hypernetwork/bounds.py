"""Range analysis: intervals that contain the target network's logit over whole boxes.

Affine arithmetic (de Figueiredo, Stolfi 2004), as used on neural fields by Sharp and Jacobson,
"Spelunking the deep", SIGGRAPH 2022: each number is carried as
``c + sum_k g_k eps_k + e eps`` with shared symbols eps_k in [-1, 1], one for each axis of the box
and each sine of the encoding, and one error term. Linear layers are exact in it; nonlinear
functions are replaced by a line and its largest deviation.
"""

from __future__ import annotations

import math

import torch

from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights

# Beyond this argument radius the line approximates a sine worse than the range [-1, 1] does.
_SINE_LINEAR_RADIUS = 1.2

# Float32 rounding, in the bounds and in the evaluation that they speak of, is far below this
# share of the magnitudes met.
_ROUNDING_MARGIN = 1e-5


def logit_bounds(
    architecture: Architecture,
    weights: TargetWeights,
    centres: torch.Tensor,
    half_sides: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bound the logit over axis-aligned boxes.

    Parameters
    ----------
    centres : (B, 3) float32
        Box centres, normalised coordinates.
    half_sides : (3,) float32
        Half the boxes' sides.

    Returns
    -------
    low, high : (B,) float32
        Every point of box b has a logit in [low[b], high[b]].
    """
    centre, slopes, error = _encode(architecture, centres, half_sides)
    last = len(weights.matrices) - 1
    for layer, (matrix, bias) in enumerate(zip(weights.matrices, weights.biases, strict=True)):
        centre = torch.addmm(bias, centre, matrix.T)
        slopes = slopes @ matrix.T
        error = error @ matrix.abs().T
        if layer < last:
            activate = _relu if architecture.activation == "relu" else _scaled_sine
            centre, slopes, error = activate(architecture, centre, slopes, error)
    radius = slopes.abs().sum(dim=0) + error
    radius = radius + _ROUNDING_MARGIN * (centre.abs() + radius + 1.0)
    return (centre - radius).squeeze(1), (centre + radius).squeeze(1)


# Below, an affine form of B boxes and m numbers is (centre (B, m), slopes (K, B, m) for K shared
# symbols, error (B, m) >= 0).
_Form = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _encode(architecture: Architecture, centres: torch.Tensor, half_sides: torch.Tensor) -> _Form:
    boxes, dims = centres.shape
    axes = torch.diag(half_sides).unsqueeze(1).expand(dims, boxes, dims)
    centre, slopes, errors = [centres], [axes], []
    for octave in range(architecture.octaves):
        frequency = math.pi * 2**octave
        for phase in (0.0, math.pi / 2):
            # cos(a) = sin(a + pi / 2)
            angle = centres * frequency + phase
            c, g, e = _sine(angle, axes * frequency, torch.zeros_like(centres))
            centre.append(c)
            slopes.append(g)
            errors.append(e)
    centre_features, slope_features = torch.cat(centre, dim=1), torch.cat(slopes, dim=2)
    no_error = torch.zeros_like(centre_features)
    if not errors:
        return centre_features, slope_features, no_error
    # Each sine's deviation is a symbol of its own: summed as plain errors they would grow with
    # |W| in every layer, and most boxes would stay undecided.
    error_features = torch.cat(errors, dim=1)
    own = torch.diag_embed(error_features).transpose(0, 1)
    own = torch.nn.functional.pad(own, (dims, 0))
    return centre_features, torch.cat([slope_features, own]), no_error


def _relu(
    architecture: Architecture, centre: torch.Tensor, slopes: torch.Tensor, error: torch.Tensor
) -> _Form:
    radius = slopes.abs().sum(dim=0) + error
    low, high = centre - radius, centre + radius
    # Where the sign is open, max(0, x) lies between s x and s (x - low), s = high / (high - low).
    slope = (high / (high - low).clamp_min(1e-30)).clamp(0.0, 1.0)
    slope = torch.where(low >= 0, 1.0, torch.where(high <= 0, 0.0, slope))
    gap = torch.where((low < 0) & (high > 0), -slope * low / 2, 0.0)
    return slope * centre + gap, slope * slopes, slope * error + gap


def _scaled_sine(
    architecture: Architecture, centre: torch.Tensor, slopes: torch.Tensor, error: torch.Tensor
) -> _Form:
    omega = float(architecture.omega)
    return _sine(omega * centre, omega * slopes, omega * error)


def _sine(centre: torch.Tensor, slopes: torch.Tensor, error: torch.Tensor) -> _Form:
    radius = slopes.abs().sum(dim=0) + error
    # |sin(a + t) - sin(a) - t cos(a)| <= t^2 / 2.
    linear = radius < _SINE_LINEAR_RADIUS
    slope = torch.where(linear, torch.cos(centre), 0.0)
    return (
        torch.where(linear, torch.sin(centre), 0.0),
        slope * slopes,
        torch.where(linear, slope.abs() * error + radius**2 / 2, 1.0),
    )
