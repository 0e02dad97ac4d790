"""Products of small matrices in registers, for kernels that numba compiles.

A step's matrices have a few dozen rows and columns. At that size a library's product spends as
much on being called as on the arithmetic, and what it makes has left the cache before the next
operation takes it up.
"""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import llvmlite.binding
import numpy as np
import numpy.typing as npt
from llvmlite import ir as code
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from doh3d.kernels.compiled import kernel, kernel_of

# Rows of a tile. With four vectors of columns its sums take 16 of a core's 32 vector registers.
ROWS = 4

# Numbers in a vector: 512 bits where the processor has them, 256 elsewhere. Where 256 are too
# many, each vector is two.
_FEATURES = llvmlite.binding.get_host_cpu_features()
_LANES = 16 if _FEATURES.get("avx512f") else 8

# Columns are padded to a multiple of this.
COLUMNS = 8

Floats: TypeAlias = npt.NDArray[np.float32]
Indices: TypeAlias = npt.NDArray[np.int64]


@register_jitable
def padded(count: int, step: int = COLUMNS) -> int:
    """Return the next multiple of a step. One of `COLUMNS` is one of `ROWS` too."""
    return (count + step - 1) // step * step


@kernel
def scale(values: Floats, factors: Floats) -> None:
    """Multiply each of (N,) values by its factor."""
    for n in range(len(values)):
        values[n] *= factors[n]


def _make_tile(*vectors: int) -> Any:
    """Make ``tile(a, a0, ar, ak, b, b0, bk, i, i0, ir, c, c0, cr, count)``.

    It computes c[r, :] = i[r, :] + sum over k of a[r, k] b[k, :] for `ROWS` rows and for columns in
    vectors of so many numbers. Element (r, k) of a is a[a0 + r ar + k ak]; rows of b, i and c are
    `bk`, `ir` and `cr` apart.
    """
    starts = itertools.accumulate(vectors, initial=0)
    columns = [(start, length) for start, length in zip(starts, vectors, strict=False)]

    @intrinsic
    def tile(_typing, a, a0, ar, ak, b, b0, bk, i, i0, ir, c, c0, cr, count):  # type: ignore[no-untyped-def]
        signature = types.void(a, a0, ar, ak, b, b0, bk, i, i0, ir, c, c0, cr, count)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            flat = _Flat(context, builder, signature.args, values)
            (of_a, row_of_a, step_of_a), (of_b, step_of_b) = flat.matrix(0, 2), flat.matrix(4, 1)
            (start, row_of_start), (result, row_of_result) = flat.matrix(7, 1), flat.matrix(10, 1)
            count = values[13]
            index = count.type

            def places(first: Any, stride: Any, row: int) -> list[Any]:
                begin = builder.gep(first, [builder.mul(stride, index(row))])
                return [
                    builder.bitcast(
                        builder.gep(begin, [index(column)]), _vector(length).as_pointer()
                    )
                    for column, length in columns
                ]

            def load(first: Any, stride: Any, row: int) -> list[Any]:
                return [builder.load(place, align=4) for place in places(first, stride, row)]

            begin = builder.block
            initial = [load(start, row_of_start, row) for row in range(ROWS)]
            head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
            builder.branch(head)
            builder.position_at_end(head)
            k = builder.phi(index)
            k.add_incoming(index(0), begin)
            sums = [[builder.phi(first.type) for first in row] for row in initial]
            for totals, firsts in zip(sums, initial, strict=True):
                for total, first in zip(totals, firsts, strict=True):
                    total.add_incoming(first, begin)
            builder.cbranch(builder.icmp_signed("<", k, count), body, end)
            builder.position_at_end(body)
            some = load(builder.gep(of_b, [builder.mul(k, step_of_b)]), step_of_b, 0)
            column_of_a = builder.gep(of_a, [builder.mul(k, step_of_a)])
            for row, totals in enumerate(sums):
                place = builder.gep(column_of_a, [builder.mul(row_of_a, index(row))])
                number = builder.load(place)
                for total, vector in zip(totals, some, strict=True):
                    total.add_incoming(_multiply_add(builder, number, vector, total), body)
            k.add_incoming(builder.add(k, index(1)), body)
            builder.branch(head)
            builder.position_at_end(end)
            for row, totals in enumerate(sums):
                for place, total in zip(places(result, row_of_result, row), totals, strict=True):
                    builder.store(total, place, align=4)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _vector(length: int) -> Any:
    return code.VectorType(code.FloatType(), length)


