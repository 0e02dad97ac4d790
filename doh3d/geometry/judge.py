"""An independent judge of what a file encloses: by its faces as they are, without any repair.

Whoever measures a shape against its own repair of the file does not see a wrong repair. So two
tests are asked that know nothing of it: the size of the winding number, which is right wherever a
body is wound in one way, whichever that is; and the majority of several rays' parities, which do
not ask for windings at all. Where the two disagree nobody knows, and the point is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from doh3d.geometry import repair
from doh3d.geometry.crossings import RayCrossings
from doh3d.geometry.duplicates import align_copies
from doh3d.geometry.half_edges import HalfEdges
from doh3d.geometry.occupancy import InsideTest, inside_test
from doh3d.geometry.raw_mesh import RawMesh
from doh3d.geometry.repair import BoolArray, FloatArray, IntArray
from doh3d.geometry.seams import stitched
from doh3d.geometry.transform import NormalizingTransform

if TYPE_CHECKING:
    import numpy.typing as npt
    import trimesh

# Lines that rays follow, both ways each: turned so that no part lies along them but by chance.
_LINES = 3

# Of so many rays, this many have to agree where nothing else is asked.
_CLEAR_MAJORITY = 5

# Where more of the edges between two faces than this join faces that wind in opposite ways, the
# winding number means nothing.
_MOST_DISAGREEING = 0.05

# Share of the area that is given in both windings, with outside on both sides, from which on the
# winding number means nothing; and how far before and behind a face that is seen: this share of
# the square root of its area, and no farther than this.
_MOST_TWO_SIDED = 0.01
_DEPTH, _DEEPEST = 1e-3, 2e-5

# About how many points are asked after: those of a survey, and those of an IoU.
_ASKED = 1 << 19

# Points a call: bounds the memory.
_CHUNK = 1 << 18

UNDECIDED = -1


@dataclass(frozen=True)
class Judge:
    """Tells which points lie in what a file encloses. Made by :meth:`of`.

    Attributes
    ----------
    method : "winding number", "rays" or "both"
        The winding number alone, where the faces close without a gap: any ray's parity is then
        the same as its. Rays alone, where windings tell nothing: neighbours wind in opposite
        ways, or all faces are given both ways.
    bounds : (2, 3) float64
        Beyond it everything is outside.
    """

    method: Literal["winding number", "rays", "both"]
    bounds: FloatArray
    _transform: NormalizingTransform
    _winding: InsideTest
    _lines: tuple[RayCrossings, ...]

    @classmethod
    def of(cls, mesh: RawMesh | trimesh.Trimesh) -> Judge:
        """Prepare the judge of a mesh whose repair has found a shape in it.

        Parameters
        ----------
        mesh : RawMesh or trimesh.Trimesh
            The faces as they were read.
        """
        import trimesh

        vertices = np.asarray(mesh.vertices, dtype=np.float64)
        faces = np.asarray(mesh.faces, dtype=np.int64)
        faces = faces[repair.is_finite(vertices, faces)]
        used = vertices[faces].reshape(-1, 3)
        bounds = np.stack([used.min(axis=0), used.max(axis=0)])
        transform = NormalizingTransform.from_bounds(bounds)
        with np.errstate(over="ignore", invalid="ignore"):
            points = transform.to_normalized(vertices)
        # Equal vertices get one number, so that it shows where faces meet; none moves.
        kept, faces = repair.weld(points, faces)
        faces = faces[~repair.has_repeated_corner(faces)]
        points, vertices = points[kept], vertices[kept]

        half = HalfEdges.of(faces)
        closed = not half.unbalanced(np.zeros(len(faces), dtype=np.int64)).any()
        # Who meets whom is told across gaps too, or files whose faces nowhere touch would pass.
        met = half if closed else stitched(points, faces)
        one, two = met.pairs(most=2)
        disagreeing = np.mean(met.sign[one] == met.sign[two]) if len(one) else 0.0
        welded = trimesh.Trimesh(vertices, faces, process=False)
        winding = inside_test(welded, reproducible=False, either_side=True)
        second = _second_sides(points, faces, winding, transform)
        if disagreeing > _MOST_DISAGREEING or _area(points, faces[second]) > (
            _MOST_TWO_SIDED * _area(points, faces)
        ):
            method: Literal["winding number", "rays", "both"] = "rays"
        else:
            method = "winding number" if closed else "both"
        lines = () if method == "winding number" else _lines(points, faces[~second])
        return cls(method, bounds, transform, winding, lines)

    def asks(self, inside: InsideTest) -> bool:
        """Whether an inside test has the winding numbers that this judge would ask for."""
        return self._winding.is_like(inside)

    def __call__(
        self, points: npt.ArrayLike, winding: FloatArray | None = None
    ) -> npt.NDArray[np.int8]:
        """Judge points.

        Parameters
        ----------
        points : (N, 3) float
            In the mesh's own units.
        winding : (N,) float64, optional
            Their winding numbers by a test that this judge `asks`, where they are known already.

        Returns
        -------
        (N,) int8
            1 inside, 0 outside, `UNDECIDED` where the tests disagree.
        """
        points = np.asarray(points, dtype=np.float64)
        verdict = np.zeros(len(points), dtype=np.int8)
        low, high = self.bounds
        near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
        for start in range(0, len(near), _CHUNK):
            some = near[start : start + _CHUNK]
            verdict[some] = self._judge(points[some], None if winding is None else winding[some])
        return verdict

    def _judge(self, points: FloatArray, winding: FloatArray | None) -> npt.NDArray[np.int8]:
        if self.method == "winding number":
            return self._winding(points).astype(np.int8)
        odd = self._odd_rays(self._transform.to_normalized(points))
        rays = 2 * _LINES
        if self.method == "rays":
            decided = np.maximum(odd, rays - odd) >= _CLEAR_MAJORITY
            return np.where(decided, 2 * odd > rays, UNDECIDED).astype(np.int8)
        if winding is None:
            winding = self._winding.winding_numbers(points)
        times = np.rint(np.abs(winding)).astype(np.int64)
        # Where bodies overlap the surface winds twice, and rays meet an even number of faces.
        decided = (2 * odd != rays) & ((2 * odd > rays) == (times % 2 == 1))
        return np.where(decided, times > 0, UNDECIDED).astype(np.int8)

    def _odd_rays(self, points: FloatArray) -> IntArray:
        """Count (N,) how many rays from normalised points meet an odd number of faces."""
        odd = np.zeros(len(points), dtype=np.int64)
        for line in self._lines:
            for met in line.crossings(points):
                odd += met % 2
        return odd


def _lines(points: FloatArray, faces: IntArray) -> tuple[RayCrossings, ...]:
    """Sort faces for rays along lines that no axis of theirs is likely to lie along."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.random(_LINES, rng=np.random.Generator(np.random.PCG64(0))).as_matrix()
    return tuple(RayCrossings.of(points, faces, (turn,), _ASKED) for turn in turns)


def _area(points: FloatArray, faces: IntArray) -> float:
    a, b, c = points[faces].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2


def _second_sides(
    points: FloatArray, faces: IntArray, winding: InsideTest, transform: NormalizingTransform
) -> BoolArray:
    """Tell (F,) which faces repeat one in the other winding, with outside on both sides of them.

    That is a surface doubled for display, which rays are to meet once. A wall between bodies that
    touch has inside on both sides.
    """
    group, first = repair.groups_of_equal_rows(np.sort(align_copies(points, faces), axis=1))
    second = np.ones(len(faces), dtype=np.bool_)
    second[first] = False
    doubled = first[np.unique(group[second])]
    if not len(doubled):
        return second
    corners = points[faces[doubled]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.maximum(np.linalg.norm(normals, axis=1), 1e-300)
    steps = normals * (np.minimum(_DEPTH * np.sqrt(length), _DEEPEST) / length)[:, None]
    middles = corners.mean(axis=1)
    outside = np.ones(len(doubled), dtype=np.bool_)
    for way in (-1.0, 1.0):
        outside &= ~winding(transform.to_world(middles + way * steps))
    two_sided = np.zeros(len(first), dtype=np.bool_)
    two_sided[group[doubled]] = outside
    return second & two_sided[group]
