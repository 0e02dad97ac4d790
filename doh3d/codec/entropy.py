"""Entropy coding of quantised values: a range coder over integer frequency tables. No torch.

The coder is constriction's range coder (32-bit words, 64-bit state, 24-bit probabilities). Every
model is given by integer frequencies out of 2^24, either shipped with the package or uniform,
so encoder and decoder cannot drift apart. docs/format.md specifies the stream.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from doh3d.codec.quantization import GRADES, MAX_QUANTIZED, grade_parts
from doh3d.errors import FormatError

TABLE_TOTAL = 2**24
TABLE_RADIUS = 128
TABLE_SCALES = 64
# Table scales that are used with low bits split off; eight scales are one octave.
FIRST_SPLIT_SCALE = TABLE_SCALES - 8
MAX_SHIFT = 12
SCALE_PARAMETERS = TABLE_SCALES + 8 * MAX_SHIFT
_ESCAPE_BITS = 16


class Family(IntEnum):
    """What distribution the values of a group are coded with; the number is in the file."""

    RAW_FLOAT32 = 0
    FIXED_LENGTH = 1
    GENERALIZED_GAUSSIAN_0_75 = 2
    LAPLACE = 3
    GENERALIZED_GAUSSIAN_1_5 = 4
    GAUSSIAN = 5
    GRADED_GENERALIZED_GAUSSIAN_0_75 = 6
    GRADED_LAPLACE = 7
    GRADED_GENERALIZED_GAUSSIAN_1_5 = 8
    GRADED_GAUSSIAN = 9


_FIRST_TABLE = Family.GENERALIZED_GAUSSIAN_0_75
_FIRST_GRADED = Family.GRADED_GENERALIZED_GAUSSIAN_0_75
_TABLES = _FIRST_GRADED - _FIRST_TABLE

# Scale indices to the octave: a part of a graded group with half the step has twice the levels.
OCTAVE = 8


@dataclass(frozen=True)
class SymbolModel:
    """The distribution of one group of values.

    Attributes
    ----------
    family : Family
    parameter : int
        FIXED_LENGTH: bits a value, 2 to 16. A table family: scale index s, 0 to 159; the
        standard deviation is 2^(s / 8 - 4). A graded family: that of the first part, 0 to 143;
        each later one's is an octave more. RAW_FLOAT32: 0.
    """

    family: Family
    parameter: int

    def __post_init__(self) -> None:
        """Reject parameters that no file may carry."""
        if self.family == Family.RAW_FLOAT32:
            valid = self.parameter == 0
        elif self.family == Family.FIXED_LENGTH:
            valid = 2 <= self.parameter <= 16
        else:
            beyond = OCTAVE * (GRADES - 1) if self.graded else 0
            valid = 0 <= self.parameter < SCALE_PARAMETERS - beyond
        if not valid:
            raise FormatError(
                f"entropy model {self.family.name} has parameter {self.parameter}, out of range"
            )

    @property
    def graded(self) -> bool:
        """Whether the group's parts have steps of their own, see `grade_parts`."""
        return self.family >= _FIRST_GRADED

    def parts(self, count: int) -> list[tuple[slice, int, SymbolModel]]:
        """Parts of a group of `count` values: where, the binary places they lack, and the model."""
        if not self.graded:
            return [(slice(0, count), 0, self)]
        family = Family(self.family - _TABLES)
        return [
            (part, shift, SymbolModel(family, self.parameter + OCTAVE * number))
            for number, (part, shift) in enumerate(grade_parts(count))
        ]

    @property
    def table_scale(self) -> int:
        """Row of the frequency tables."""
        if self.parameter < TABLE_SCALES:
            return self.parameter
        return FIRST_SPLIT_SCALE + self.parameter % 8

    @property
    def shift(self) -> int:
        """Low bits that are coded uniformly, beside the table."""
        if self.family < _FIRST_TABLE or self.parameter < TABLE_SCALES:
            return 0
        return (self.parameter - FIRST_SPLIT_SCALE) // 8


@cache
def frequency_tables() -> npt.NDArray[np.int64]:
    """(4, 64, 129) frequencies of |v| = 0 to 127 and an escape, for each family and scale.

    Those of |v| > 0 are for one sign: f[0] + 2 sum(f[1:]) = 2^24.
    """
    with files("doh3d.codec").joinpath("entropy_tables.npz").open("rb") as file:
        return np.load(file)["frequencies"].astype(np.int64)  # type: ignore[no-any-return]


@cache
def table_bits() -> npt.NDArray[np.float64]:
    """(4, 64, 129) information content of each table symbol, with the escape's own bits."""
    bits: npt.NDArray[np.float64] = np.log2(TABLE_TOTAL) - np.log2(frequency_tables())
    bits[..., -1] += _ESCAPE_BITS
    return bits


