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
from doh3d.codec.image_code import ImageCode, image_box
from doh3d.codec.quantization import STEP_COUNT
from doh3d.codec.shape_code import ShapeCode, check_transform, shape_box
from doh3d.codec.signal_code import ParameterGroup, SignalCode, check_dense_size
from doh3d.errors import ConfigError, FormatError
from doh3d.files import other_kind
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Activation, Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.limits import DEFAULT_LIMITS, MAX_FILE_BYTES, MAX_LATENTS, MAX_LEVELS, Limits

MAGIC = b"\xd0OH"
VERSION = 0

_KIND_MASK = 0b11
_KIND_OCCUPANCY = 0
_KIND_IMAGE = 1
_FLAG_DENSE = 1 << 2
# A byte says which other activation it is: the frequency of a sine, or 0.
_FLAG_NOT_RELU = 1 << 3
# Of a shape.
_FLAG_DOUBLE = 1 << 4
_FLAG_MIRRORED_X = 1 << 5
# Of an image, whose other flags from bit 6 on are 0.
_FLAG_COLOUR = 1 << 4
_FLAG_IMAGE_CELLS = 1 << 5
_FIRST_UNUSED_BY_IMAGES = 6
# A shape's, in its extents.
_EXTENTS_CELLS = 1 << 15

_KINDS: dict[int, type[SignalCode]] = {_KIND_OCCUPANCY: ShapeCode, _KIND_IMAGE: ImageCode}

CodeT = TypeVar("CodeT", bound=SignalCode)

_CRC_BYTES = 4


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


def is_doh_file(path: str | Path) -> bool:
    """Whether the file at `path` is, or calls itself, a `.doh` file; False if unreadable."""
    path = Path(path)
    if path.suffix.lower() == ".doh":
        return True
    if other_kind(path) is not None:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def serialize(code: SignalCode) -> bytes:
    """Write a code as the bytes of a `.doh` file.

    Raises
    ------
    ConfigError
        Where the code is beyond what a file may carry.
    """
    header = _header(code)
    raw = b"".join(
        group.values.astype("<f4").tobytes() for group in (code.latent, code.biases) if group.is_raw
    )
    stream = encode_groups(
        [(group.values, group.model) for group in (code.latent, code.biases) if not group.is_raw]
    )
    body = header + raw + stream
    return body + struct.pack("<I", zlib.crc32(body))


