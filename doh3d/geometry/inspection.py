"""What is wrong with a mesh, what is done about it, and how its inside is decided."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doh3d.errors import MeshError
from doh3d.geometry import repair
from doh3d.geometry.formats import detect_format, read_mesh
from doh3d.geometry.half_edges import edge_survey, open_edge_count
from doh3d.geometry.mesh import CROSSING, RepairedMesh, repair_mesh
from doh3d.geometry.orientation import find_bodies
from doh3d.geometry.reading import Reading
from doh3d.geometry.stratified import cell_points
from doh3d.geometry.transform import TRANSFORM_BYTES, NormalizingTransform

# Cells along each side of the box in which a volume is sampled that is not known exactly, fewer
# where so many triangles would be looked at for all points.
_CELLS = 128
_MOST_WORK = 1 << 27

# Shares of what is enclosed, or of the box around it, from which on a note is made.
_NOTABLE_SHARE = 0.02
_LOW_FILL = 1e-3
_THIN = 0.01


@dataclass(frozen=True)
class Contents:
    """What the file holds, before anything is done about it.

    Attributes
    ----------
    vertices, faces : int
        Triangles count as faces, polygons being cut.
    unused_vertices : int
        Vertices that no face uses.
    not_finite_faces, joined_vertices, degenerate_faces, duplicate_faces : int
    turned_faces, mended_faces, crossing_bodies : int
        See `RepairedMesh`.
    open_edges : int
        Edges of one face only: where the surface has a hole or an end.
    non_manifold_edges : int
        Edges of three faces or more.
    flipped_edges : int
        Edges whose two faces wind in opposite ways.
    """

    vertices: int
    faces: int
    unused_vertices: int
    not_finite_faces: int
    joined_vertices: int
    degenerate_faces: int
    duplicate_faces: int
    turned_faces: int
    mended_faces: int
    crossing_bodies: int
    open_edges: int
    non_manifold_edges: int
    flipped_edges: int


@dataclass(frozen=True)
class Shape:
    """The shape that is enclosed.

    Attributes
    ----------
    watertight : bool
        Whether the repaired surface is closed.
    orientation : "outwards", "inside out" or "mixed"
        Of the faces as they are in the file.
    bodies, cavities, flat_bodies : int
        Bodies of positive, of negative and of no volume.
    volume : float
        Of what is enclosed, cubic units; overlaps count once. Exact where the surface is closed
        and bodies neither overlap nor wind in opposite ways, otherwise by 2^21 points.
    area : float
        Of the repaired surface, square units.
    thickness : float
        Mean thickness as a share of the longest side: 2 volume / (area * longest side).
    size : three floats
        Sides of the bounding box, in the file's own units.
    centre : three floats
        Of the bounding box.
    unit : str
        What one unit is, where the format says so.
    transform_bytes : int
        What a file takes to say where and how large the shape is: 8, more where it is far off.
    fill : float
        Share of the bounding box that is enclosed.
    unclear, overlap, undecided, difference : float
        See :class:`doh3d.geometry.survey.Survey`.
    """

    watertight: bool
    orientation: str
    bodies: int
    cavities: int
    flat_bodies: int
    volume: float
    area: float
    thickness: float
    size: tuple[float, float, float]
    centre: tuple[float, float, float]
    unit: str
    transform_bytes: int
    fill: float
    unclear: float
    overlap: float
    undecided: float
    difference: float


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect_mesh` found.

    Attributes
    ----------
    file, format : str
    usable : bool
        Whether a shape can be made of the file.
    reason : str or None
        Why not.
    contents, shape
        None where the file is not usable.
    notes : tuple of str
        What is repaired, and what deserves a look.
    inside : str or None
        How inside and outside are decided.
    """

    file: str
    format: str
    usable: bool
    reason: str | None
    contents: Contents | None
    shape: Shape | None
    notes: tuple[str, ...]
    inside: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        return {**asdict(self), "notes": list(self.notes)}


