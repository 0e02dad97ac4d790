"""Reading glTF 2.0, as JSON or GLB: all triangles of a scene, as its nodes place them at rest.

Names and rules are those of the glTF 2.0 specification of the Khronos Group, and of its
extensions. Animations are not applied. trimesh has a reader too, which is not used since it
passes over much of what places triangles, mostly without a word. Measured with trimesh 5.2.0 on
boxes of known volume:

==========================================  ======================  ==========================
file                                        right                   trimesh 5.2.0
==========================================  ======================  ==========================
sparse accessor over a buffer view          volume 3                its first values: 0 or 1
sparse accessor without a buffer view       volume 3                volume 0
normalised int8 positions                   1 wide                  127 wide
triangle fans                               volume 1                no triangles
EXT_mesh_gpu_instancing, two instances      volume 2                volume 1
morph target of default weight 1            volume 3                volume 1
skin, a joint that doubles its size         volume 8                volume 1, at another place
camera node with a mesh and a child         volume 4                ValueError: No path
invisible node beside a visible one         volume 1                volume 2
no scenes, two root nodes                   volume 3                no triangles
unknown extension required                  refused by name         read
asset of version 1.0                        refused by name         read
node of two parents                         refused by name         one of its places
percent-encoded name of a buffer            read                    FileNotFoundError
data URI that is not base64                 read                    OSError: name too long
buffer at http://host/a.bin                 refused                 a.bin beside the file
buffer that is shorter than it says         refused, with numbers   AssertionError, no message
primitive without positions                 left out, with a word   KeyError
strips, interleaving, integers as they are  volume kept             volume kept
no indices, mirrored nodes, nested nodes    volume kept             volume kept
==========================================  ======================  ==========================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from doh3d.geometry.gltf_file import GltfFile
from doh3d.geometry.gltf_json import PACKED, integer, listing, raise_packed, table
from doh3d.geometry.gltf_nodes import NodeTree, compose
from doh3d.geometry.gltf_parts import (
    Part,
    is_mirrored,
    joint_matrices,
    list_parts,
    read_points,
    read_triangles,
    skin_points,
)
from doh3d.geometry.polygons import FloatArray, IntArray
from doh3d.geometry.raw_mesh import RawMesh

_INSTANCING = "EXT_mesh_gpu_instancing"

# Extensions that are read here, and such as cannot change where triangles are.
_KNOWN = {
    "KHR_mesh_quantization",
    "KHR_node_visibility",
    _INSTANCING,
    "AGI_stk_metadata",
    "CESIUM_primitive_outline",
    "EXT_feature_metadata",
    "EXT_instance_features",
    "EXT_mesh_features",
    "EXT_mesh_manifold",
    "EXT_structural_metadata",
    "FB_geometry_metadata",
    "GODOT_single_root",
    "KHR_interactivity",
    "KHR_node_hoverability",
    "KHR_node_selectability",
    "KHR_techniques_webgl",
    "MSFT_lod",
    "MSFT_packing_normalRoughnessMetallic",
    "MSFT_packing_occlusionRoughnessMetallic",
}
_HARMLESS = re.compile(
    "[A-Z0-9]+_(animation|audio|camera|image|light|material|sampler|texture|xmp)s?(_.*)?"
)


def read_gltf(path: Path, most_faces: int) -> RawMesh:
    """Read the triangles of a file's default scene.

    Parameters
    ----------
    path : Path
        GLB or glTF; buffers in files of their own are found from its folder.
    most_faces : int
        The most triangles, each instance counted.

    Returns
    -------
    RawMesh
        In metres.

    Raises
    ------
    ValueError
        The file is damaged or of another version, needs an extension that is not known, shows no
        triangles or too many, or a buffer's file is missing.
    """
    file = GltfFile(path)
    _check_extensions(listing(file.document, "extensionsRequired", "the file"))
    tree = NodeTree(file)
    shown, notes = tree.shown()
    parts = [
        (node, part)
        for node in shown
        if "mesh" in tree.nodes[node]
        for part in list_parts(file, tree.nodes[node], f"node {node}")
    ]
    # Instances are counted before they are made: a small file can ask for very many.
    count = sum(part.triangle_count * _instance_count(file, tree, node) for node, part in parts)
    if count > most_faces:
        raise ValueError(f"its {count} triangles are more than {most_faces}; simplify it first")
    if not count:
        raise ValueError("; ".join(["its scene shows no triangles", *notes]))
    if any(part.has_draco for _, part in parts):
        notes.append("triangles packed with Draco are left out; their plain form is read")
    without = sum("POSITION" not in part.attributes for _, part in parts)
    if without:
        notes.append(f"parts without positions are left out: {without}")
    vertices: list[FloatArray] = []
    faces: list[IntArray] = []
    offset = 0
    for node, part in parts:
        if part.triangle_count:
            points, corners = _place(file, tree, node, part)
            vertices.append(points)
            faces.append(corners + offset)
            offset += len(points)
    return RawMesh(np.concatenate(vertices), np.concatenate(faces), "metre", tuple(notes))


def _check_extensions(required: list[Any]) -> None:
    """Refuse a file that says it needs what could change its triangles and is not known here."""
    for name in map(str, required):
        if name in PACKED:
            raise_packed(name)
        if name not in _KNOWN and not _HARMLESS.fullmatch(name):
            raise ValueError(f"it needs the extension {name}, which is not read; export it without")


def _place(file: GltfFile, tree: NodeTree, node: int, part: Part) -> tuple[FloatArray, IntArray]:
    """Return (V, 3) vertices of a node's part where the scene has them, and (F, 3) faces."""
    triangles = read_triangles(file, part)
    rows, corners = np.unique(triangles, return_inverse=True)
    corners = corners.reshape(-1, 3).astype(np.int64)
    points = read_points(file, part, rows)
    if "skin" in tree.nodes[node]:
        # Joints alone say where a skin is; the node's own place does not matter.
        joints = joint_matrices(file, tree.nodes[node]["skin"], tree.world, f"node {node}")
        points, sign = skin_points(file, part, rows, points, joints)
        turned = sign[corners].sum(axis=1) < 0
        corners[turned] = corners[turned, ::-1]
        return points, corners
    matrices = tree.world[node] @ _instances(file, tree, node)
    placed = points @ matrices[:, :3, :3].transpose(0, 2, 1) + matrices[:, None, :3, 3]
    copies = corners + len(points) * np.arange(len(matrices))[:, None, None]
    turned = is_mirrored(matrices)
    copies[turned] = copies[turned, :, ::-1]
    return placed.reshape(-1, 3), copies.reshape(-1, 3)


