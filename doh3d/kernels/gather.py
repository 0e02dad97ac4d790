"""Rows gathered from tables that no cache holds."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from doh3d.kernels.compiled import kernel
from doh3d.kernels.products import Floats, Indices

# Memory is asked for so many rows before they are copied. Each row would wait for it otherwise.
_AHEAD = 8


@kernel
def gather_rows(rows: Indices, table: Floats, out: Floats) -> None:
    """Copy rows of an (M, E) float32 table: out[r] = table[rows[r]]."""
    flat, width = table.reshape(-1), table.shape[1]
    for r in range(len(rows)):
        if r + _AHEAD < len(rows):
            first = rows[r + _AHEAD] * width
            _ask_for(flat, first)  # type: ignore[call-arg]
            _ask_for(flat, first + width - 1)
        row = rows[r]
        for i in range(width):
            out[r, i] = table[row, i]


@intrinsic
def _ask_for(_typing, array, place):  # type: ignore[no-untyped-def]
    """Have an element's cache line brought near, without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        data = context.make_array(kind)(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        # To read, to be kept, and data.
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, place), generate
