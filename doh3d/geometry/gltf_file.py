"""What a glTF file is made of: its JSON, its buffers, and the accessors that are arrays in them."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
import numpy.typing as npt

from doh3d.geometry.gltf_json import PACKED, Json, integer, listing, parse, raise_packed, table
from doh3d.geometry.polygons import MOST_FACES, FloatArray, IntArray

# Of indices, positions and what else is read for vertices and instances, all parts together. A
# few bytes of JSON can ask for any number of them, without a buffer or from the same one.
MOST_VECTORS = 15 * MOST_FACES

# What a node, a part or an accessor that is read takes at least, as many vectors would.
LEAST_WORK = 16

# Of all files that hold buffers together; as many as the file itself may have.
_MOST_BUFFER_BYTES = 1 << 29

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Accessor:
    """Vectors as the file keeps them, a view of its bytes.

    Attributes
    ----------
    name : str
        What error messages call it.
    count : int
    normalized : bool
        Whether integers stand for numbers in [0, 1], or [-1, 1] where they have a sign.
    stored : (count, width) or (0, width), any component type
        Nothing is stored where all but the sparse vectors are zero.
    sparse_rows : (S,) int64
        In increasing order: which vectors are given apart.
    sparse_values : (S, width), of the same component type
    """

    name: str
    count: int
    normalized: bool
    stored: npt.NDArray[Any]
    sparse_rows: IntArray
    sparse_values: npt.NDArray[Any]


class GltfFile:
    """The JSON of a GLB or glTF file, and the arrays that it speaks of.

    Parameters
    ----------
    path : Path
        The file; its content says which of the two it is.

    Raises
    ------
    ValueError
        From here and from all methods: the file is damaged, of another version, refers to what
        is not there, or asks for more than `MOST_VECTORS` vectors.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        text, self._chunk = _split_glb(path.read_bytes())
        self.document = parse(text)
        self._buffers: dict[int, memoryview] = {}
        self._accessors: dict[int, Accessor] = {}
        self._bytes_left = _MOST_BUFFER_BYTES
        self._vectors = 0

    def item(self, kind: str, key: Any, where: str) -> Json:
        """Return one of the document's `kind`, such as "nodes", that `where` refers to."""
        items: list[Json] = listing(self.document, kind, "the file")
        if type(key) is not int or not 0 <= key < len(items):
            raise ValueError(f"{where} refers to {key!r} of {kind}, but there are {len(items)}")
        if not isinstance(items[key], dict):
            raise ValueError(f"{kind} has no object at {key}")
        return items[key]

    def accessor(self, key: Any, kind: str, where: str) -> Accessor:
        """Return an accessor that `where` refers to and that must be of type `kind`."""
        data = self.item("accessors", key, where)
        if data.get("type") != kind:
            raise ValueError(f"accessor {key} is {data.get('type')!r}; {where} needs {kind}")
        if key not in self._accessors:
            self._accessors[key] = self._open(data, f"accessor {key}")
        return self._accessors[key]

    def stored(self, accessor: Accessor, rows: IntArray | None = None) -> npt.NDArray[Any]:
        """Return (R, width) vectors of the accessor as they are stored: some rows, or all."""
        self.charge(LEAST_WORK + (accessor.count if rows is None else len(rows)))
        if rows is None:
            rows = np.arange(accessor.count)
        if len(rows) and int(rows.max()) >= accessor.count:
            raise ValueError(
                f"{accessor.name} has {accessor.count} elements, but number {rows.max()} is used"
            )
        width = accessor.stored.shape[1]
        if len(accessor.stored):
            vectors = accessor.stored[rows]
        else:
            vectors = np.zeros((len(rows), width), accessor.stored.dtype)
        if len(accessor.sparse_rows):
            at = np.searchsorted(accessor.sparse_rows, rows)
            at[at == len(accessor.sparse_rows)] = 0
            given = accessor.sparse_rows[at] == rows
            vectors[given] = accessor.sparse_values[at[given]]
        return vectors

    def vectors(self, accessor: Accessor, rows: IntArray | None = None) -> FloatArray:
        """Return (R, width) vectors as numbers, normalised integers being brought to [-1, 1]."""
        stored = self.stored(accessor, rows)
        values = stored.astype(np.float64)
        if accessor.normalized and stored.dtype.kind in "iu":
            # The lowest of signed integers stands for -1 too.
            values = np.maximum(values / np.iinfo(stored.dtype).max, -1.0)
        return values

    def charge(self, count: int) -> None:
        """Count vectors that are about to be made, and refuse where there are too many."""
        self._vectors += count
        if self._vectors > MOST_VECTORS:
            raise ValueError(
                f"its nodes, parts and accessors hold more than {MOST_VECTORS} numbers or vectors; "
                "simplify it first"
            )

    def _open(self, data: Json, name: str) -> Accessor:
        count = integer(data, "count", name)
        dtype, width = _component(data, name), _WIDTHS[data["type"]]
        stored = np.zeros((0, width), dtype)
        if "bufferView" in data:
            stored = self._view(data, dtype, width, count, name)
        rows, values = np.zeros(0, dtype=np.int64), np.zeros((0, width), dtype)
        if "sparse" in data:
            sparse = table(data, "sparse", name)
            given = integer(sparse, "count", f"{name}, sparse")
            self.charge(given)
            indices = table(sparse, "indices", f"{name}, sparse")
            where = f"{name}, sparse indices"
            rows = self._view(indices, _component(indices, where), 1, given, where)
            rows = rows.ravel().astype(np.int64)
            where = f"{name}, sparse values"
            place = table(sparse, "values", f"{name}, sparse")
            values = self._view(place, dtype, width, given, where)
            if (np.diff(rows, prepend=-1) <= 0).any() or (given and rows[-1] >= count):
                raise ValueError(f"{name}: sparse indices must increase, and be below {count}")
        return Accessor(name, count, data.get("normalized") is True, stored, rows, values)

    def _view(
        self, data: Json, dtype: np.dtype[Any], width: int, count: int, where: str
    ) -> npt.NDArray[Any]:
        """Return (count, width) of a buffer view, from an offset on, without copying them."""
        key = data.get("bufferView")
        view, name = self.item("bufferViews", key, where), f"buffer view {key}"
        buffer = self._buffer(view, name)
        first, length = integer(view, "byteOffset", name, 0), integer(view, "byteLength", name)
        if first + length > len(buffer):
            raise ValueError(
                f"{name} ends at byte {first + length} of buffer {view['buffer']}, which has "
                f"{len(buffer)}"
            )
        row = width * dtype.itemsize
        stride = integer(view, "byteStride", name, 0) or row
        offset = integer(data, "byteOffset", where, 0)
        end = offset + stride * (count - 1) + row
        if stride < row:
            raise ValueError(f"{name} has {stride} bytes a row, but {where} needs {row}")
        if not count:
            return np.zeros((0, width), dtype)
        if end > length:
            raise ValueError(f"{where} ends at byte {end} of {name}, which has {length}")
        return np.ndarray((count, width), dtype, buffer, first + offset, (stride, dtype.itemsize))

    def _buffer(self, view: Json, where: str) -> memoryview:
        key: Any = view.get("buffer")
        buffer, name = self.item("buffers", key, where), f"buffer {key}"
        if key in self._buffers:
            return self._buffers[key]
        length, uri = integer(buffer, "byteLength", name), buffer.get("uri")
        if uri is None:
            data = self._chunk
            packed = table(buffer, "extensions", name).keys() & PACKED.keys()
            if key != 0 or data is None:
                packed |= table(view, "extensions", where).keys() & PACKED.keys()
            if packed:
                raise_packed(packed.pop())
            if key != 0 or data is None:
                raise ValueError(f"{name} has no uri, and no binary chunk holds it")
        elif not isinstance(uri, str):
            raise ValueError(f"{name} has a uri that is no text")
        elif uri[:5].lower() == "data:":
            data = memoryview(_decode_data(uri, name))
        else:
            self._bytes_left -= length
            if self._bytes_left < 0:
                raise ValueError(f"its buffers have more than {_MOST_BUFFER_BYTES} bytes")
            with _find_beside(self._folder, uri, name).open("rb") as file:
                data = memoryview(file.read(length))
        if len(data) < length:
            raise ValueError(f"{name} has {len(data)} bytes, but {length} are announced")
        self._buffers[key] = data[:length]
        return self._buffers[key]


