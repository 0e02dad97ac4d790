"""The nodes of a glTF file: which of them the scene shows, and where each one stands."""

from __future__ import annotations

import numpy as np

from doh3d.geometry.gltf_file import LEAST_WORK, GltfFile
from doh3d.geometry.gltf_json import Json, listing, numbers, table
from doh3d.geometry.polygons import FloatArray

_IDENTITY: list[float] = np.eye(4).ravel().tolist()


class NodeTree:
    """All nodes of a file.

    Attributes
    ----------
    nodes : list of dict
        As they are in the JSON.
    world : (N, 4, 4) float64
        Where each node stands: ``world @ (x, y, z, 1)``.

    Raises
    ------
    ValueError
        A node has two parents or is its own descendant, or a transform has no numbers.
    """

    def __init__(self, file: GltfFile) -> None:
        self._file = file
        count = len(listing(file.document, "nodes", "the file"))
        file.charge(count * LEAST_WORK)
        self.nodes = [file.item("nodes", node, "the file") for node in range(count)]
        self._children = [
            listing(node, "children", f"node {k}") for k, node in enumerate(self.nodes)
        ]
        self._parents = self._find_parents()
        self.world = _local_transforms(self.nodes)
        self._roots = [node for node, parent in enumerate(self._parents) if parent is None]
        self._visible = [_is_visible(node, f"node {k}") for k, node in enumerate(self.nodes)]
        # Parents come before their children, however deep the tree is.
        order = list(self._roots)
        for node in order:
            parent = self._parents[node]
            if parent is not None:
                self.world[node] = self.world[parent] @ self.world[node]
                self._visible[node] &= self._visible[parent]
            order += self._children[node]
        if len(order) < count:
            node = min(set(range(count)) - set(order))
            raise ValueError(f"node {node} is its own descendant, or hangs on one that is")

    def shown(self) -> tuple[list[int], list[str]]:
        """Return the nodes that the scene shows, each once, and notes on what it does not show."""
        scenes = listing(self._file.document, "scenes", "the file")
        notes = []
        pending = list(self._roots)
        if scenes or "scene" in self._file.document:
            key = self._file.document.get("scene", 0)
            scene = self._file.item("scenes", key, "the file")
            pending = list(listing(scene, "nodes", f"scene {key}"))
            for node in pending:
                self._file.item("nodes", node, f"scene {key}")
            if len(scenes) > 1:
                notes.append(f"scene {key} is read; the file's {len(scenes) - 1} others are not")
        hidden = set()
        # A dictionary keeps the order, and each node once: some scenes list children as well.
        shown: dict[int, None] = {}
        pending.reverse()
        while pending:
            node = pending.pop()
            if node in shown:
                continue
            if not self._visible[node]:
                hidden.add(node)
                continue
            shown[node] = None
            pending += reversed(self._children[node])
        if hidden:
            notes.append(
                f"nodes that are invisible are left out, with their children: {len(hidden)}"
            )
        return list(shown), notes

    def _find_parents(self) -> list[int | None]:
        parents: list[int | None] = [None] * len(self.nodes)
        for parent, children in enumerate(self._children):
            for child in children:
                self._file.item("nodes", child, f"node {parent}")
                if parents[child] is not None:
                    raise ValueError(
                        f"node {child} is a child of node {parents[child]} and of node {parent}; "
                        "it may have one parent"
                    )
                parents[child] = parent
        return parents


def compose(translations: FloatArray, rotations: FloatArray, scales: FloatArray) -> FloatArray:
    """Return (N, 4, 4) transforms that scale, then rotate, then translate.

    Parameters
    ----------
    translations, scales : (N, 3) float64
    rotations : (N, 4) float64
        Quaternions (x, y, z, w), of any length but 0.

    Raises
    ------
    ValueError
        A quaternion is zero.
    """
    lengths = np.linalg.norm(rotations, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("a rotation is (0, 0, 0, 0); a quaternion of length 1 is needed")
    x, y, z, w = (rotations / lengths).T
    turn = np.empty((len(rotations), 3, 3))
    turn[:, 0] = np.column_stack(
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)]
    )
    turn[:, 1] = np.column_stack(
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)]
    )
    turn[:, 2] = np.column_stack(
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]
    )
    matrices = np.zeros((len(rotations), 4, 4))
    matrices[:, :3, :3] = turn * scales[:, None]
    matrices[:, :3, 3] = translations
    matrices[:, 3, 3] = 1
    return matrices


def _local_transforms(nodes: list[Json]) -> FloatArray:
    """Return (N, 4, 4) transforms of nodes within their parents."""
    rows = {"translation": [0.0, 0, 0], "rotation": [0.0, 0, 0, 1], "scale": [1.0, 1, 1]}
    parts = [
        np.array(
            [numbers(node, key, f"node {k}", default) for k, node in enumerate(nodes)],
            dtype=np.float64,
        ).reshape(-1, len(default))
        for key, default in rows.items()
    ]
    matrices = compose(*parts)
    for k, node in enumerate(nodes):
        if "matrix" in node:
            # Column by column.
            matrix = numbers(node, "matrix", f"node {k}", _IDENTITY)
            matrices[k] = np.array(matrix, dtype=np.float64).reshape(4, 4).T
    return matrices


def _is_visible(node: Json, where: str) -> bool:
    visibility = table(table(node, "extensions", where), "KHR_node_visibility", where)
    return visibility.get("visible", True) is not False
