"""glTF documents that tests write: boxes in every form that the format has for triangles."""

import json
import struct

import numpy as np

from doh3d.geometry.formats import read_mesh

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

# The sides of a box, wound outwards, over corners x + 2 y + 4 z.
QUADS = np.array(
    [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
)
CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)
TRIANGLES = np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])


class Writer:
    """A document and its one buffer, which grow with each call."""

    def __init__(self):
        self.document = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}]}
        self.blob = bytearray()

    def add(self, kind, value):
        items = self.document.setdefault(kind, [])
        items.append(value)
        return len(items) - 1

    def view(self, data, **fields):
        self.blob += b"\xaa" * (-len(self.blob) % 4)
        view = {"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data), **fields}
        self.blob += data
        return self.add("bufferViews", view)

    def accessor(
        self, values, component="f4", *, normalized=False, padding=0, offset=0, sparse=None
    ):
        """Add an accessor; `padding` bytes part its rows, and `offset` bytes come before them.

        `sparse` is "base" for wrong values that the sparse ones replace, or "only" for no view.
        """
        rows = np.asarray(values, dtype="<" + component)
        rows = rows.reshape(len(rows), -1)
        data = {
            "componentType": CODES[component],
            "count": len(rows),
            "type": KINDS[rows.shape[1]],
        }
        if normalized:
            data["normalized"] = True
        stored = rows.copy()
        if sparse:
            given = np.arange(len(rows))[:: 1 if sparse == "only" else 2]
            if sparse == "only":
                given = given[rows.any(axis=1)]
            stored[given] = 1
            data["sparse"] = {
                "count": len(given),
                "indices": {"bufferView": self.view(given.astype("<u2").tobytes())},
                "values": {"bufferView": self.view(b"\x99" * 4 + rows[given].tobytes())},
            }
            data["sparse"]["indices"]["componentType"] = CODES["u2"]
            data["sparse"]["values"]["byteOffset"] = 4
        if sparse != "only":
            body = b"".join(row.tobytes() + b"\x55" * padding for row in stored)
            stride = {"byteStride": rows.itemsize * rows.shape[1] + padding} if padding else {}
            data["bufferView"] = self.view(b"\x77" * offset + body, **stride)
            data["byteOffset"] = offset
        return self.add("accessors", data)

    def box(self, low=(0, 0, 0), size=(1, 1, 1), **form):
        """Add the positions of a box's corners."""
        return self.accessor(CORNERS * size + low, **form)

    def mesh(self, positions, *, component="u2", mode=4, **fields):
        """Add a mesh of a box's triangles in `mode` over the positions of its corners."""
        attributes = {"POSITION": positions, **fields.pop("attributes", {})}
        # A strip goes from side to side of a quad.
        pieces = {4: [TRIANGLES.ravel()], 5: QUADS[:, [0, 1, 3, 2]], 6: QUADS}[mode]
        targets = {"targets": fields.pop("targets")} if "targets" in fields else {}
        primitives = [
            {
                "attributes": attributes,
                "mode": mode,
                "indices": self.accessor(piece, component),
                **targets,
            }
            for piece in pieces
        ]
        return self.add("meshes", {"primitives": primitives, **fields})

    def node(self, *, root=True, **fields):
        key = self.add("nodes", fields)
        if root:
            self.document["scenes"][0]["nodes"].append(key)
        return key

    def files(self):
        """Return the JSON, and the buffer that it names."""
        document = {**self.document, "buffers": [{"byteLength": len(self.blob), "uri": "a.bin"}]}
        return json.dumps(document).encode(), bytes(self.blob)

    def glb(self):
        """Return a GLB file whose buffer is its binary chunk."""
        document = {**self.document, "buffers": [{"byteLength": len(self.blob)}]}
        return pack_glb(json.dumps(document).encode(), bytes(self.blob))


def pack_glb(text, blob, between=b""):
    """Return a GLB file of two chunks, and what is put between them."""
    text += b" " * (-len(text) % 4)
    blob += b"\0" * (-len(blob) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + between
    chunks += struct.pack("<I4s", len(blob), b"BIN\0") + blob
    return struct.pack("<4s2I", b"glTF", 2, 12 + len(chunks)) + chunks


def volume(mesh):
    """Return the signed volume of a closed mesh: positive where it is wound outwards."""
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def read(folder, data, name="a.glb"):
    path = folder / name
    path.write_bytes(data)
    return read_mesh(path)


def one_box(**form):
    """Return a writer of one node that shows one box of 1 x 1 x 3."""
    writer = Writer()
    writer.node(mesh=writer.mesh(writer.box(size=(1, 1, 3), **form)))
    return writer


def rich():
    """Return a writer of a scene with nearly all that can be there: volume 3 + 2 * 1 + 1 + 1."""
    writer = one_box(sparse="base")
    unit = writer.mesh(writer.box())
    instances = {"TRANSLATION": writer.accessor([[2, 0, 0], [4, 0, 0]])}
    writer.node(mesh=unit, extensions={"EXT_mesh_gpu_instancing": {"attributes": instances}})
    target = writer.accessor(CORNERS * [0, 0, 0.5], sparse="only")
    flat = writer.mesh(
        writer.box((6, 0, 0), (1, 1, 0.5)), weights=[1.0], targets=[{"POSITION": target}]
    )
    child = writer.node(root=False, mesh=flat, rotation=[0, 0, 1, 0])
    writer.node(children=[child], matrix=np.eye(4).ravel().tolist())
    joint = writer.node(translation=[0, 9, 0], scale=[1, 1, 1])
    attributes = {
        "JOINTS_0": writer.accessor(np.zeros((8, 4)), "u1"),
        "WEIGHTS_0": writer.accessor(np.tile([1.0, 0, 0, 0], (8, 1))),
    }
    skinned = writer.mesh(writer.box(), attributes=attributes)
    inverse = writer.accessor(np.eye(4).reshape(1, 16))
    writer.node(
        mesh=skinned, skin=writer.add("skins", {"joints": [joint], "inverseBindMatrices": inverse})
    )
    return writer