def _split_glb(data: bytes) -> tuple[bytes, memoryview | None]:
    """Return the JSON, and the binary chunk if there is one."""
    if not data.startswith(b"glTF"):
        return data, None
    if len(data) < 12:
        raise ValueError(f"its header has 12 bytes, but there are {len(data)}")
    version, length = struct.unpack_from("<2I", data, 4)
    if version != 2:
        raise ValueError(f"it is GLB version {version}; export it as glTF 2.0")
    if length > len(data):
        raise ValueError(f"{length} bytes are announced, but there are {len(data)}")
    text: bytes | None = None
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, position)
        position += 8
        if position + size > length:
            raise ValueError(
                f"a chunk of {size} bytes is announced, but only {length - position} follow"
            )
        if text is None:
            if kind != b"JSON":
                raise ValueError("its first chunk is not JSON")
            text = data[position : position + size].rstrip(b"\0")
        elif kind == b"BIN\0":
            return text, memoryview(data)[position : position + size]
        # Chunks of other kinds may be there, and mean nothing to those who do not know them.
        position += size
    if text is None:
        raise ValueError("it has no chunk of JSON")
    return text, None


def _component(data: Json, where: str) -> np.dtype[Any]:
    code = data.get("componentType")
    if not isinstance(code, int) or code not in _COMPONENTS:
        known = ", ".join(map(str, _COMPONENTS))
        raise ValueError(f"{where}: componentType is {code!r}; it must be one of {known}")
    return np.dtype(_COMPONENTS[code])


def _decode_data(uri: str, name: str) -> bytes:
    """Return what a data URI holds."""
    head, comma, body = uri.partition(",")
    if not comma:
        raise ValueError(f"{name} has a data URI without a comma")
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(data)
    except ValueError as error:
        raise ValueError(f"{name} has a data URI that cannot be read: {error}") from error


def _find_beside(folder: Path, uri: str, name: str) -> Path:
    """Return the path of a buffer's file, which is given relative to the folder."""
    decoded = unquote(uri)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", uri) or Path(decoded).anchor:
        raise ValueError(
            f"{name} is at {uri[:80]!r}; nothing is fetched, and only paths relative to the "
            "glTF file are followed"
        )
    # Some writers leave a name as it is, percent signs and all.
    for path in (folder / decoded, folder / uri):
        # Devices and pipes would be read for ever.
        if path.is_file():
            return path
    raise ValueError(f"{name} is in the file {decoded!r}, which is missing")