def _multiply_add(builder: Any, number: Any, vector: Any, total: Any) -> Any:
    """Return number times vector plus total, rounded once where the processor can."""
    kind, lane = vector.type, code.IntType(32)
    none = code.Constant(kind, code.Undefined)
    first = builder.insert_element(none, number, lane(0))
    spread = builder.shuffle_vector(
        first, none, code.Constant(code.VectorType(lane, kind.count), [0] * kind.count)
    )
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, code.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.v{kind.count}f32"
    )
    return builder.call(function, [spread, vector, total])


class _Flat:
    """Places in flat arrays among the arguments of an intrinsic."""

    def __init__(self, context: Any, builder: Any, kinds: Any, values: Any) -> None:
        self._context, self._builder, self._kinds, self._values = context, builder, kinds, values

    def matrix(self, number: int, strides: int) -> tuple[Any, ...]:
        """Pointer to the first element, and the strides, from the argument `number` on."""
        array = self._context.make_array(self._kinds[number])
        data = array(self._context, self._builder, self._values[number]).data
        first = self._builder.gep(data, [self._values[number + 1]])
        return (first, *self._values[number + 2 : number + 2 + strides])


# By how many columns are left, in multiples of `COLUMNS`; where no vector is longer, two at most.
_WIDE = _LANES > COLUMNS
_tile_1 = _make_tile(8)
_tile_2 = _make_tile(16) if _WIDE else _make_tile(8, 8)
_tile_3 = _make_tile(16, 8)
_tile_4 = _make_tile(16, 16)
_tile_5 = _make_tile(16, 16, 8)
_tile_6 = _make_tile(16, 16, 16)
_tile_7 = _make_tile(16, 16, 16, 8)
_tile_8 = _make_tile(16, 16, 16, 16)
_LONGEST = 64 if _WIDE else 16


_FLAT = types.float32[::1]
_PLACE = (types.intp,)


@kernel_of(
    types.void(
        *(_FLAT, *_PLACE * 3), *(_FLAT, *_PLACE * 2), *(_FLAT, *_PLACE * 2), *(_FLAT, *_PLACE * 2),
        *_PLACE * 3,
    )
)  # fmt: skip
def multiply(
    a: Floats, a0: int, ar: int, ak: int, b: Floats, b0: int, bk: int, i: Floats, i0: int, ir: int,
    c: Floats, c0: int, cr: int, rows: int, columns: int, count: int,
) -> None:  # fmt: skip
    """Compute c[r, :] = i[r, :] + sum over k of a[r, k] b[k, :] in flat float32 arrays.

    Parameters
    ----------
    a, b, i, c : flat float32
        Element (r, k) of a is a[a0 + r ar + k ak]; rows of b, i and c start at b0, i0 and c0, and
        are bk, ir and cr apart. i may be c; ir = 0 gives all rows the same start.
    rows, columns, count : int
        Rows of c, a multiple of `ROWS`; its columns, a multiple of `COLUMNS`; and how many k.
    """
    for j in range(0, columns, _LONGEST):
        left = min(columns - j, _LONGEST) // COLUMNS
        for row in range(0, rows, ROWS):
            x, y, z = a0 + row * ar, i0 + row * ir + j, c0 + row * cr + j
            if left == 1:
                _tile_1(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
            elif left == 2:
                _tile_2(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
            elif _WIDE:
                if left == 3:
                    _tile_3(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
                elif left == 4:
                    _tile_4(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
                elif left == 5:
                    _tile_5(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
                elif left == 6:
                    _tile_6(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
                elif left == 7:
                    _tile_7(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
                else:
                    _tile_8(a, x, ar, ak, b, b0 + j, bk, i, y, ir, c, z, cr, count)
