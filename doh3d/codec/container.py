"""The `.doh` file: what it holds, and its bytes. docs/format.md specifies it. No torch here."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import Family, SymbolModel, decode_groups, encode_groups
from doh3d.codec.frame import CHECKSUM_BYTES, ByteReader, check_version
from doh3d.codec.header import header_fields, read_header
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup, SignalCode
from doh3d.errors import ConfigError, FormatError
from doh3d.files import MAGIC, other_kind
from doh3d.limits import DEFAULT_LIMITS, MAX_FILE_BYTES, Limits

CodeT = TypeVar("CodeT", bound=SignalCode)


def read_code(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> ShapeCode:
    """Read and check the `.doh` file of a shape, as `read_signal` does."""
    return read_signal(path, limits, ShapeCode)


def read_signal(path: str | Path, limits: Limits, kind: type[CodeT]) -> CodeT:
    """Read and check the `.doh` file at `path`; see `parse_signal`.

    Raises
    ------
    FormatError
        If the file is not a valid `.doh` file, or is beyond `limits`; the message names it.
    ConfigError
        If there is no such file, or it cannot be read.
    """
    path = Path(path)
    other = other_kind(path)
    if other is not None:
        raise ConfigError(f"{path}: is {other}; a .doh file is needed")
    try:
        # Of a file that grows meanwhile, no more than is allowed.
        with path.open("rb") as file:
            data = file.read(min(limits.file_bytes, MAX_FILE_BYTES) + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse_signal(data, limits, kind)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def serialize(code: SignalCode) -> bytes:
    """Write a code as the bytes of a `.doh` file.

    Raises
    ------
    ConfigError
        Where the code is beyond what a file may carry.
    """
    groups = (code.latent, code.biases)
    body = _header(code)
    body += b"".join(group.values.astype("<f4").tobytes() for group in groups if group.is_raw)
    body += encode_groups([(group.values, group.model) for group in groups if not group.is_raw])
    return body + struct.pack("<I", zlib.crc32(body))


def overhead_bytes(code: SignalCode) -> int:
    """Bytes of a code's file that are neither latent nor biases."""
    return len(_header(code)) + CHECKSUM_BYTES


def section_sizes(code: SignalCode) -> dict[str, int]:
    """Bytes of each part: header, transform (a shape's), extras, latent, biases, checksum.

    The entropy coder writes latents and biases into one stream; the latents' share is the
    length of a stream of them alone, and the biases' is the rest.
    """
    total = len(serialize(code))
    sizes = {name: len(packed) for name, packed in header_fields(code)}
    transform, extras = sizes.pop("transform", 0), sizes.pop("extras", 0)
    header = sum(sizes.values())
    payload = total - header - transform - extras - CHECKSUM_BYTES
    if code.latent.is_raw:
        latent = 4 * len(code.latent.values)
    else:
        latent = min(payload, len(encode_groups([(code.latent.values, code.latent.model)])))
    return {
        "header": header,
        "transform": transform,
        "extras": extras,
        "latent": latent,
        "biases": payload - latent,
        "checksum": CHECKSUM_BYTES,
    }


def parse(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ShapeCode:
    """Read the bytes of a shape's `.doh` file, as `parse_signal` does."""
    return parse_signal(data, limits, ShapeCode)


def parse_signal(data: bytes, limits: Limits, kind: type[CodeT]) -> CodeT:
    """Read the bytes of a `.doh` file.

    Parameters
    ----------
    data : bytes
    limits : Limits
    kind : class
        What it should hold: ShapeCode, ImageCode, or SignalCode for any.

    Raises
    ------
    FormatError
        If the bytes are not a whole, undamaged file of a version that this release reads, hold
        a signal of another kind, or are beyond `limits`. A draft's and a later version's message
        says what reads it.
    """
    check_version(data)
    limits.check_file_bytes(len(data))
    body, checksum = data[:-CHECKSUM_BYTES], struct.unpack("<I", data[-CHECKSUM_BYTES:])[0]
    if zlib.crc32(body) != checksum:
        raise FormatError("damaged or truncated: the checksum does not match")
    reader = ByteReader(body, len(MAGIC) + 1)
    try:
        found, fields, groups = read_header(reader, limits, kind)
    except ConfigError as error:  # a header field out of its range
        raise FormatError(f"invalid header: {error}") from error
    values = _payload(reader, [(count, model) for count, model, _ in groups])
    latent, biases = (
        ParameterGroup(numbers, step, model)
        for numbers, (_, model, step) in zip(values, groups, strict=True)
    )
    return found(latent=latent, biases=biases, **fields)


def _header(code: SignalCode) -> bytes:
    return b"".join(packed for _, packed in header_fields(code))


def _payload(reader: ByteReader, groups: list[tuple[int, SymbolModel]]) -> list[npt.NDArray[Any]]:
    raw: dict[int, npt.NDArray[Any]] = {}
    for index, (count, model) in enumerate(groups):
        if model.family == Family.RAW_FLOAT32:
            values = np.frombuffer(reader.take(4 * count), dtype="<f4").astype(np.float32)
            if not np.isfinite(values).all():
                raise FormatError("a raw float32 value is not finite")
            raw[index] = values
    coded = decode_groups(
        reader.rest(), [group for index, group in enumerate(groups) if index not in raw]
    )
    levels = iter(coded)
    return [raw[index] if index in raw else next(levels) for index in range(len(groups))]
