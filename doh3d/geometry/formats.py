"""Reading mesh files, whichever format they are in.

What comes back is raw: :func:`doh3d.geometry.mesh.clean_mesh` checks and repairs it.
"""

from __future__ import annotations

import re
import warnings
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from doh3d.errors import MeshError
from doh3d.files import MAGIC, other_kind
from doh3d.geometry.gltf import read_gltf
from doh3d.geometry.obj import read_obj
from doh3d.geometry.off import read_off
from doh3d.geometry.ply import many_in_ply, read_ply
from doh3d.geometry.polygons import MOST_FACES
from doh3d.geometry.raw_mesh import RawMesh
from doh3d.geometry.stl import many_in_stl, read_stl
from doh3d.geometry.text import as_utf8
from doh3d.geometry.thinning import MOST_THINNED, thin
from doh3d.geometry.threemf import read_3mf

SUPPORTED = {
    ".ply": "PLY",
    ".obj": "OBJ",
    ".stl": "STL",
    ".off": "OFF",
    ".glb": "GLB",
    ".gltf": "glTF",
    ".3mf": "3MF",
}

# Files of other kinds that carry a mesh's extension now and then.
_FOREIGN_MAGIC = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
}
_ZIP_MAGIC = b"PK\x03\x04"

# What shows a file's format whatever its extension says.
_MESH_MAGIC = {
    rb"ply[ \t]*[\r\n]": "PLY",
    rb"glTF": "GLB",
    rb"(ST)?C?N?4?n?OFF\b": "OFF",
    rb"(?i)\s*solid[^\r\n]*[\r\n]\s*facet\s": "STL",
}

_READERS = {"PLY": read_ply, "OBJ": read_obj, "STL": read_stl, "OFF": read_off}

# What finds more than `MOST_FACES` triangles in a binary file without reading them.
_MANY = {"PLY": many_in_ply, "STL": many_in_stl}

# Files of more bytes are refused before they are read, unless they are thinned on the way; text
# unfolds to several times its size.
_MOST_BYTES = 1 << 29


def read_mesh(path: Path, *, exact: bool = False) -> RawMesh:
    """Read all triangles of a file, the parts of a scene being joined.

    More than `MOST_FACES` triangles of a binary PLY or STL file, up to 30 million, are thinned
    while they are read, see :func:`doh3d.geometry.thinning.thin`.

    Parameters
    ----------
    path : Path
        A PLY, OBJ, STL, OFF, GLB, glTF or 3MF file; its content says which where that is plain,
        and its extension otherwise.
    exact : bool, optional
        Refuse what would be thinned.

    Returns
    -------
    RawMesh
        The triangles as they are in the file, or are left of it, not welded or checked for
        anything but that their vertices exist.

    Raises
    ------
    MeshError
        The file is missing, of another kind, damaged, or has too many triangles.
    """
    name = " ".join(str(path).split()) or "."
    kind = detect_format(path)
    try:
        # Damaged files make readers and numpy warn before they fail; the error says it all.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            mesh = None if exact else _read_thinned(path, kind)
            if mesh is None:
                mesh = _read_whole(path, kind, name)
    except MeshError:
        raise
    # The readers raise every kind of exception on damaged files.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        # Some reasons say by themselves what would be right.
        advice = "" if "; " in reason else f"; a whole {kind} file is needed"
        raise MeshError(f"{name}: cannot be read as {kind} ({reason}){advice}") from error
    if len(mesh.faces) > MOST_FACES:
        raise MeshError(
            f"{name}: the mesh has {len(mesh.faces)} triangles; at most {MOST_FACES} are read, so "
            "simplify it first"
        )
    return mesh


def _read_whole(path: Path, kind: str, name: str) -> RawMesh:
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise MeshError(
            f"{name}: has {size} bytes; at most {_MOST_BYTES} are read, and of triangles in "
            f"binary PLY or STL {MOST_THINNED}, unless all are to be kept"
        )
    if kind in _READERS:
        return RawMesh(*_READERS[kind](path.read_bytes()))
    return read_3mf(path, MOST_FACES) if kind == "3MF" else read_gltf(path, MOST_FACES)


def _read_thinned(path: Path, kind: str) -> RawMesh | None:
    """Thin what has too many triangles; None where a file is to be read whole, or cannot be."""
    if kind not in _MANY:
        return None
    with path.open("rb") as file:
        # It closes when the last array that looks into it is gone.
        triangles = _MANY[kind](mmap(file.fileno(), 0, access=ACCESS_READ))
    return None if triangles is None else thin(triangles)


def detect_format(path: Path) -> str:
    """Return the format's name, or raise the MeshError that says why this is no mesh."""
    name = " ".join(str(path).split()) or "."
    other = other_kind(path)
    if other is not None:
        raise MeshError(f"{name}: is {other}; a mesh file is needed")
    try:
        with path.open("rb") as file:
            start = as_utf8(file.read(1024))
    except FileNotFoundError as error:
        raise MeshError(f"{name}: no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise MeshError(f"{name}: cannot be opened ({reason})") from error
    extension = path.suffix.lower()
    if start.startswith(MAGIC) or extension == ".doh":
        raise MeshError(f"{name}: is a .doh file, not a mesh; decompress it first")
    supported = ", ".join(SUPPORTED.values())
    foreign = next((k for magic, k in _FOREIGN_MAGIC.items() if start.startswith(magic)), None)
    if start.startswith(_ZIP_MAGIC) and extension != ".3mf":
        foreign = "a zip archive"
    if foreign:
        other = "; images are for `doh3d image compress`" if foreign.endswith("image") else ""
        raise MeshError(f"{name}: is {foreign}, not a mesh; supported are {supported}{other}")
    if extension not in SUPPORTED:
        found = f"extension {extension} is" if extension else "a file without extension is"
        raise MeshError(f"{name}: {found} not a mesh format; supported are {supported}")
    if not start:
        raise MeshError(f"{name}: the file is empty; a mesh is needed")
    shown = [kind for magic, kind in _MESH_MAGIC.items() if re.match(magic, start)]
    return shown[0] if shown else SUPPORTED[extension]