def choose_model(values: npt.NDArray[np.int64], *, graded: bool = False) -> SymbolModel:
    """Table model that codes (N,) quantised values in the fewest bits.

    With `graded` a graded one, for values that lack the binary places which `grade_parts` says.
    """
    if not graded:
        bits, first = _bits_of_models(values), _FIRST_TABLE
    else:
        parts = [_bits_of_models(values[part] >> shift) for part, shift in grade_parts(len(values))]
        parameters = SCALE_PARAMETERS - OCTAVE * (GRADES - 1)
        moved = (OCTAVE * number for number in range(GRADES))
        bits = sum(
            (part[:, by : by + parameters] for part, by in zip(parts, moved, strict=True)),
            start=np.zeros((_TABLES, parameters)),
        )
        first = _FIRST_GRADED
    table, parameter = np.unravel_index(int(bits.argmin()), bits.shape)
    return SymbolModel(Family(first + int(table)), int(parameter))


def _bits_of_models(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(4, 160) bits that (N,) values take under each table family and parameter."""
    bits = np.empty((_TABLES, SCALE_PARAMETERS))
    # Each value once: mostly they are few, and looked at once for every shift.
    levels, counts = np.unique(values, return_counts=True)
    for shift in range(MAX_SHIFT + 1):
        high, _ = _split(levels, shift)
        symbols = np.minimum(np.abs(high), TABLE_RADIUS)
        histogram = np.bincount(symbols, weights=counts, minlength=TABLE_RADIUS + 1)
        first = 0 if shift == 0 else FIRST_SPLIT_SCALE
        begin = first + OCTAVE * shift
        found = table_bits()[:, first:] @ histogram + shift * len(values)
        bits[:, begin : begin + found.shape[1]] = found
    return bits


def code_length_bits(values: npt.NDArray[np.int64], model: SymbolModel) -> float:
    """Information content of (N,) values under `model`, in bits: the coder's ideal length."""
    if model.family == Family.RAW_FLOAT32:
        return 32.0 * len(values)
    if model.family == Family.FIXED_LENGTH:
        return float(model.parameter * len(values))
    total = 0.0
    for part, lacking, of_part in model.parts(len(values)):
        high, _ = _split(values[part] >> lacking, of_part.shift)
        symbols = np.minimum(np.abs(high), TABLE_RADIUS)
        bits = table_bits()[of_part.family - _FIRST_TABLE, of_part.table_scale]
        total += float(bits[symbols].sum() + of_part.shift * len(high))
    return total


def fits(values: npt.NDArray[np.int64], model: SymbolModel) -> bool:
    """Whether `model` can code every one of (N,) quantised values."""
    if len(values) == 0:
        return True
    low, high = -MAX_QUANTIZED, MAX_QUANTIZED
    if model.family == Family.FIXED_LENGTH:
        low, high = -(1 << (model.parameter - 1)), (1 << (model.parameter - 1)) - 1
    if values.min() < max(low, -MAX_QUANTIZED) or values.max() > high:
        return False
    return not any(
        (values[part] & ((1 << lacking) - 1)).any() for part, lacking, _ in model.parts(len(values))
    )


def encode_groups(groups: list[tuple[npt.NDArray[np.int64], SymbolModel]]) -> bytes:
    """Code groups of quantised values, one after another, into one stream.

    Parameters
    ----------
    groups : list of ((N,) int64 in [-32767, 32767], SymbolModel)
        No RAW_FLOAT32 model; each value fits its model, see `fits`.

    Returns
    -------
    bytes
        The shortest stream, to the byte, that decodes to the values.
    """
    return _shortest_stream(_encoded(groups))


def decode_groups(
    stream: bytes, groups: list[tuple[int, SymbolModel]]
) -> list[npt.NDArray[np.int64]]:
    """Decode what `encode_groups` wrote.

    Parameters
    ----------
    stream : bytes
    groups : list of (count, SymbolModel)

    Raises
    ------
    FormatError
        If the stream is not one that decodes to such groups, or goes on after them.
    """
    decoded = _decoded(stream, groups)
    # A decoder of these values reads two words and one more for each that an encoder of them
    # has put out; what lies behind would be ignored.
    position, _ = _encoded([(v, m) for v, (_, m) in zip(decoded, groups, strict=True)]).pos()
    if len(stream) > (4 * (position + 2) if groups else 0):
        raise FormatError("the entropy-coded payload goes on after its last value")
    return decoded


def _encoded(groups: list[tuple[npt.NDArray[np.int64], SymbolModel]]) -> Any:
    """Feed all the groups to a new range encoder."""
    coder = constriction.stream.queue.RangeEncoder()
    for group, whole in groups:
        for part, lacking, model in whole.parts(len(group)):
            _encode_part(coder, group[part] >> lacking, model)
    return coder


def _encode_part(coder: Any, values: npt.NDArray[np.int64], model: SymbolModel) -> None:
    if len(values) == 0:
        return
    if model.family == Family.FIXED_LENGTH:
        offset = 1 << (model.parameter - 1)
        coder.encode((values + offset).astype(np.int32), _uniform(model.parameter))
        return
    high, low = _split(values, model.shift)
    symbols = np.clip(high, -TABLE_RADIUS, TABLE_RADIUS) + TABLE_RADIUS
    coder.encode(symbols.astype(np.int32), _categorical(model))
    if model.shift:
        coder.encode(low.astype(np.int32), _uniform(model.shift))
    escaped = np.abs(high[np.abs(high) >= TABLE_RADIUS]) - TABLE_RADIUS
    if len(escaped):
        coder.encode(escaped.astype(np.int32), _uniform(_ESCAPE_BITS))


def _decoded(stream: bytes, groups: list[tuple[int, SymbolModel]]) -> list[npt.NDArray[np.int64]]:
    words = np.frombuffer(stream + bytes(-len(stream) % 4), dtype=">u4").astype(np.uint32)
    coder = constriction.stream.queue.RangeDecoder(words)
    try:
        return [_decode_group(coder, count, model) for count, model in groups]
    except AssertionError as error:  # constriction's report of an impossible code point
        raise FormatError("the entropy-coded payload is not valid for its models") from error


def _decode_group(coder: Any, count: int, model: SymbolModel) -> npt.NDArray[np.int64]:
    values = np.zeros(count, dtype=np.int64)
    for part, lacking, of_part in model.parts(count):
        values[part] = _decode_part(coder, part.stop - part.start, of_part) << lacking
    if count and np.abs(values).max() > MAX_QUANTIZED:
        raise FormatError(f"a quantised value is beyond {MAX_QUANTIZED}")
    return values


def _decode_part(coder: Any, count: int, model: SymbolModel) -> npt.NDArray[np.int64]:
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    if model.family == Family.FIXED_LENGTH:
        symbols = coder.decode(_uniform(model.parameter), count).astype(np.int64)
        values = symbols - (1 << (model.parameter - 1))
    else:
        high = coder.decode(_categorical(model), count).astype(np.int64) - TABLE_RADIUS
        low = np.zeros(count, dtype=np.int64)
        if model.shift:
            low = coder.decode(_uniform(model.shift), count).astype(np.int64)
        escaped = np.flatnonzero(np.abs(high) >= TABLE_RADIUS)
        if len(escaped):
            rest = coder.decode(_uniform(_ESCAPE_BITS), len(escaped)).astype(np.int64)
            high[escaped] += np.sign(high[escaped]) * rest
        values = (high << model.shift) + low - ((1 << model.shift) >> 1)
    return values  # type: ignore[no-any-return]


def _split(
    values: npt.NDArray[np.int64], shift: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """High part, centred on zero, and `shift` low bits of each value."""
    moved = values + ((1 << shift) >> 1)
    return moved >> shift, moved & ((1 << shift) - 1)


def _categorical(model: SymbolModel) -> Any:
    half = frequency_tables()[model.family - _FIRST_TABLE, model.table_scale]
    frequencies = np.concatenate([half[:0:-1], half])
    # perfect=True keeps multiples of 2^-24 as they are; perfect=False would perturb them.
    return constriction.stream.model.Categorical(frequencies / TABLE_TOTAL, perfect=True)


def _uniform(bits: int) -> Any:
    return constriction.stream.model.Uniform(1 << bits)


def _shortest_stream(coder: Any) -> bytes:
    """Write the fewest bytes that, continued with zeros, lie in the coder's last interval.

    The coder itself ends on whole words; this saves two to four bytes.
    """
    position, (lower, width) = coder.pos()
    length = 4 * (position + 2)
    # Big-endian words, so that the stream's last bytes are its least significant ones.
    words: bytes = coder.get_compressed().astype(">u4").tobytes()
    point = int.from_bytes(words.ljust(length, b"\0"), "big")
    # Of the interval's start the coder tells the low 64 bits; its own point lies just above.
    start = point - (point - lower) % 2**64

    def candidate(kept: int) -> int | None:
        # Shifts, not quotients, which would take time in the square of the length.
        shift = 8 * (length - kept)
        number = -(-start >> shift)
        return number if number << shift < start + width else None

    # What can be said in k bytes can be said in more.
    kept = bisect_left(range(length), True, key=lambda count: candidate(count) is not None)
    number = candidate(kept)
    assert number is not None, "the coder's own point lies in its interval"
    return number.to_bytes(kept, "big")
