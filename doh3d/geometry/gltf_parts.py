"""The parts that meshes of a glTF file consist of: their triangles, morphed and skinned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from doh3d.geometry.gltf_file import LEAST_WORK, Accessor, GltfFile
from doh3d.geometry.gltf_json import Json, integer, listing, raise_packed, table
from doh3d.geometry.polygons import FloatArray, IntArray, check_corners, cut_strips

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_DRACO = "KHR_draco_mesh_compression"

# Vertices whose matrices are made at a time.
_SKIN_BLOCK = 1 << 16


@dataclass(frozen=True)
class Part:
    """A primitive of triangles, as a node shows it.

    Attributes
    ----------
    where : str
        What error messages call it.
    attributes : dict
        Numbers of accessors, by names such as "POSITION".
    indices : int or None
        The accessor of corners; without one the positions are the corners.
    mode : 4, 5 or 6
        Triangles, a strip or a fan.
    corner_count : int
        0 where there are no positions.
    targets : list of (weight, number of an accessor)
        Displacements that are added to the positions.
    has_draco : bool
        Whether the triangles are there a second time, packed.
    """

    where: str
    attributes: Json
    indices: Any
    mode: int
    corner_count: int
    targets: list[tuple[float, Any]]
    has_draco: bool

    @property
    def triangle_count(self) -> int:
        """How many triangles the corners make."""
        if self.mode == _TRIANGLES:
            return self.corner_count // 3
        return max(self.corner_count - 2, 0)


def list_parts(file: GltfFile, node: Json, where: str) -> Iterator[Part]:
    """Yield a node's parts of triangles; nothing but JSON is read."""
    key = node["mesh"]
    mesh = file.item("meshes", key, where)
    where = f"mesh {key}"
    weights = listing(node if "weights" in node else mesh, "weights", where)
    for k, primitive in enumerate(listing(mesh, "primitives", where)):
        name = f"{where}, primitive {k}"
        file.charge(LEAST_WORK + len(weights))
        mode = integer(primitive, "mode", name, _TRIANGLES)
        if mode > _FAN:
            raise ValueError(f"{name}: mode is {mode}; at most {_FAN} is allowed")
        # Points and lines bound nothing.
        if mode < _TRIANGLES:
            continue
        attributes = table(primitive, "attributes", name)
        has_draco = _DRACO in table(primitive, "extensions", name)
        indices, count = primitive.get("indices"), 0
        # A part without positions is nowhere, and has no corners either.
        if "POSITION" in attributes:
            corners = attributes["POSITION"] if indices is None else indices
            for accessor in (attributes["POSITION"], corners):
                data = file.item("accessors", accessor, name)
                if has_draco and not {"bufferView", "sparse"} & set(data):
                    raise_packed(_DRACO)
                count = integer(data, "count", name)
        targets = listing(primitive, "targets", name)
        if any(weights[len(targets) :]):
            raise ValueError(f"{name} has {len(targets)} targets, but {len(weights)} weights")
        yield Part(
            where=name,
            attributes=attributes,
            indices=indices,
            mode=mode,
            corner_count=count,
            targets=[
                (float(weight), target["POSITION"])
                for weight, target in zip(weights, targets, strict=False)
                if weight and "POSITION" in target
            ],
            has_draco=has_draco,
        )


def read_triangles(file: GltfFile, part: Part) -> IntArray:
    """Return (F, 3) corners, each a row of the part's accessors."""
    if part.indices is None:
        file.charge(part.corner_count)
        corners = np.arange(part.corner_count)
    else:
        accessor = file.accessor(part.indices, "SCALAR", part.where)
        stored = file.stored(accessor).ravel()
        if stored.dtype.kind != "u":
            raise ValueError(f"{part.where}: its indices are not whole numbers from 0 on")
        restart = stored == np.iinfo(stored.dtype).max
        if restart.any():
            raise ValueError(
                f"{part.where}: index {restart.argmax()} is {stored.max()}, the value for a "
                "restart; glTF 2.0 has none, so export it with larger integers or without restarts"
            )
        corners = stored.astype(np.int64)
    if part.mode == _TRIANGLES:
        if len(corners) % 3:
            raise ValueError(
                f"{part.where} has {len(corners)} corners; three are needed for each triangle"
            )
        triangles = corners.reshape(-1, 3)
    elif part.mode == _STRIP:
        triangles = cut_strips(corners)
    else:
        first = np.broadcast_to(corners[:1], max(len(corners) - 2, 0))
        triangles = np.column_stack([corners[1:-1], corners[2:], first])
    try:
        check_corners(triangles.ravel(), _positions(file, part).count)
    except ValueError as error:
        raise ValueError(f"{part.where}: {error}") from error
    return triangles