def section_sizes(code: SignalCode) -> dict[str, int]:
    """Bytes of each part of the file: header, transform (a shape's), latent, biases, checksum.

    The entropy coder writes latents and biases into one stream; the latents' share is the
    length of a stream of them alone, and the biases' is the rest.
    """
    total = len(serialize(code))
    transform = 0
    if isinstance(code, ShapeCode):
        transform = 32 if code.transform.double else 16
    header = len(_header(code)) - transform
    payload = total - header - transform - _CRC_BYTES
    if code.latent.is_raw:
        latent = 4 * len(code.latent.values)
    else:
        latent = min(payload, len(encode_groups([(code.latent.values, code.latent.model)])))
    return {
        "header": header,
        "transform": transform,
        "latent": latent,
        "biases": payload - latent,
        "checksum": _CRC_BYTES,
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
    if len(data) < len(MAGIC) + 1 + _CRC_BYTES:
        raise FormatError(f"truncated: {len(data)} bytes are too few for a .doh file")
    version = data[len(MAGIC)]
    if version != VERSION:
        raise FormatError(
            f"version {version} of the .doh format is unknown to this release, "
            f"which reads version {VERSION}"
        )
    limits.check_file_bytes(len(data))
    body, checksum = data[:-_CRC_BYTES], struct.unpack("<I", data[-_CRC_BYTES:])[0]
    if zlib.crc32(body) != checksum:
        raise FormatError("damaged or truncated: the checksum does not match")
    reader = _Reader(body, len(MAGIC) + 1)
    try:
        return _parse_body(reader, limits, kind)
    except ConfigError as error:  # a header field out of its range
        raise FormatError(f"invalid header: {error}") from error


def _header(code: SignalCode) -> bytes:
    """All fields before the payload."""
    code.check()
    architecture = code.architecture
    flags, of_the_kind = _fields_of_the_kind(code)
    flags |= _FLAG_DENSE * code.dense_projection
    flags |= _FLAG_NOT_RELU * (architecture.activation != "relu")
    fields = [
        MAGIC,
        bytes([VERSION, flags, architecture.depth | architecture.octaves << 4]),
        bytes([architecture.width - 1]),
        bytes([architecture.omega]) if architecture.activation != "relu" else b"",
        _varint(len(code.latent.values)),
        struct.pack("<H", code.seed),
        bytes([code.latent.model.family | code.biases.model.family << 4]),
        bytes([code.latent.model.parameter, code.latent.step_index]),
        bytes([code.biases.model.parameter, code.biases.step_index]),
        of_the_kind,
        b"" if architecture.partition is None else _cuts(architecture.partition),
    ]
    return b"".join(fields)


def _cuts(partition: Partition) -> bytes:
    return bytes([partition.levels, *(axis << 6 | position for axis, position in partition.cuts)])


def _fields_of_the_kind(code: SignalCode) -> tuple[int, bytes]:
    """Return the flags and the last fields of the header, which depend on the kind of signal."""
    if isinstance(code, ImageCode):
        flags = _KIND_IMAGE | _FLAG_COLOUR * (code.channels == 3)
        flags |= _FLAG_IMAGE_CELLS * (code.architecture.partition is not None)
        return flags, struct.pack("<HH", code.width - 1, code.height - 1)
    assert isinstance(code, ShapeCode)
    transform, extents = code.transform, code.extents
    flags = _KIND_OCCUPANCY | _FLAG_DOUBLE * transform.double
    flags |= sum(_FLAG_MIRRORED_X << axis for axis in code.architecture.mirrored)
    numbers = (*transform.centre, transform.scale)
    cells = _EXTENTS_CELLS * (code.architecture.partition is not None)
    packed = struct.pack("<H", extents[0] | extents[1] << 5 | extents[2] << 10 | cells)
    return flags, packed + struct.pack("<4d" if transform.double else "<4f", *numbers)


def _parse_body(reader: _Reader, limits: Limits, kind: type[CodeT]) -> CodeT:
    flags = reader.byte()
    found = _KINDS.get(flags & _KIND_MASK)
    if found is None:
        raise FormatError(
            f"signal kind {flags & _KIND_MASK} is unknown; 0 is occupancy, 1 an image"
        )
    if not issubclass(found, kind):
        raise FormatError(f"holds {found.held}; use {found.decoded_by}")
    image = found is ImageCode
    if image and flags >> _FIRST_UNUSED_BY_IMAGES:
        raise FormatError("an image has no mirror planes: flags 6 and 7 must be 0")
    layers = reader.byte()
    width = reader.byte() + 1
    activation: Activation = "relu"
    omega = 0
    if flags & _FLAG_NOT_RELU:
        omega = reader.byte()
        activation = "sine" if omega else "smooth"
    architecture = Architecture(
        width=width,
        depth=layers & 15,
        octaves=layers >> 4,
        activation=activation,
        omega=omega,
        in_dim=2 if image else 3,
        out_dim=3 if image and flags & _FLAG_COLOUR else 1,
        mirrored=tuple(axis for axis in range(3) if not image and flags & _FLAG_MIRRORED_X << axis),
    )
    n = reader.varint()
    if not 1 <= n <= MAX_LATENTS:
        raise FormatError(f"the latent has {n} numbers; 1 to {MAX_LATENTS} are allowed")
    (seed,) = struct.unpack("<H", reader.take(2))
    families = reader.byte()
    latent_model, latent_step = _model(families & 15, reader.byte()), reader.byte()
    bias_model, bias_step = _model(families >> 4, reader.byte()), reader.byte()
    for model, step in ((latent_model, latent_step), (bias_model, bias_step)):
        if model.family == Family.RAW_FLOAT32 and step != 0:
            raise FormatError(f"step index {step} beside raw float32 values must be 0")
    if image:
        of_the_kind = _image_fields(reader, limits)
        box = image_box(of_the_kind["width"], of_the_kind["height"])
        has_cells = bool(flags & _FLAG_IMAGE_CELLS)
    else:
        of_the_kind, has_cells = _shape_fields(reader, double=bool(flags & _FLAG_DOUBLE))
        box = shape_box(of_the_kind["extents"], architecture.mirrored)
    partition = _partition(reader, *box) if has_cells else None
    if partition is not None:
        architecture = replace(architecture, partition=partition)
    limits.check_header(n, architecture.weight_count)
    dense = bool(flags & _FLAG_DENSE)
    check_dense_size(dense, n, architecture)
    values = _payload(reader, [(n, latent_model), (architecture.bias_count, bias_model)])
    code = found(
        architecture=architecture,
        dense_projection=dense,
        seed=seed,
        latent=ParameterGroup(values[0], latent_step, latent_model),
        biases=ParameterGroup(values[1], bias_step, bias_model),
        **of_the_kind,
    )
    assert isinstance(code, kind)
    return code


def _image_fields(reader: _Reader, limits: Limits) -> dict[str, Any]:
    """Width and height of an image, by name."""
    width, height = (side + 1 for side in struct.unpack("<HH", reader.take(4)))
    limits.check_pixels(width, height)
    return {"width": width, "height": height}


def _shape_fields(reader: _Reader, *, double: bool) -> tuple[dict[str, Any], bool]:
    """Extents and transform of a shape, by name, and whether it has cells."""
    (packed,) = struct.unpack("<H", reader.take(2))
    extents = (packed & 31, packed >> 5 & 31, packed >> 10 & 31)
    fields = {"extents": extents, "transform": _transform(reader, double=double)}
    return fields, bool(packed & _EXTENTS_CELLS)


def _partition(reader: _Reader, low: tuple[float, ...], high: tuple[float, ...]) -> Partition:
    levels = reader.byte()
    if not 1 <= levels <= MAX_LEVELS:
        raise FormatError(f"the cells have {levels} levels; 1 to {MAX_LEVELS} are allowed")
    cuts = reader.take(2**levels - 1)
    return Partition(low, high, tuple((cut >> 6, cut & 63) for cut in cuts))


def _payload(reader: _Reader, groups: list[tuple[int, SymbolModel]]) -> list[npt.NDArray[Any]]:
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


def _transform(reader: _Reader, *, double: bool) -> NormalizingTransform:
    numbers = struct.unpack("<4d" if double else "<4f", reader.take(32 if double else 16))
    x, y, z, scale = numbers
    transform = NormalizingTransform((x, y, z), scale, double=double)
    check_transform(transform)
    return transform


def _model(family: int, parameter: int) -> SymbolModel:
    try:
        known = Family(family)
    except ValueError as error:
        raise FormatError(f"entropy model family {family} is unknown") from error
    return SymbolModel(known, parameter)


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the top bit says that another follows."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Reader:
    """A position in bytes; reading past their end is a FormatError."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise FormatError(
                f"truncated: {end + _CRC_BYTES} bytes expected, found "
                f"{len(self._data) + _CRC_BYTES}"
            )
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        number = 0
        for position in range(3):
            byte = self.byte()
            number |= (byte & 127) << (7 * position)
            if byte < 128:
                if byte == 0 and position > 0:
                    raise FormatError("the latent's length is not in its shortest form")
                return number
        raise FormatError("the latent's length takes more than three bytes")

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._position)


assert STEP_COUNT == 256, "a step index is one byte"
