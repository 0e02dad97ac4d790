"""A report's shapes: small pictures, originals light enough to go into a page, and the files."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from doh3d.codec.container import parse
from doh3d.codec.shape_code import ShapeCode
from doh3d.errors import Doh3dError
from doh3d.view.grids import code_line
from doh3d.view.report_content import Level, Subject, is_file_of, spread
from doh3d.view.shading import Surface
from doh3d.volumes.files import split_label

if TYPE_CHECKING:
    import trimesh

# Of all originals of a page, in base64, and of all files; with plotly's own 5 MB a page stays below
# 10 MB.
_MESH_BYTES = 2_000_000
_FILE_BYTES = 2_000_000
# Of a face and the half vertex that comes with it; and in base64.
_PACKED_FACE = 6 + 3
_BYTES_A_FACE = _PACKED_FACE * 4 / 3
# Where each face has three vertices of its own, as between edges, so many fewer take as much.
_FACES_BETWEEN_EDGES = _PACKED_FACE / (6 + 18)
_MOST_FACES = 20_000
_LEAST_FACES = 500
# Files of all shapes together.
_MOST_LEVELS = 80
# Of the extraction for pictures.
_RESOLUTION = 96
_PIXELS = 220
# Pictures of a shape: the original, and so many of its levels.
_PICTURED_LEVELS = 3
# Quantised coordinates are from -_STEPS to _STEPS.
_STEPS = 32_000

Progress = Callable[[int, int], None]


def draw_subjects(
    subjects: Sequence[Subject],
    *,
    reference: Path | None,
    up: Literal["x", "y", "z"],
    progress: Progress,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Decode, draw and pack shapes.

    Parameters
    ----------
    subjects : sequence of Subject
    reference : Path, optional
        An original, or a folder of them by name, for what is no longer where it was.
    up : {"x", "y", "z"}
        The upright axis.
    progress : callable
        Called with shapes done, and how many there are.

    Returns
    -------
    shapes : list of dict
        Ready for the page's template and its data; see `_drawn`.
    notes : list of str
        What could not be shown, and why.
    """
    subjects = _within(subjects)
    budget = int(_MESH_BYTES / _BYTES_A_FACE / max(len(subjects), 1))
    faces = min(max(budget, _LEAST_FACES), _MOST_FACES)
    shapes: list[dict[str, Any]] = []
    notes: list[str] = []
    for done, subject in enumerate(subjects):
        progress(done, len(subjects))
        found = [(level, _read(level, notes)) for level in subject.levels]
        files = [(level, *each) for level, each in found if each is not None]
        code = files[0][2] if files else None
        original = _original(subject, reference, code, notes)
        if code is not None:
            of_grid = code_line(code)
            if of_grid is not None:
                subject = replace(subject, note=f"{subject.note}; {of_grid}")
            data = [(level, each) for level, each, _ in files]
            shapes.append(_drawn(subject, original, data, faces, up, notes))
    return shapes, notes


def _within(subjects: Sequence[Subject]) -> list[Subject]:
    """Those whose files go into a page: the first of them."""
    kept: list[Subject] = []
    for subject in subjects:
        levels = [level for each in [*kept, subject] for level in each.levels]
        if len(levels) > _MOST_LEVELS or sum(level.size for level in levels) * 4 / 3 > _FILE_BYTES:
            break
        kept.append(subject)
    return kept


def _original(
    subject: Subject, reference: Path | None, code: ShapeCode | None, notes: list[str]
) -> trimesh.Trimesh | None:
    from doh3d.evaluation.inputs import read_reference

    label = None if code is None else code.extras.label
    places = []
    if reference is not None:
        places.append(reference / subject.name if reference.is_dir() else reference)
    elif subject.original is not None:
        places.append(Path(subject.original))
    for place in places:
        if is_file_of(Path(split_label(str(place))[0]), subject.original_sha256):
            try:
                return read_reference(place, label=label).mesh
            except Doh3dError as error:
                notes.append(str(error))
                return None
    where = f"{places[0]} is not there, or another mesh" if places else "it is not recorded where"
    notes.append(f"{subject.name}: shown without its original: {where}; name it with --reference")
    return None


def _read(level: Level, notes: list[str]) -> tuple[bytes, ShapeCode] | None:
    """Return a level's file, and what it holds, if the page can decode it."""
    try:
        data = level.read()
        return data, parse(data)
    except Doh3dError as error:
        notes.append(f"{level.label}: not shown: {error}")
        return None


def _decode(level: Level, data: bytes, notes: list[str]) -> trimesh.Trimesh | None:
    from doh3d.field import OccupancyField

    try:
        return OccupancyField(parse(data), "cpu").to_mesh(_RESOLUTION)
    except Doh3dError as error:
        notes.append(f"{level.label}: no picture: {error}")
        return None


