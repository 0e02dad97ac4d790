"""Walsh-Hadamard transforms, and latents' way to weights and back by them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from doh3d.kernels.compiled import kernel
from doh3d.kernels.products import ROWS, Floats, Indices, multiply

# Order of the part of a transform that is a product with a matrix: butterflies of numbers so close
# together would not fill a vector.
_NEAR = 16

# Entry (i, j) is -1 to the number of ones that i and j have in common. A row of zeros follows.
_NEAR_MATRIX = np.array(
    [(-1) ** (i & j).bit_count() for i in range(_NEAR) for j in range(_NEAR)] + [0] * _NEAR,
    np.float32,
)


class Tables(NamedTuple):
    """What a projection of S latents by B blocks of N places each is made of.

    Attributes
    ----------
    input_signs : (B, n) float32
    gather : (P,) int64
        Which place of all blocks becomes a weight.
    signs : (P,) float32
    inverse : (S B N,) int64
        Which weight a place has become.
    inverse_signs : (S B N,) float32
        0 for a place that has become none.
    near : flat float32
        For `transform`.
    """

    input_signs: Floats
    gather: Indices
    signs: Floats
    inverse: Indices
    inverse_signs: Floats
    near: Floats = _NEAR_MATRIX


@kernel
def project(latents: Floats, tables: Tables, blocks: Floats, weights: Floats) -> None:
    """Write the (P,) weights of (S, n) latents; (S, B, N) `blocks` are overwritten."""
    count = latents.shape[1]
    for s in range(len(blocks)):
        latent = latents[s]
        for row in range(blocks.shape[1]):
            signs, block = tables.input_signs[row], blocks[s, row]
            for n in range(count):
                block[n] = latent[n] * signs[n]
            block[count:] = 0
    transform(blocks.reshape(-1, blocks.shape[2]), tables.near)
    _pick(blocks.reshape(-1), tables.gather, tables.signs, weights)


@kernel
def transpose(weights: Floats, tables: Tables, blocks: Floats, latents: Floats) -> None:
    """Write the (S, n) products of (P,) weights and the transposed projection."""
    _pick(weights, tables.inverse, tables.inverse_signs, blocks.reshape(-1))
    transform(blocks.reshape(-1, blocks.shape[2]), tables.near)
    latents[:] = 0
    for s in range(len(blocks)):
        latent = latents[s]
        for row in range(blocks.shape[1]):
            signs, block = tables.input_signs[row], blocks[s, row]
            for n in range(len(latent)):
                latent[n] += block[n] * signs[n]


@kernel
def _pick(values: Floats, places: Indices, signs: Floats, out: Floats) -> None:
    for p in range(len(out)):
        out[p] = values[places[p]] * signs[p]


@kernel
def transform(rows: Floats, near: Floats) -> None:
    """Transform each row of (B, N) float32 in place; natural order, unnormalised.

    `near` is `Tables.near`.
    """
    size = rows.shape[1]
    half = 1
    if size >= _NEAR * ROWS:
        flat = rows.reshape(-1)
        count = len(flat) // _NEAR
        # A tile reads its rows whole before it writes them, so that they can be where they were.
        multiply(
            flat, 0, _NEAR, 1, near, 0, _NEAR, near, _NEAR * _NEAR, 0, flat, 0, _NEAR,
            count, _NEAR, _NEAR,
        )  # fmt: skip
        half = _NEAR
    while half < size:
        # Two stages at a time where two are left: half the passes over memory.
        both = 4 * half <= size
        step = 4 * half if both else 2 * half
        for row in range(len(rows)):
            for first in range(0, size, step):
                some = rows[row, first : first + step]
                if both:
                    _two_stages(
                        some[:half],
                        some[half : 2 * half],
                        some[2 * half : 3 * half],
                        some[3 * half :],
                    )
                else:
                    _stage(some[:half], some[half:])
        half = step


@kernel
def _stage(a: Floats, b: Floats) -> None:
    for n in range(len(a)):
        x, y = a[n], b[n]
        a[n] = x + y
        b[n] = x - y


@kernel
def _two_stages(a: Floats, b: Floats, c: Floats, d: Floats) -> None:
    for n in range(len(a)):
        x, y, z, w = a[n] + b[n], a[n] - b[n], c[n] + d[n], c[n] - d[n]
        a[n] = x + z
        b[n] = y + w
        c[n] = x - z
        d[n] = y - w
