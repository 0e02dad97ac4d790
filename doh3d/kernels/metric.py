"""Conjugate gradients for the metric of one signal's latent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from doh3d.kernels.compiled import kernel
from doh3d.kernels.hadamard import Tables, project, transpose
from doh3d.kernels.products import COLUMNS, ROWS, Floats, Indices, multiply, padded, scale

# A divisor is taken to be no smaller, so that zero over zero is zero.
_TINY = np.float32(1e-30)


class Metric(NamedTuple):
    """The metric B^T C B, where C = U diag(r) U^T, with memory to apply it in.

    Matrices of weights lie one after the other, their rows padded to a multiple of `ROWS` and their
    columns to one of `COLUMNS` with zeros.

    Attributes
    ----------
    projection : Tables
        Of B, to padded weights.
    groups : (G, 5) int64
        Of successive matrices of one shape: how many; rows; columns; where the first of them
        begins in the weights, and where its bases do.
    bases : flat float32
        Of each matrix U's left basis, the right one, and the right one's transpose. All are square
        and padded to a multiple of `COLUMNS`.
    roots : flat float32
        r, of the weights' layout.
    blocks : (1, B, N) float32
    weights, between : flat float32
    zeros : flat float32
        As many as a matrix has columns.
    """

    projection: Tables
    groups: Indices
    bases: Floats
    roots: Floats
    blocks: Floats
    weights: Floats
    between: Floats
    zeros: Floats


@kernel
def pack(metric: Metric, group: int, roots: Floats, left: Floats, right: Floats) -> None:
    """Set the roots and the bases of a group's matrices.

    Parameters
    ----------
    roots : (L, C, rows, columns) float32
        The group has L C matrices.
    left, right : (L, C, side, side) float32
    """
    _, rows, columns, first, at = metric.groups[group]
    high, wide = padded(rows, ROWS), padded(columns, COLUMNS)
    side = padded(rows, COLUMNS)
    for layer in range(roots.shape[0]):
        for cell in range(roots.shape[1]):
            for j in range(rows):
                for i in range(columns):
                    metric.roots[first + j * wide + i] = roots[layer, cell, j, i]
            first += high * wide
            for j in range(rows):
                for i in range(rows):
                    metric.bases[at + j * side + i] = left[layer, cell, j, i]
            at += side * side
            for j in range(columns):
                for i in range(columns):
                    value = right[layer, cell, j, i]
                    metric.bases[at + j * wide + i] = value
                    metric.bases[at + wide * wide + i * wide + j] = value
            at += 2 * wide * wide


@kernel
def solve(
    metric: Metric,
    direction: Floats,
    wanted: Floats,
    free: Floats,
    damping: Floats,
    rescales: bool,
    iterations: int,
) -> None:
    """Bring `direction` closer to the damped metric's inverse times `wanted`, in place.

    Parameters
    ----------
    metric : Metric
    direction, wanted : (n,) float32
    free : (n,) float32
        1 for numbers that may move, 0 for others, which the metric leaves out.
    damping : (1,) float32
    rescales : bool
        Whether to start from the direction at its best length, and not as it is.
    iterations : int
    """
    product, residual, search = (
        np.empty_like(direction), np.empty_like(direction), np.empty_like(direction)
    )  # fmt: skip
    _apply(metric, direction, free, damping[0], product)
    best = np.float32(1)
    if rescales:
        best = max(_dot(direction, wanted) / max(_dot(direction, product), _TINY), np.float32(0))
    for n in range(len(direction)):
        direction[n] *= best
        residual[n] = wanted[n] - best * product[n]
        search[n] = residual[n]
    squared = _dot(residual, residual)
    for _ in range(iterations):
        _apply(metric, search, free, damping[0], product)
        length = squared / max(_dot(search, product), _TINY)
        for n in range(len(direction)):
            direction[n] += length * search[n]
            residual[n] -= length * product[n]
        before, squared = squared, _dot(residual, residual)
        share = squared / max(before, _TINY)
        for n in range(len(search)):
            search[n] = residual[n] + share * search[n]


@kernel
def _apply(
    metric: Metric, direction: Floats, free: Floats, damping: np.float32, product: Floats
) -> None:
    project(direction.reshape(1, -1), metric.projection, metric.blocks, metric.weights)
    _curve(metric)
    transpose(metric.weights, metric.projection, metric.blocks, product.reshape(1, -1))
    for n in range(len(product)):
        product[n] = product[n] * free[n] + damping * direction[n]


@kernel
def _curve(metric: Metric) -> None:
    """Apply C to the weights."""
    weights, between, bases = metric.weights, metric.between, metric.bases
    for group in range(len(metric.groups)):
        many, rows, columns, w, left = metric.groups[group]
        high, wide, side = padded(rows, ROWS), padded(columns, COLUMNS), padded(rows, COLUMNS)
        for _ in range(many):
            right = left + side * side
            turned = right + wide * wide
            multiply(
                bases, left, 1, side, weights, w, wide, metric.zeros, 0, 0, between, w, wide,
                high, wide, rows,
            )  # fmt: skip
            multiply(
                between, w, wide, 1, bases, right, wide, metric.zeros, 0, 0, weights, w, wide,
                high, wide, columns,
            )  # fmt: skip
            scale(weights[w : w + high * wide], metric.roots[w : w + high * wide])
            multiply(
                bases, left, side, 1, weights, w, wide, metric.zeros, 0, 0, between, w, wide,
                high, wide, rows,
            )  # fmt: skip
            multiply(
                between, w, wide, 1, bases, turned, wide, metric.zeros, 0, 0, weights, w, wide,
                high, wide, columns,
            )  # fmt: skip
            w += high * wide
            left = turned + wide * wide


@kernel
def _dot(a: Floats, b: Floats) -> np.float32:
    total = np.float32(0)
    for n in range(len(a)):
        total += a[n] * b[n]
    return total