def read_points(file: GltfFile, part: Part, rows: IntArray) -> FloatArray:
    """Return (R, 3) positions, moved by as much of each target as its weight says."""
    points = file.vectors(_positions(file, part), rows)
    for weight, target in part.targets:
        points += weight * file.vectors(file.accessor(target, "VEC3", part.where), rows)
    return points


def joint_matrices(file: GltfFile, key: Any, world: FloatArray, where: str) -> FloatArray:
    """Return (J, 4, 4) transforms of a skin's joints, from the pose it was bound in to the file's.

    Parameters
    ----------
    key : int
        The skin.
    world : (N, 4, 4) float64
        Where the nodes stand.
    """
    skin, name = file.item("skins", key, where), f"skin {key}"
    joints = listing(skin, "joints", name)
    file.charge(len(joints))
    for joint in joints:
        file.item("nodes", joint, name)
    matrices = world[np.array(joints, dtype=np.int64)]
    if "inverseBindMatrices" in skin:
        inverse = file.vectors(file.accessor(skin["inverseBindMatrices"], "MAT4", name))
        if len(inverse) < len(joints):
            raise ValueError(f"{name} has {len(joints)} joints, but {len(inverse)} matrices")
        # Column by column.
        matrices = matrices @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
    return matrices


def skin_points(
    file: GltfFile, part: Part, rows: IntArray, points: FloatArray, joints: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Move points with the joints that they follow.

    Parameters
    ----------
    rows : (R,) int64
        Which of the part's vertices the points are.
    points : (R, 3) float64
    joints : (J, 4, 4) float64
        See `joint_matrices`.

    Returns
    -------
    moved : (R, 3) float64
    sign : (R,) int64
        -1 where the joints mirror what is around the point.
    """
    followed: list[IntArray] = []
    shares: list[FloatArray] = []
    while f"JOINTS_{len(followed)}" in part.attributes:
        names = f"JOINTS_{len(followed)}", f"WEIGHTS_{len(followed)}"
        joint, weight = (
            file.accessor(part.attributes.get(name), "VEC4", f"{part.where}, {name}")
            for name in names
        )
        followed.append(file.stored(joint, rows).astype(np.int64))
        shares.append(file.vectors(weight, rows))
    if not followed:
        raise ValueError(f"{part.where} has no JOINTS_0, which its node's skin needs")
    joint_rows, weights = np.hstack(followed), np.hstack(shares)
    # Viewers let vertices that follow nothing follow their first joint.
    weights[~weights.any(axis=1), 0] = 1
    joint_rows[weights == 0] = 0
    if joint_rows.min(initial=0) < 0 or joint_rows.max(initial=0) >= len(joints):
        raise ValueError(
            f"{part.where} uses joint {joint_rows.max()}, but its skin has {len(joints)}"
        )
    weights /= weights.sum(axis=1, keepdims=True)
    moved, sign = np.empty_like(points), np.ones(len(points), dtype=np.int64)
    for start in range(0, len(points), _SKIN_BLOCK):
        block = slice(start, start + _SKIN_BLOCK)
        matrices = np.zeros((len(points[block]), 3, 4))
        for joint_row, weight in zip(joint_rows[block].T, weights[block].T, strict=True):
            matrices += weight[:, None, None] * joints[joint_row, :3]
        moved[block] = np.einsum("nij,nj->ni", matrices[:, :, :3], points[block])
        moved[block] += matrices[:, :, 3]
        sign[block] = np.where(is_mirrored(matrices), -1, 1)
    return moved, sign


def is_mirrored(matrices: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return (N,) whether transforms of (N, 3 or 4, 4) numbers turn the winding of triangles."""
    # Determinants as such leave float64 where scales are very small or large.
    return np.asarray(np.linalg.slogdet(matrices[:, :3, :3])[0] < 0)


def _positions(file: GltfFile, part: Part) -> Accessor:
    return file.accessor(part.attributes["POSITION"], "VEC3", part.where)