def _drawn(
    subject: Subject,
    original: trimesh.Trimesh | None,
    files: Sequence[tuple[Level, bytes]],
    faces: int,
    up: Literal["x", "y", "z"],
    notes: list[str],
) -> dict[str, Any]:
    """Return names, pictures as data URIs, the original packed, and the files in base64."""
    found = [
        (level, _decode(level, data, notes)) for level, data in spread(files, _PICTURED_LEVELS)
    ]
    pictured = [(level, mesh) for level, mesh in found if mesh is not None]
    box = original if original is not None else pictured[-1][1] if pictured else None
    corners = np.array([[-1.0] * 3, [1.0] * 3])
    if box is not None and len(box.faces):
        corners = np.array(box.bounds)
    centre, half = corners.mean(axis=0), float((corners[1] - corners[0]).max()) / 2 or 1.0
    return {
        "name": subject.name,
        "note": subject.note,
        "pictures": _pictures(original, pictured, up),
        "box": corners.tolist(),
        "centre": centre.tolist(),
        "half": half,
        "original": None if original is None else pack(original, centre, half, faces),
        "levels": [
            {"text": level_text(level), "file": base64.b64encode(data).decode()}
            for level, data in files
        ],
    }


def level_text(level: Level) -> str:
    """Return what the page says of a level: bytes, IoU, and what made it."""
    iou = "" if level.iou is None else f", IoU {level.iou:.4f}"
    return f"{level.size:,} bytes{iou} ({level.label})"


def _pictures(
    original: trimesh.Trimesh | None,
    decoded: Sequence[tuple[Level, trimesh.Trimesh]],
    up: Literal["x", "y", "z"],
) -> list[dict[str, str]]:
    from doh3d.view.thumbnail import draw_panels, to_bytes

    meshes = [mesh for _, mesh in decoded]
    captions = [f"{level.size:,} bytes" for level, _ in decoded]
    if original is not None:
        meshes, captions = [original, *meshes], ["original", *captions]
    if not any(len(mesh.faces) for mesh in meshes):
        return []
    return [
        {
            "caption": caption,
            "uri": f"data:image/webp;base64,{base64.b64encode(to_bytes(panel, 'WEBP')).decode()}",
        }
        for caption, panel in zip(captions, draw_panels(meshes, pixels=_PIXELS, up=up), strict=True)
    ]


def pack(
    mesh: trimesh.Trimesh, centre: npt.NDArray[np.float64], half: float, faces: int
) -> dict[str, str]:
    """Simplify a mesh and write it as int16 places and uint16 corners, in base64.

    The page takes the mean of a vertex's faces for its normal, so that each face at a sharp edge
    gets vertices of its own.

    Parameters
    ----------
    mesh : trimesh.Trimesh
    centre : (3,) float64
        What becomes the origin.
    half : float
        What becomes 1, up to the step of 1/32000.
    faces : int
        About how many to keep, at most 20,000; fewer where there are many edges.
    """
    surface = _simplified(mesh, faces, half)
    if _packed_bytes(surface) > 1.5 * _PACKED_FACE * faces:
        surface = _simplified(mesh, int(_FACES_BETWEEN_EDGES * faces), half)
    places = np.clip((surface.vertices - centre) / half, -1.02, 1.02) * (_STEPS / 1.02)
    used, corners = np.unique(surface.faces, return_inverse=True)
    return {
        "places": _base64(np.round(places[used]).astype("<i2")),
        "corners": _base64(corners.reshape(-1, 3).astype("<u2")),
    }


def _packed_bytes(surface: Surface) -> int:
    return 6 * len(np.unique(surface.faces)) + 6 * len(surface.faces)


def _simplified(mesh: trimesh.Trimesh, faces: int, half: float) -> Surface:
    from doh3d.evaluation.simplification import simplify

    simpler = simplify(mesh, faces, "open3d_qem")
    places = np.asarray(simpler.vertices, dtype=np.float64)
    corners = np.asarray(simpler.faces, dtype=np.int64)
    # What it could not simplify, such as a cloud of specks, is drawn on a coarser and coarser grid.
    cells = 256
    while len(corners) > 1.5 * faces and cells >= 4:
        places, corners = _on_grid(places, corners, half / cells)
        cells //= 2
    return Surface.of(places, corners)


def _on_grid(
    places: npt.NDArray[np.float64], corners: npt.NDArray[np.int64], spacing: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Join what falls into one cell; faces that vanish or repeat are dropped."""
    _, first, cell = np.unique(
        np.floor(places / spacing), axis=0, return_index=True, return_inverse=True
    )
    joined = cell.reshape(-1)[corners]
    a, b, c = joined.T
    joined = joined[(a != b) & (b != c) & (a != c)]
    _, kept = np.unique(np.sort(joined, axis=1), axis=0, return_index=True)
    return places[first], joined[kept]


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
