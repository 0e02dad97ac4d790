"""Reading mesh files: through trimesh, and around what it does not read.

What comes back is raw: :func:`doh3d.geometry.mesh.clean_mesh` checks and repairs it.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doh3d.errors import MeshError

if TYPE_CHECKING:
    import trimesh

SUPPORTED = {
    ".ply": "PLY",
    ".obj": "OBJ",
    ".stl": "STL",
    ".off": "OFF",
    ".glb": "GLB",
    ".gltf": "glTF",
    ".3mf": "3MF",
}

_DOH_MAGIC = b"\xd0OH"

# Files of other kinds that carry a mesh's extension now and then.
_FOREIGN_MAGIC = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
}

_OFF_HEADER = re.compile(r"(?P<prefix>(?:ST)?C?N?4?n?)OFF(?P<rest>.*)", re.DOTALL)

# Polygons of up to this many corners are cut from their best corner, larger ones from the first.
_MOST_FAN_APEXES = 64


def read_mesh(path: Path) -> trimesh.Trimesh:
    """Read all triangles of a file, the parts of a scene being joined.

    Parameters
    ----------
    path : Path
        A PLY, OBJ, STL, OFF, GLB, glTF or 3MF file; the extension says which.

    Returns
    -------
    trimesh.Trimesh
        The triangles as they are in the file, not welded or checked in any way.

    Raises
    ------
    MeshError
        The file is missing, of another kind, or damaged.
    """
    name = " ".join(str(path).split()) or "."
    kind = _check_kind(path, name)
    try:
        # Damaged files make trimesh and numpy warn before they fail; the error says it all.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _read_off(path) if kind == "OFF" else _read_through_trimesh(path, kind)
    except MeshError:
        raise
    except ImportError as error:
        raise MeshError(
            f"{name}: reading {kind} needs the package {error.name or error}; install it, "
            "or convert the mesh to PLY"
        ) from error
    # The readers raise every kind of exception on damaged files.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MeshError(
            f"{name}: cannot be read as {kind} ({reason}); a whole {kind} file is needed"
        ) from error


def _check_kind(path: Path, name: str) -> str:
    """Return the format's name, or raise what tells a user that this is no mesh."""
    try:
        if path.is_dir():
            raise MeshError(f"{name}: is a directory; a mesh file is needed")
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError as error:
        raise MeshError(f"{name}: no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise MeshError(f"{name}: cannot be opened ({reason})") from error
    extension = path.suffix.lower()
    if start.startswith(_DOH_MAGIC) or extension == ".doh":
        raise MeshError(f"{name}: is a .doh file, not a mesh; decompress it first")
    supported = ", ".join(SUPPORTED.values())
    foreign = next((k for magic, k in _FOREIGN_MAGIC.items() if start.startswith(magic)), None)
    if foreign:
        raise MeshError(f"{name}: is {foreign}, not a mesh; supported are {supported}")
    if extension not in SUPPORTED:
        found = f"extension {extension} is" if extension else "a file without extension is"
        raise MeshError(f"{name}: {found} not a mesh format; supported are {supported}")
    if not start:
        raise MeshError(f"{name}: the file is empty; a {SUPPORTED[extension]} mesh is needed")
    return SUPPORTED[extension]


def _read_through_trimesh(path: Path, kind: str) -> trimesh.Trimesh:
    import trimesh

    options: dict[str, Any] = {"skip_materials": True} if kind == "OBJ" else {}
    try:
        scene = trimesh.load_scene(path, process=False, **options)
    except IndexError:
        if kind == "OBJ":
            _explain_obj_index(path)
        raise
    # dump() applies the transforms, and drops what no node of the scene shows.
    parts: list[Any] = list(scene.dump())
    vertices: list[npt.NDArray[np.float64]] = []
    faces: list[npt.NDArray[np.int64]] = []
    offset = 0
    for part in parts:
        corners = np.asarray(getattr(part, "vertices", np.zeros((0, 3))), dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 3:
            continue  # A drawing in the plane.
        own = np.asarray(getattr(part, "faces", np.zeros((0, 3))), dtype=np.int64)
        raw = part.metadata.get("_ply_raw", {}) if own.size == 0 else {}
        if "tristrips" in raw:
            own = _strips_to_triangles(raw["tristrips"]["data"])
        vertices.append(corners)
        faces.append(own.reshape(-1, 3) + offset)
        offset += len(corners)
    return trimesh.Trimesh(
        vertices=np.concatenate(vertices or [np.zeros((0, 3))]),
        faces=np.concatenate(faces or [np.zeros((0, 3), dtype=np.int64)]),
        process=False,
        validate=False,
    )


def _explain_obj_index(path: Path) -> None:
    """Raise the error that names the first OBJ face whose vertex does not exist, if any."""
    lines = path.read_text(errors="replace").splitlines()
    count = sum(line.startswith(("v ", "v\t")) for line in lines)
    for number, line in enumerate(lines, start=1):
        if not line.startswith(("f ", "f\t")):
            continue
        for corner in line.split()[1:]:
            index = int(corner.split("/")[0])
            if index == 0 or abs(index) > count:
                name = " ".join(str(path).split())
                raise MeshError(
                    f"{name}: line {number}: a face uses vertex {index}, but there are {count}, "
                    "numbered from 1"
                )


def _strips_to_triangles(data: Any) -> npt.NDArray[np.int64]:
    """Cut PLY triangle strips, -1 between strips, into (F, 3) triangles of one winding."""
    flat: Any = data
    while getattr(flat, "dtype", None) is not None and flat.dtype.names:
        # Of a list property the last field is its values, those before are its length.
        flat = flat[flat.dtype.names[-1]]
    if isinstance(flat, dict):
        flat = next(iter(flat.values()))
    index = np.concatenate(
        [np.ravel(np.asarray(row, dtype=np.int64)) for row in np.atleast_1d(flat)]
    )
    if len(index) < 3:
        return np.zeros((0, 3), dtype=np.int64)
    triangles = np.column_stack([index[:-2], index[1:-1], index[2:]])
    # Every second triangle of a strip runs the other way round, counted from the strip's start.
    position = np.arange(len(index))
    start = np.maximum.accumulate(np.where(index < 0, position + 1, 0))
    odd = (position - start)[:-2] % 2 == 1
    triangles[odd] = triangles[odd][:, ::-1]
    return triangles[(triangles >= 0).all(axis=1)]


def _read_off(path: Path) -> trimesh.Trimesh:
    """Read an ASCII OFF file with polygons of any size."""
    import trimesh

    text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8-sig", errors="replace")).strip()
    header = _OFF_HEADER.match(text)
    rest = header["rest"].lstrip() if header else text
    if rest.startswith("BINARY") or "4" in (header["prefix"] if header else ""):
        raise ValueError("binary and four-dimensional OFF are not supported")
    lines = [line for line in map(str.strip, rest.splitlines()) if line]
    vertex_count, face_count = (int(word) for word in lines[0].split()[:2])
    if vertex_count < 0 or face_count < 0:
        raise ValueError(f"{vertex_count} vertices and {face_count} faces are announced")
    faces = [line.split() for line in lines[vertex_count + 1 : vertex_count + face_count + 1]]
    if len(faces) == face_count and all(len(words) > int(words[0]) for words in faces):
        # One vertex or face a line, which colours or normals may follow.
        rows = [line.split()[:3] for line in lines[1 : vertex_count + 1]]
    else:
        rows, faces = _split_free_form(lines[1:], vertex_count, face_count)
    vertices = np.array(rows, dtype=np.float64).reshape(-1, 3)
    by_size: dict[int, list[list[str]]] = {}
    for words in faces:
        size = int(words[0])
        by_size.setdefault(size, []).append(words[1 : size + 1])
    # Points and lines among the faces bound nothing.
    polygons = [np.array(p, dtype=np.int64) for size, p in by_size.items() if size >= 3]
    triangles = [cut_polygons(vertices, polygon) for polygon in polygons]
    joined = np.concatenate([np.zeros((0, 3), dtype=np.int64), *triangles])
    return trimesh.Trimesh(vertices=vertices, faces=joined, process=False, validate=False)


def _split_free_form(
    lines: list[str], vertex_count: int, face_count: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Split the numbers of an OFF file whose line breaks mean nothing into vertices and faces."""
    words = " ".join(lines).split()
    rows = [words[3 * k : 3 * k + 3] for k in range(min(vertex_count, len(words) // 3))]
    position = 3 * vertex_count
    faces: list[list[str]] = []
    while len(faces) < face_count and position < len(words):
        end = position + 1 + max(int(words[position]), 0)
        faces.append(words[position:end])
        position = end
    if position > len(words) or len(faces) < face_count:
        raise ValueError(
            f"{vertex_count} vertices and {face_count} faces are announced, but only "
            f"{len(words)} numbers follow"
        )
    return rows, faces


def cut_polygons(
    vertices: npt.NDArray[np.float64], polygons: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Cut polygons of k corners into fans of triangles.

    The fan starts at the corner from which its triangles overlap least, so that every convex and
    many concave polygons are cut exactly. Where triangles do overlap they run in opposite
    directions there, so the solid angles, and with them inside and outside, stay right.

    Parameters
    ----------
    vertices : (V, 3) float64
        Positions, in any units.
    polygons : (N, k) int64
        Corners of each polygon in order, k >= 3; not checked to be in range.

    Returns
    -------
    (N (k - 2), 3) int64
        Triangles.
    """
    size = polygons.shape[1]
    known = (polygons >= 0).all() and (polygons < len(vertices)).all()
    if 3 < size <= _MOST_FAN_APEXES and known:
        worst = np.full(len(polygons), -np.inf)
        best = np.zeros(len(polygons), dtype=np.int64)
        for apex in range(size):
            spokes = vertices[np.roll(polygons, -apex, axis=1)]
            spokes = spokes[:, 1:] - spokes[:, :1]
            normals = np.cross(spokes[:, :-1], spokes[:, 1:])
            # The sum of a fan's normals is the same from every corner.
            smallest = np.einsum("nij,nj->ni", normals, normals.sum(axis=1)).min(axis=1)
            better = smallest > worst
            worst[better], best[better] = smallest[better], apex
        order = (np.arange(size) + best[:, None]) % size
        polygons = np.take_along_axis(polygons, order, axis=1)
    fans = [polygons[:, [0, k, k + 1]] for k in range(1, size - 1)]
    return np.stack(fans, axis=1).reshape(-1, 3)
