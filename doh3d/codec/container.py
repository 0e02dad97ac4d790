"""The `.doh` file: what it holds, and its bytes. docs/format.md specifies it. No torch here."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from doh3d.codec.entropy import Family, SymbolModel, decode_groups, encode_groups
from doh3d.codec.frame import CHECKSUM_BYTES, VERSION, ByteReader, pack_varint
from doh3d.codec.kinds import find_kind
from doh3d.codec.quantization import STEP_COUNT
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup, SignalCode, check_dense_size
from doh3d.errors import ConfigError, FormatError
from doh3d.files import MAGIC, other_kind
from doh3d.hypernetwork.architecture import Activation, Architecture
from doh3d.hypernetwork.partition import Box, Partition
from doh3d.limits import DEFAULT_LIMITS, MAX_FILE_BYTES, MAX_LATENTS, MAX_LEVELS, Limits

_KIND_MASK = 0b11
_FLAG_DENSE = 1 << 2
# A byte says which other activation it is: the frequency of a sine, or 0.
_FLAG_NOT_RELU = 1 << 3

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


def section_sizes(code: SignalCode) -> dict[str, int]:
    """Bytes of each part of the file: header, transform (a shape's), latent, biases, checksum.

    The entropy coder writes latents and biases into one stream; the latents' share is the
    length of a stream of them alone, and the biases' is the rest.
    """
    total = len(serialize(code))
    transform = len(code.pack_fields()[2])
    header = len(_header(code)) - transform
    payload = total - header - transform - CHECKSUM_BYTES
    if code.latent.is_raw:
        latent = 4 * len(code.latent.values)
    else:
        latent = min(payload, len(encode_groups([(code.latent.values, code.latent.model)])))
    return {
        "header": header,
        "transform": transform,
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
        a signal of another kind, or are beyond `limits`.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise FormatError("not a .doh file: it does not start with the bytes D0 4F 48")
    if len(data) < len(MAGIC) + 1 + CHECKSUM_BYTES:
        raise FormatError(f"truncated: {len(data)} bytes are too few for a .doh file")
    version = data[len(MAGIC)]
    if version != VERSION:
        raise FormatError(
            f"version {version} of the .doh format is unknown to this release, "
            f"which reads version {VERSION}"
        )
    limits.check_file_bytes(len(data))
    body, checksum = data[:-CHECKSUM_BYTES], struct.unpack("<I", data[-CHECKSUM_BYTES:])[0]
    if zlib.crc32(body) != checksum:
        raise FormatError("damaged or truncated: the checksum does not match")
    reader = ByteReader(body, len(MAGIC) + 1)
    try:
        return _parse_body(reader, limits, kind)
    except ConfigError as error:  # a header field out of its range
        raise FormatError(f"invalid header: {error}") from error


def _header(code: SignalCode) -> bytes:
    """All fields before the payload."""
    code.check()
    architecture, partition = code.architecture, code.architecture.partition
    own_flags, own_fields, transform = code.pack_fields()
    flags = own_flags | code.number | _FLAG_DENSE * code.dense_projection
    flags |= _FLAG_NOT_RELU * (architecture.activation != "relu")
    fields = [
        MAGIC,
        bytes([VERSION, flags, architecture.depth | architecture.octaves << 4]),
        bytes([architecture.width - 1]),
        bytes([architecture.omega]) if architecture.activation != "relu" else b"",
        pack_varint(len(code.latent.values)),
        struct.pack("<H", code.seed),
        bytes([code.latent.model.family | code.biases.model.family << 4]),
        bytes([code.latent.model.parameter, code.latent.step_index]),
        bytes([code.biases.model.parameter, code.biases.step_index]),
        own_fields + transform,
    ]
    if partition.levels:
        cuts = (axis << 6 | position for axis, position in partition.cuts)
        fields.append(bytes([partition.levels, *cuts]))
    return b"".join(fields)


def _parse_body(reader: ByteReader, limits: Limits, kind: type[CodeT]) -> CodeT:
    flags = reader.byte()
    found = find_kind(flags & _KIND_MASK)
    if not issubclass(found, kind):
        raise FormatError(f"holds {found.held}; use {found.decoded_by}")
    architecture = _network(reader, flags, found.network_of_flags(flags))
    n = reader.latent_length()
    if not 1 <= n <= MAX_LATENTS:
        raise FormatError(f"the latent has {n} numbers; 1 to {MAX_LATENTS} are allowed")
    (seed,) = reader.unpack("<H")
    families = reader.byte()
    latent_model, latent_step = _model(families & 15, reader.byte()), reader.byte()
    bias_model, bias_step = _model(families >> 4, reader.byte()), reader.byte()
    for model, step in ((latent_model, latent_step), (bias_model, bias_step)):
        if model.family == Family.RAW_FLOAT32 and step != 0:
            raise FormatError(f"step index {step} beside raw float32 values must be 0")
    own_fields, box = found.read_fields(reader, flags, limits)
    if box is not None:
        architecture = replace(architecture, partition=_partition(reader, box))
    limits.check_header(n, architecture.weight_count)
    dense = bool(flags & _FLAG_DENSE)
    check_dense_size(dense, n, architecture)
    values = _payload(reader, [(n, latent_model), (architecture.bias_count, bias_model)])
    return found(
        architecture=architecture,
        dense_projection=dense,
        seed=seed,
        latent=ParameterGroup(values[0], latent_step, latent_model),
        biases=ParameterGroup(values[1], bias_step, bias_model),
        **own_fields,
    )


def _network(reader: ByteReader, flags: int, of_the_kind: dict[str, Any]) -> Architecture:
    layers, width = reader.byte(), reader.byte() + 1
    omega = reader.byte() if flags & _FLAG_NOT_RELU else None
    activation: Activation = "relu" if omega is None else "sine" if omega else "smooth"
    return Architecture(
        width=width,
        depth=layers & 15,
        octaves=layers >> 4,
        activation=activation,
        omega=omega or 0,
        **of_the_kind,
    )


def _partition(reader: ByteReader, box: Box) -> Partition:
    levels = reader.byte()
    if not 1 <= levels <= MAX_LEVELS:
        raise FormatError(f"the cells have {levels} levels; 1 to {MAX_LEVELS} are allowed")
    cuts = reader.take(2**levels - 1)
    return Partition(*box, tuple((cut >> 6, cut & 63) for cut in cuts))


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


def _model(family: int, parameter: int) -> SymbolModel:
    try:
        known = Family(family)
    except ValueError as error:
        raise FormatError(f"entropy model family {family} is unknown") from error
    return SymbolModel(known, parameter)


assert STEP_COUNT == 256, "a step index is one byte"
