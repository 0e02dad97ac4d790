"""Outputs and gradients of small perceptrons, a block of points at a time.

All that the layers keep of a block stays in a core's cache between the forward and the backward
pass. A smooth unit with the argument v - 1 is computed as a = s (v - s / 2), s = clamp(v, 0, 2):
da/dv is s, and a is twice the unit's value. Hence 1 is added to the biases of hidden layers, and
the matrices that follow them are halved, as are their gradients.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from doh3d.kernels.compiled import kernel
from doh3d.kernels.products import (
    ROWS,
    Floats,
    Indices,
    multiply,
    padded,
    scale,
)

# Points that pass through a network together.
BLOCK = 64


class Networks(NamedTuple):
    """The parameters of K perceptrons of L layers as the passes take them.

    Rows and columns are padded with zeros. `make_networks` makes room, `pack` fills it.

    Attributes
    ----------
    widths : (L + 1,) int64
        Of the inputs and of each layer's outputs.
    there, back : (L,) int64
        Where each layer begins in the two parts that follow.
    forward : (K, F) float32
        Each layer's transposed matrix, then its biases.
    backward : (K, G) float32
        Each layer's matrix, and room for biases; gradients have this layout, too.
    zeros : flat float32
        As many as the widest layer has.
    smooth : bool
        Whether units are smooth, and not ReLUs.
    """

    widths: Indices
    there: Indices
    back: Indices
    forward: Floats
    backward: Floats
    zeros: Floats
    smooth: bool


def make_networks(widths: list[int], count: int, smooth: bool) -> Networks:
    """Make room for K networks with layers so wide, the inputs first."""
    pads = [padded(width) for width in widths]
    pairs = list(zip(widths, pads, pads[1:], strict=False))
    forward = [(fan_in + 1) * out for fan_in, _, out in pairs]
    backward = [out * (inner + 1) for _, inner, out in pairs]
    return Networks(
        np.array(widths),
        np.cumsum([0, *forward])[:-1],
        np.cumsum([0, *backward])[:-1],
        np.zeros((count, sum(forward)), np.float32),
        np.zeros((count, sum(backward)), np.float32),
        np.zeros(max(pads), np.float32),
        smooth,
    )


def make_memory(networks: Networks) -> Floats:
    """Make what one thread needs to pass a block through a network and back."""
    pads = [padded(int(width)) for width in networks.widths]
    # Inputs, activations and slopes of hidden layers, and two of their gradients.
    numbers = pads[0] + 2 * sum(pads[1:-1]) + 2 * max(pads[1:])
    return np.zeros(BLOCK * numbers, np.float32)


@kernel
def pack(networks: Networks, weights: Floats, biases: Floats) -> None:
    """Set the parameters of K networks.

    Parameters
    ----------
    weights : (K P,) float32
        Of each layer the K matrices, (fan_out, fan_in), one after the other.
    biases : (K, bias_count) float32
    """
    widths = networks.widths
    at = bias = 0
    for layer in range(len(widths) - 1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        inner, out = padded(fan_in), padded(fan_out)
        factor = np.float32(0.5 if networks.smooth and layer > 0 else 1)
        shift = np.float32(1 if networks.smooth and layer < len(widths) - 2 else 0)
        for k in range(len(biases)):
            there = networks.forward[k, networks.there[layer] :]
            back = networks.backward[k, networks.back[layer] :]
            for j in range(fan_out):
                for i in range(fan_in):
                    value = weights[at + i] * factor
                    there[i * out + j] = value
                    back[j * inner + i] = value
                at += fan_in
                there[fan_in * out + j] = biases[k, bias + j] + shift
        bias += fan_out


@kernel
def unpack(
    networks: Networks, first: int, sums: Floats, count: int, weights: Floats, biases: Floats
) -> None:
    """Write the gradients of some networks, from `first` on, among those of all K = `count`.

    Parameters
    ----------
    sums : (L, G) float32
        As `differentiate` leaves them.
    weights, biases : as those that `pack` takes
    """
    widths = networks.widths
    before = bias = 0
    for layer in range(len(widths) - 1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        inner, out = padded(fan_in), padded(fan_out)
        factor = np.float32(0.5 if networks.smooth and layer > 0 else 1)
        for k in range(len(sums)):
            at = before + (first + k) * fan_in * fan_out
            back = sums[k, networks.back[layer] :]
            for j in range(fan_out):
                for i in range(fan_in):
                    weights[at + i] = back[j * inner + i] * factor
                at += fan_in
                biases[first + k, bias + j] = back[out * inner + j]
        before += count * fan_in * fan_out
        bias += fan_out


@kernel
def evaluate(
    networks: Networks, first: int, features: Floats, outputs: Floats, memory: Floats
) -> None:
    """Write the (K, N, out_dim) outputs of K networks from `first` on for (K, N, in_dim)."""
    for k in range(len(features)):
        for start in range(0, features.shape[1], BLOCK):
            some = slice(start, min(start + BLOCK, features.shape[1]))
            _forward(networks, first + k, features[k, some], outputs[k, some], memory)


@kernel
def differentiate(
    networks: Networks,
    first: int,
    features: Floats,
    values: Floats,
    importance: Floats,
    scales: Floats,
    logistic: bool,
    outputs: Floats,
    errors: Floats,
    sums: Floats,
    memory: Floats,
) -> None:
    """Differentiate the loss of K networks from `first` on.

    Parameters
    ----------
    networks : Networks
    first : int
    features : (K, N, in_dim) float32
    values : (K, N, out_dim) float32
    importance : (K, N, 1) float32, or (0, 0, 0)
        Of each sample in the loss; 1 where there is none.
    scales : (K,) float32
        The loss's derivative by an output is scale times importance times residual.
    logistic : bool
        Whether residuals are probabilities less values, and not outputs less values.
    outputs : (K, N, out_dim) float32
        Written.
    errors : (K, N, 1) float32
        The residuals' lengths are written there where samples have an importance.
    sums : (K, G) float32
        The gradient is written there, see `Networks.backward`.
    memory : flat float32
        See `make_memory`.
    """
    of_outputs = np.empty((BLOCK, outputs.shape[2]), np.float32)
    for k in range(len(features)):
        own = sums[k]
        own[:] = 0
        for start in range(0, features.shape[1], BLOCK):
            some = slice(start, min(start + BLOCK, features.shape[1]))
            last, free = _forward(networks, first + k, features[k, some], outputs[k, some], memory)
            residual = of_outputs[: some.stop - some.start]
            _subtract(outputs[k, some], values[k, some], logistic, residual)
            if len(importance):
                _weigh(residual, importance[k, some], errors[k, some])
            for r in range(residual.shape[0]):
                for o in range(residual.shape[1]):
                    residual[r, o] *= scales[k]
            _backward(networks, first + k, residual, memory, last, free, own)


@kernel
def _subtract(outputs: Floats, values: Floats, logistic: bool, residual: Floats) -> None:
    for r in range(outputs.shape[0]):
        for o in range(outputs.shape[1]):
            value = outputs[r, o]
            if logistic:
                value = np.float32(1) / (np.float32(1) + np.float32(math.exp(-value)))
            residual[r, o] = value - values[r, o]


@kernel
def _weigh(residual: Floats, importance: Floats, errors: Floats) -> None:
    for r in range(residual.shape[0]):
        square = np.float32(0)
        for o in range(residual.shape[1]):
            square += residual[r, o] * residual[r, o]
            residual[r, o] *= importance[r, 0]
        errors[r, 0] = math.sqrt(square)


@kernel
def _forward(
    networks: Networks, k: int, features: Floats, outputs: Floats, memory: Floats
) -> tuple[int, int]:
    """Pass points through network k.

    `memory` keeps the inputs, then each hidden layer's activations and slopes.

    Returns
    -------
    last, free : int
        Where the last hidden layer's activations begin, and what is free.
    """
    widths, weights = networks.widths, networks.forward[k]
    count, fan_in = features.shape
    rows = (count + ROWS - 1) // ROWS * ROWS
    pad = padded(fan_in)
    inputs = memory[: rows * pad].reshape(rows, pad)
    inputs[count:] = 0
    for r in range(count):
        for i in range(fan_in):
            inputs[r, i] = features[r, i]
    at, free = 0, BLOCK * pad
    for layer in range(len(widths) - 2):
        out, start = padded(widths[layer + 1]), networks.there[layer]
        biases = start + widths[layer] * out
        multiply(
            memory, at, pad, 1, weights, start, out, weights, biases, 0, memory, free, out,
            rows, out, widths[layer],
        )  # fmt: skip
        slopes = free + BLOCK * out
        _activate(
            memory[free : free + rows * out], memory[slopes : slopes + rows * out], networks.smooth
        )
        at, pad, free = free, out, slopes + BLOCK * out
    layer = len(widths) - 2
    fan_out, back = widths[layer + 1], networks.back[layer]
    biases = networks.there[layer] + widths[layer] * padded(fan_out)
    _to_outputs(
        memory[at : at + count * pad].reshape(count, pad),
        networks.backward[k, back : back + fan_out * pad].reshape(fan_out, pad),
        weights[biases : biases + fan_out],
        outputs,
    )
    return at, free


@kernel
def _activate(values: Floats, slopes: Floats, smooth: bool) -> None:
    if smooth:
        for n in range(len(values)):
            value = values[n]
            slope = min(max(value, np.float32(0)), np.float32(2))
            slopes[n] = slope
            values[n] = slope * (value - np.float32(0.5) * slope)
    else:
        for n in range(len(values)):
            value = values[n]
            slopes[n] = np.float32(1) if value > 0 else np.float32(0)
            values[n] = max(value, np.float32(0))


@kernel
def _to_outputs(activations: Floats, weights: Floats, biases: Floats, outputs: Floats) -> None:
    """Compute the last layer, whose outputs are too few for a product in tiles."""
    for r in range(outputs.shape[0]):
        for o in range(outputs.shape[1]):
            total = np.float32(0)
            for i in range(activations.shape[1]):
                total += activations[r, i] * weights[o, i]
            outputs[r, o] = total + biases[o]


@kernel
def _backward(
    networks: Networks,
    k: int,
    of_outputs: Floats,
    memory: Floats,
    last: int,
    free: int,
    sums: Floats,
) -> None:
    """Add to `sums` the gradient of the points that `_forward` has passed through network k."""
    widths, weights = networks.widths, networks.backward[k]
    count, fan_out = of_outputs.shape
    rows = (count + ROWS - 1) // ROWS * ROWS
    layer = len(widths) - 2
    pad, start = padded(widths[layer]), networks.back[layer]
    size, slopes = fan_out * pad, last + BLOCK * pad
    biases = start + padded(fan_out) * pad
    _from_outputs(
        of_outputs,
        memory[last : last + count * pad].reshape(count, pad),
        memory[slopes : slopes + count * pad].reshape(count, pad),
        weights[start : start + size].reshape(fan_out, pad),
        memory[free : free + count * pad].reshape(count, pad),
        sums[start : start + size].reshape(fan_out, pad),
        sums[biases : biases + fan_out],
    )
    memory[free + count * pad : free + rows * pad] = 0
    # The gradients of two layers take turns.
    gradient, other = free, free + (len(memory) - free) // 2
    at = last
    for layer in range(len(widths) - 3, -1, -1):
        out, pad, start = padded(widths[layer + 1]), padded(widths[layer]), networks.back[layer]
        at = at - 2 * BLOCK * pad if layer else 0
        biases = start + out * pad
        _add_rows(
            memory[gradient : gradient + count * out].reshape(count, out),
            sums[biases : biases + out],
        )
        multiply(
            memory, gradient, 1, out, memory, at, pad, sums, start, pad, sums, start, pad,
            out, pad, rows,
        )  # fmt: skip
        if layer:
            multiply(
                memory, gradient, out, 1, weights, start, pad, networks.zeros, 0, 0,
                memory, other, pad, rows, pad, widths[layer + 1],
            )  # fmt: skip
            slopes = at + BLOCK * pad
            scale(memory[other : other + rows * pad], memory[slopes : slopes + rows * pad])
            gradient, other = other, gradient


@kernel
def _from_outputs(
    of_outputs: Floats,
    activations: Floats,
    slopes: Floats,
    weights: Floats,
    gradient: Floats,
    of_weights: Floats,
    of_biases: Floats,
) -> None:
    """Pass the gradient back through the last layer and the units before it."""
    for r in range(of_outputs.shape[0]):
        for i in range(activations.shape[1]):
            gradient[r, i] = 0
        for o in range(of_outputs.shape[1]):
            d = of_outputs[r, o]
            of_biases[o] += d
            for i in range(activations.shape[1]):
                of_weights[o, i] += d * activations[r, i]
                gradient[r, i] += d * weights[o, i]
        for i in range(activations.shape[1]):
            gradient[r, i] *= slopes[r, i]


@kernel
def _add_rows(rows: Floats, total: Floats) -> None:
    for r in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            total[j] += rows[r, j]