def _instance_attributes(tree: NodeTree, node: int) -> dict[str, Any] | None:
    """Return the accessors of a node's instances by name, or None where it is shown once."""
    where = f"node {node}"
    extensions = table(tree.nodes[node], "extensions", where)
    if _INSTANCING not in extensions:
        return None
    if "skin" in tree.nodes[node]:
        raise ValueError(f"{where} has both a skin and {_INSTANCING}; it may have one of them")
    return table(table(extensions, _INSTANCING, where), "attributes", where)


def _instance_count(file: GltfFile, tree: NodeTree, node: int) -> int:
    attributes = _instance_attributes(tree, node)
    if attributes is None:
        return 1
    where = f"node {node}, {_INSTANCING}"
    file.charge(len(attributes))
    counts = {
        integer(file.item("accessors", key, where), "count", where) for key in attributes.values()
    }
    if len(counts) != 1:
        raise ValueError(f"{where}: attributes of one number of instances are needed")
    return counts.pop()


def _instances(file: GltfFile, tree: NodeTree, node: int) -> FloatArray:
    """Return (N, 4, 4) transforms of a node's instances within the node."""
    attributes = _instance_attributes(tree, node)
    if attributes is None:
        return np.eye(4)[None]
    count = _instance_count(file, tree, node)
    file.charge(count)
    parts = []
    for name, kind, default in (
        ("TRANSLATION", "VEC3", (0.0, 0.0, 0.0)),
        ("ROTATION", "VEC4", (0.0, 0.0, 0.0, 1.0)),
        ("SCALE", "VEC3", (1.0, 1.0, 1.0)),
    ):
        if name in attributes:
            where = f"node {node}, {name}"
            parts.append(file.vectors(file.accessor(attributes[name], kind, where)))
        else:
            parts.append(np.tile(default, (count, 1)))
    return compose(*parts)