def inspect_mesh(path: str | Path) -> Inspection:
    """Look at a mesh file without fitting anything.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Inspection
        An unusable file is no error here: `usable` is False and `reason` says why.
    """
    path = Path(path)
    kind = "unknown"
    try:
        kind = detect_format(path)
        raw = read_mesh(path)
        reading = Reading(raw, repair_mesh(raw, str(path)))
    except MeshError as error:
        return Inspection(str(path), kind, False, str(error), None, None, (), None)
    vertices, faces, repaired = raw.vertices, raw.faces, reading.repaired
    edge_faces, flipped = edge_survey(repaired.given_faces)
    contents = Contents(
        vertices=len(vertices),
        faces=len(faces),
        unused_vertices=len(vertices) - int(repair.is_used(len(vertices), faces).sum()),
        not_finite_faces=repaired.not_finite_faces,
        joined_vertices=repaired.joined_vertices,
        degenerate_faces=repaired.degenerate_faces,
        duplicate_faces=repaired.duplicate_faces,
        turned_faces=repaired.turned_faces,
        mended_faces=repaired.mended_faces,
        crossing_bodies=repaired.crossing_bodies,
        open_edges=int((edge_faces == 1).sum()),
        non_manifold_edges=int((edge_faces > 2).sum()),
        flipped_edges=flipped,
    )
    shape = _describe(reading, raw.unit or "not stated")
    notes = (
        *raw.notes,
        *_repairs(repaired),
        *(f"look: {line}" for line in reading.warnings),
        *_peculiarities(shape),
    )
    return Inspection(str(path), kind, True, None, contents, shape, notes, _decision(shape))


def _describe(reading: Reading, unit: str) -> Shape:
    import trimesh

    repaired, mesh, survey = reading.repaired, reading.mesh, reading.survey
    transform = NormalizingTransform.from_bounds(mesh.bounds)
    points = transform.to_normalized(mesh.vertices)
    faces = np.asarray(mesh.faces, dtype=np.int64)
    bodies = find_bodies(points, faces)
    # In normalised units, in which no product leaves float64.
    normalized = trimesh.Trimesh(points, faces, process=False)
    sides, area, signed = np.ptp(points, axis=0), float(normalized.area), float(normalized.volume)
    del points, normalized
    if bodies.is_open.any() or survey.overlap or survey.unclear:
        enclosed = _sampled_fill(reading) * float(np.prod(sides))
    else:
        enclosed = abs(signed)
    turned = repaired.turned_faces
    orientation = "mixed" if turned else "outwards"
    if turned == len(repaired.given_faces):
        orientation = "inside out"
    low, high = np.asarray(mesh.bounds, dtype=np.float64)
    return Shape(
        watertight=open_edge_count(faces) == 0,
        orientation=orientation,
        bodies=int((bodies.volume > 0).sum()),
        cavities=int((bodies.volume < 0).sum()),
        flat_bodies=int((bodies.volume == 0).sum()),
        volume=enclosed * transform.scale**3,
        area=area * transform.scale**2,
        thickness=2 * enclosed / area / float(sides.max()),
        size=_triple(high - low),
        centre=_triple(low / 2 + high / 2),
        unit=unit,
        transform_bytes=TRANSFORM_BYTES[transform.rounded().form],
        fill=enclosed / float(np.prod(sides)),
        unclear=survey.unclear,
        overlap=survey.overlap,
        undecided=survey.undecided,
        difference=survey.difference,
    )


def _sampled_fill(reading: Reading) -> float:
    """Measure the share of the bounding box that is enclosed, by a point in each of many cells."""
    inside = reading.inside
    low, high = np.asarray(reading.mesh.bounds, dtype=np.float64)
    side = max(1, min(_CELLS, int(np.cbrt(_MOST_WORK / max(inside.work, 1.0)))))
    return sum(int(inside(p).sum()) for p in cell_points(low, high, side, seed=0)) / side**3


def _triple(values: repair.FloatArray) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _decision(shape: Shape) -> str:
    if shape.watertight:
        return "closed surface: inside where the winding number is above one half"
    return (
        "open surface: inside where more than half of all directions are blocked, and within "
        "the bounding box"
    )


def _repairs(repaired: RepairedMesh) -> tuple[str, ...]:
    counts = {
        "faces with a vertex that is not finite are left out": repaired.not_finite_faces,
        "vertices are joined to others at the same place": repaired.joined_vertices,
        "faces without area are left out": repaired.degenerate_faces,
        "faces that repeat another, or divide two bodies, are left out": repaired.duplicate_faces,
    }
    notes = [f"{count} {what}" for what, count in counts.items() if count]
    if repaired.turned_faces:
        notes.append(repaired.turning)
    if repaired.crossing_bodies:
        notes.append(f"look: {repaired.crossing_bodies} {CROSSING}")
    return tuple(notes)


def _peculiarities(shape: Shape) -> tuple[str, ...]:
    notes = []
    if shape.overlap > _NOTABLE_SHARE:
        notes.append(f"{shape.overlap:.0%} of the volume lies in several bodies: joined into one")
    if shape.fill < _LOW_FILL:
        notes.append(
            f"look: the shape fills {shape.fill:.2%} of its bounding box; stray faces far away, "
            "or parts far apart, leave too little room for it"
        )
    elif shape.thickness < _THIN:
        notes.append(
            f"look: walls are {shape.thickness:.2%} of the longest side thick on average; a "
            "small file may lose them"
        )
    return tuple(notes)
