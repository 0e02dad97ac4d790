"""glTF in every form that the format has for the same triangles, and every kind of damage."""

import base64
import json
import os
import re
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from doh3d.errors import MeshError
from doh3d.geometry import gltf_file, gltf_json
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


class TestAccessors:
    @pytest.mark.parametrize("sparse", [None, "base", "only"])
    @pytest.mark.parametrize(
        "form", [{}, {"padding": 4}, {"offset": 8}, {"padding": 8, "offset": 4}], ids=str
    )
    def test_floats(self, tmp_path, form, sparse):
        mesh = read(tmp_path, one_box(sparse=sparse, **form).glb())
        assert volume(mesh) == pytest.approx(3)
        assert mesh.unit == "metre"
        assert mesh.notes == ()

    @pytest.mark.parametrize("component", ["i1", "u1", "i2", "u2"])
    @pytest.mark.parametrize("normalized", [False, True])
    def test_quantised(self, tmp_path, component, normalized):
        top = np.iinfo(component).max
        writer = Writer()
        positions = writer.box(
            size=(top, top, top - 7), component=component, normalized=normalized, padding=1
        )
        writer.node(mesh=writer.mesh(positions))
        expected = (top - 7) / top if normalized else top * top * (top - 7)
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(expected)

    @pytest.mark.parametrize("component", ["i1", "i2"])
    def test_the_lowest_integer_is_minus_one_too(self, tmp_path, component):
        low, high = np.iinfo(component).min, np.iinfo(component).max
        writer = Writer()
        corners = np.where(CORNERS > 0, high, low)
        writer.node(mesh=writer.mesh(writer.accessor(corners, component, normalized=True)))
        mesh = read(tmp_path, writer.glb())
        assert mesh.vertices.min() == -1
        assert volume(mesh) == pytest.approx(8)

    @pytest.mark.parametrize("component", ["u1", "u2", "u4"])
    @pytest.mark.parametrize("mode", [4, 5, 6])
    def test_indices(self, tmp_path, component, mode):
        writer = Writer()
        writer.node(mesh=writer.mesh(writer.box(), component=component, mode=mode))
        mesh = read(tmp_path, writer.glb())
        assert len(mesh.faces) == 12
        assert volume(mesh) == pytest.approx(1)

    @pytest.mark.parametrize("mode", [4, 5, 6])
    def test_without_indices(self, tmp_path, mode):
        pieces = {4: [TRIANGLES.ravel()], 5: QUADS[:, [0, 1, 3, 2]], 6: QUADS}[mode]
        writer = Writer()
        primitives = [
            {"attributes": {"POSITION": writer.accessor(CORNERS[piece])}, "mode": mode}
            for piece in pieces
        ]
        writer.node(mesh=writer.add("meshes", {"primitives": primitives}))
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(1)

    def test_a_long_strip_and_a_fan(self, tmp_path):
        # Round the x axis of a box; then both ends.
        round_it = [1, 0, 3, 2, 7, 6, 5, 4, 1, 0]
        writer = Writer()
        mesh = writer.mesh(writer.box(size=(5, 1, 1)))
        primitives = writer.document["meshes"][mesh]["primitives"]
        position = primitives[0]["attributes"]
        primitives[:] = [
            {"attributes": position, "mode": 5, "indices": writer.accessor(round_it, "u1")},
            {"attributes": position, "mode": 6, "indices": writer.accessor(QUADS[4], "u1")},
            {"attributes": position, "mode": 6, "indices": writer.accessor(QUADS[5], "u1")},
        ]
        writer.node(mesh=mesh)
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(5)

    def test_vertices_that_a_part_does_not_use_are_not_read(self, tmp_path):
        writer = Writer()
        far = np.vstack([CORNERS, np.full((1000, 3), 7.0)])
        writer.node(mesh=writer.mesh(writer.accessor(far)))
        assert len(read(tmp_path, writer.glb()).vertices) == 8

    def test_lines_and_points_are_passed_over(self, tmp_path):
        writer = one_box()
        primitives = writer.document["meshes"][0]["primitives"]
        primitives += [{**primitives[0], "mode": mode} for mode in range(4)]
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(3)
        del primitives[0]
        with pytest.raises(MeshError, match="its scene shows no triangles"):
            read(tmp_path, writer.glb())

    def test_a_part_without_positions_is_left_out_with_a_word(self, tmp_path):
        writer = one_box()
        writer.document["meshes"][0]["primitives"].append({"attributes": {}})
        mesh = read(tmp_path, writer.glb())
        assert volume(mesh) == pytest.approx(3)
        assert mesh.notes == ("parts without positions are left out: 1",)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"componentType": 5130}, "accessor 1: componentType is 5130; it must be one of 5120"),
            ({"count": -1}, "count is -1; a whole number from 0 on is needed"),
            ({"count": 1.5}, "count is 1.5; a whole number"),
            ({"count": 37}, "accessor 1 ends at byte 74 of buffer view 1, which has 72"),
            ({"count": 35}, "mesh 0, primitive 0 has 35 corners; three are needed"),
            ({"byteOffset": 2}, "accessor 1 ends at byte 74 of buffer view 1, which has 72"),
            ({"bufferView": 9}, "accessor 1 refers to 9 of bufferViews, but there are 2"),
            ({"bufferView": -1}, "accessor 1 refers to -1 of bufferViews"),
            ({"type": "VEC3"}, "accessor 1 is 'VEC3'; mesh 0, primitive 0 needs SCALAR"),
            ({"componentType": 5122}, "its indices are not whole numbers from 0 on"),
        ],
        ids=str,
    )
    def test_bad_accessor(self, tmp_path, change, message):
        writer = one_box()
        writer.document["accessors"][1] |= change
        with pytest.raises(MeshError, match=re.escape(message)):
            read(tmp_path, writer.glb())

    @pytest.mark.parametrize("length", [0, 5])
    def test_a_count_as_a_decimal_number_and_a_stride_of_nothing(self, tmp_path, length):
        writer = one_box()
        writer.document["accessors"][1]["count"] = 36.0
        writer.document["bufferViews"][0]["byteStride"] = length
        if length:
            with pytest.raises(
                MeshError, match="buffer view 0 has 5 bytes a row, but accessor 0 needs 12"
            ):
                read(tmp_path, writer.glb())
        else:
            assert volume(read(tmp_path, writer.glb())) == pytest.approx(3)

    @pytest.mark.parametrize("rows", [[1, 1, 4, 6], [0, 4, 2, 6], [0, 2, 4, 8]], ids=str)
    def test_bad_sparse_rows(self, tmp_path, rows):
        writer = one_box(sparse="base")
        at = writer.document["bufferViews"][0]
        writer.blob[at["byteOffset"] : at["byteOffset"] + 8] = np.array(rows, "<u2").tobytes()
        with pytest.raises(
            MeshError, match="accessor 0: sparse indices must increase, and be below 8"
        ):
            read(tmp_path, writer.glb())

    def test_a_missing_vertex_is_named(self, tmp_path):
        writer = one_box()
        writer.document["accessors"][0]["count"] = 7
        message = "mesh 0, primitive 0: face 1 uses vertex 7, but there are 7 vertices"
        with pytest.raises(MeshError, match=message):
            read(tmp_path, writer.glb())

    @pytest.mark.parametrize("component", ["u1", "u2", "u4"])
    def test_restarts_are_refused(self, tmp_path, component):
        writer = Writer()
        top = np.iinfo(component).max
        strip = [0, 1, 2, 3, top, 4, 5, 6, 7]
        part = {"attributes": {"POSITION": writer.box()}, "mode": 5}
        part["indices"] = writer.accessor(strip, component)
        writer.node(mesh=writer.add("meshes", {"primitives": [part]}))
        with pytest.raises(
            MeshError, match=f"primitive 0: index 4 is {top}, the value for a restart"
        ):
            read(tmp_path, writer.glb())


class TestNodes:
    def test_matrix_and_its_parts_say_the_same(self, tmp_path):
        turn = [0.5, 0.5, 0.5, 0.5]
        matrix = [[0, 0, 4, 5], [2, 0, 0, 6], [0, -3, 0, 7], [0, 0, 0, 1]]
        meshes = []
        for fields in (
            {"translation": [5, 6, 7], "rotation": turn, "scale": [2, -3, 4]},
            {"matrix": np.array(matrix).T.ravel().tolist()},
        ):
            writer = Writer()
            writer.node(mesh=writer.mesh(writer.box()), **fields)
            meshes.append(read(tmp_path, writer.glb()))
        np.testing.assert_allclose(meshes[0].vertices, meshes[1].vertices)
        np.testing.assert_array_equal(meshes[0].faces, meshes[1].faces)
        assert volume(meshes[0]) == pytest.approx(24)
        np.testing.assert_allclose(meshes[0].vertices.min(axis=0), [5, 6, 4])
        np.testing.assert_allclose(meshes[0].vertices.max(axis=0), [9, 8, 7])

    def test_children_of_cameras_and_lights(self, tmp_path):
        writer = Writer()
        camera = writer.add(
            "cameras", {"type": "perspective", "perspective": {"yfov": 1, "znear": 1}}
        )
        child = writer.node(root=False, mesh=writer.mesh(writer.box()))
        light = {"KHR_lights_punctual": {"light": 0}}
        writer.node(camera=camera, children=[child], mesh=0, scale=[2, 1, 1], extensions=light)
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(4)

    def test_the_default_scene_is_read(self, tmp_path):
        writer = Writer()
        for size in (1, 2, 3):
            writer.node(root=False, mesh=writer.mesh(writer.box(size=(1, 1, size))))
        document = writer.document
        document |= {"scenes": [{"nodes": [k]} for k in range(3)], "scene": 2}
        mesh = read(tmp_path, writer.glb())
        assert volume(mesh) == pytest.approx(3)
        assert mesh.notes == ("scene 2 is read; the file's 2 others are not",)
        del document["scene"]
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(1)
        document["scene"] = 3
        with pytest.raises(MeshError, match="the file refers to 3 of scenes, but there are 3"):
            read(tmp_path, writer.glb())
        del document["scene"], document["scenes"]
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(6)

    def test_a_scene_may_list_children_too(self, tmp_path):
        writer = one_box()
        writer.node(children=[0], scale=[2, 1, 1])
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(6)

    def test_what_is_invisible_is_left_out_with_a_word(self, tmp_path):
        writer = one_box()
        child = writer.node(root=False, mesh=0)
        hidden = {"KHR_node_visibility": {"visible": False}}
        writer.node(mesh=0, children=[child], extensions=hidden)
        writer.node(mesh=0, extensions={"KHR_node_visibility": {"visible": True}})
        writer.document["extensionsRequired"] = ["KHR_node_visibility"]
        mesh = read(tmp_path, writer.glb())
        assert volume(mesh) == pytest.approx(6)
        note = "nodes that are invisible are left out, with their children: 1"
        assert mesh.notes == (note,)
        writer.document["scenes"][0]["nodes"] = [2, 2]
        with pytest.raises(MeshError, match=f"shows no triangles; {note}"):
            read(tmp_path, writer.glb())

    def test_a_child_of_what_is_invisible_is_so_too_where_the_scene_lists_it(self, tmp_path):
        writer = one_box()
        hidden = {"KHR_node_visibility": {"visible": False}}
        writer.node(children=[0], extensions=hidden)
        writer.node(mesh=0)
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(3)

    def test_a_deep_chain(self, tmp_path):
        writer = one_box()
        for k in range(5000):
            writer.node(root=k == 4999, children=[k], translation=[1, 0, 0])
        writer.document["scenes"][0]["nodes"] = [5000]
        mesh = read(tmp_path, writer.glb())
        np.testing.assert_allclose(mesh.vertices.min(axis=0), [5000, 0, 0])

    @pytest.mark.parametrize(
        ("nodes", "message"),
        [
            ([{"mesh": 0, "children": [0]}], "node 0 is its own descendant"),
            ([{"mesh": 0}, {"children": [2]}, {"children": [1]}], "node 1 is its own descendant"),
            (
                [{"mesh": 0}, {"children": [0]}, {"children": [0]}],
                "node 0 is a child of node 1 and of node 2",
            ),
            ([{"mesh": 0, "children": [7]}], "node 0 refers to 7 of nodes, but there are 1"),
            ([{"mesh": 1}], "node 0 refers to 1 of meshes, but there are 1"),
            ([{"mesh": 0, "rotation": [0, 0, 0, 0]}], "a rotation is (0, 0, 0, 0)"),
            ([{"mesh": 0, "scale": [1, 1]}], "node 0: scale must be 3 finite numbers"),
            ([{"mesh": 0, "matrix": [1e999] * 16}], "node 0: matrix must be 16 finite numbers"),
            ([{"mesh": 0, "translation": [0, 0, "1"]}], "node 0: translation must be 3 finite"),
        ],
    )
    def test_bad_nodes(self, tmp_path, nodes, message):
        writer = one_box()
        writer.document["nodes"] = nodes
        with pytest.raises(MeshError, match=re.escape(message)):
            read(tmp_path, writer.glb())


class TestInstances:
    def test_all_attributes(self, tmp_path):
        writer = Writer()
        half = np.iinfo("i2").max * np.sqrt(0.5)
        attributes = {
            "TRANSLATION": writer.accessor([[0, 0, 0], [9, 0, 0]]),
            "ROTATION": writer.accessor(
                [[0, 0, 0, 32767], [half, 0, 0, half]], "i2", normalized=True
            ),
            "SCALE": writer.accessor([[1, 1, 1], [-1, 2, 3]]),
            "_ID": writer.accessor([7, 8]),
        }
        child = writer.node(root=False, mesh=writer.mesh(writer.box()), translation=[0, 50, 0])
        extension = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
        writer.node(mesh=0, scale=[2, 2, 2], children=[child], extensions=extension)
        writer.document["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
        mesh = read(tmp_path, writer.glb())
        assert volume(mesh) == pytest.approx(8 * (1 + 6 + 1), rel=1e-4)
        # A quarter turn about x brings y to z, and z to -y.
        np.testing.assert_allclose(mesh.vertices[8:16].min(axis=0), [16, -6, 0], atol=1e-3)
        np.testing.assert_allclose(mesh.vertices[8:16].max(axis=0), [18, 0, 4], atol=1e-3)

    def test_numbers_of_instances_must_agree(self, tmp_path):
        writer = Writer()
        attributes = {"TRANSLATION": writer.accessor([[0, 0, 0]]), "_ID": writer.accessor([7, 8])}
        extension = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
        writer.node(mesh=writer.mesh(writer.box()), extensions=extension)
        with pytest.raises(MeshError, match="attributes of one number of instances are needed"):
            read(tmp_path, writer.glb())
        attributes.clear()
        with pytest.raises(MeshError, match="attributes of one number of instances are needed"):
            read(tmp_path, writer.glb())

    def test_they_are_counted_before_they_are_made(self, tmp_path):
        writer = Writer()
        ids = writer.add("accessors", {"componentType": 5126, "count": 10**7, "type": "SCALAR"})
        extension = {"EXT_mesh_gpu_instancing": {"attributes": {"_ID": ids}}}
        writer.node(mesh=writer.mesh(writer.box()), extensions=extension)
        with pytest.raises(MeshError, match="its 120000000 triangles are more than 2000000"):
            read(tmp_path, writer.glb())


class TestMorphs:
    @pytest.mark.parametrize(
        ("of_mesh", "of_node", "height"),
        [
            (None, None, 1),
            ([1, 0], None, 3),
            ([0.5, 1], None, 6),
            ([1, 0], [0, 1], 5),
            ([0, 1], [0], 1),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("sparse", [None, "base", "only"])
    def test_weights(self, tmp_path, of_mesh, of_node, height, sparse):
        writer = Writer()
        targets = [
            {"POSITION": writer.accessor(CORNERS * [0, 0, 2], sparse=sparse)},
            {"POSITION": writer.accessor(CORNERS * [0, 0, 4], "i1", padding=1)},
        ]
        fields = {"weights": of_mesh} if of_mesh else {}
        mesh = writer.mesh(writer.box(), targets=targets, **fields)
        writer.node(mesh=mesh, **({"weights": of_node} if of_node else {}))
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(height)

    def test_targets_of_normals_alone_move_nothing(self, tmp_path):
        writer = Writer()
        targets = [{"NORMAL": writer.accessor(CORNERS)}]
        writer.node(mesh=writer.mesh(writer.box(), targets=targets, weights=[1]))
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(1)

    def test_a_weight_without_its_target(self, tmp_path):
        writer = Writer()
        writer.node(mesh=writer.mesh(writer.box(), weights=[0, 1]))
        with pytest.raises(MeshError, match="mesh 0, primitive 0 has 0 targets, but 2 weights"):
            read(tmp_path, writer.glb())


class TestSkins:
    def skinned(
        self, weights, joints=((0, 1, 0, 0),), inverse=True, component=("u1", "f4"), **node
    ):
        """Return a writer of a box that follows two joints, the second 1 up and twice as large."""
        writer = Writer()
        rows = np.broadcast_to(weights, (8, 4))
        shares = rows if component[1] == "f4" else rows * np.iinfo(component[1]).max
        attributes = {
            "JOINTS_0": writer.accessor(np.broadcast_to(joints, (8, 4)), component[0]),
            "WEIGHTS_0": writer.accessor(shares, component[1], normalized=component[1] != "f4"),
        }
        mesh = writer.mesh(writer.box(), attributes=attributes)
        bones = [
            writer.node(root=False),
            writer.node(root=False, translation=[0, 0, 1], scale=[2, 2, 2]),
        ]
        writer.node(children=bones, translation=[5, 0, 0])
        skin = {"joints": bones}
        if inverse:
            matrices = np.tile(np.eye(4), (2, 1, 1))
            matrices[:, 0, 3] = -5
            skin["inverseBindMatrices"] = writer.accessor(
                matrices.transpose(0, 2, 1).reshape(2, 16)
            )
        # The node's own place does not matter.
        writer.node(mesh=mesh, skin=writer.add("skins", skin), translation=[9, 9, 9], **node)
        return writer

    @pytest.mark.parametrize("component", [("u1", "f4"), ("u2", "u1"), ("u1", "u2")], ids=str)
    @pytest.mark.parametrize(("first", "second", "side"), [(1, 0, 1), (0, 1, 2), (0.2, 0.8, 1.8)])
    def test_pose(self, tmp_path, first, second, side, component):
        mesh = read(tmp_path, self.skinned([first, second, 0, 0], component=component).glb())
        assert volume(mesh) == pytest.approx(side**3)
        # Scaled about where the joint's own origin was bound, at x = 5.
        expected = [5 - 5 * side, 0, second]
        np.testing.assert_allclose(mesh.vertices.min(axis=0), expected, atol=1e-9)

    def test_without_inverse_matrices(self, tmp_path):
        mesh = read(tmp_path, self.skinned([1, 0, 0, 0], inverse=False).glb())
        np.testing.assert_allclose(mesh.vertices.min(axis=0), [5, 0, 0])

    @pytest.mark.parametrize("weights", [[3, 1, 0, 0], [0.75, 0.25, 0, 0], [0, 0, 0, 0]], ids=str)
    def test_weights_are_shares(self, tmp_path, weights):
        mesh = read(tmp_path, self.skinned(weights).glb())
        assert volume(mesh) == pytest.approx(1.25**3 if any(weights) else 1)

    def test_a_mirrored_joint_turns_the_winding(self, tmp_path):
        writer = self.skinned([0, 1, 0, 0])
        writer.document["nodes"][1]["scale"] = [2, -2, 2]
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(8)

    def test_a_second_set_of_joints(self, tmp_path):
        writer = self.skinned([0.5, 0, 0, 0])
        attributes = writer.document["meshes"][0]["primitives"][0]["attributes"]
        attributes["JOINTS_1"] = writer.accessor(np.full((8, 4), 1), "u1")
        attributes["WEIGHTS_1"] = writer.accessor(np.tile([0.5, 0, 0, 0], (8, 1)))
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(1.5**3)

    def test_a_joint_without_weight_may_be_anything(self, tmp_path):
        assert volume(
            read(tmp_path, self.skinned([1, 0, 0, 0], [[0, 99, 99, 99]]).glb())
        ) == pytest.approx(1)

    def test_a_missing_joint(self, tmp_path):
        with pytest.raises(MeshError, match="primitive 0 uses joint 2, but its skin has 2"):
            read(tmp_path, self.skinned([1, 0, 0, 0], [[2, 0, 0, 0]]).glb())

    def test_a_skin_needs_joints_in_the_mesh(self, tmp_path):
        writer = self.skinned([1, 0, 0, 0])
        del writer.document["meshes"][0]["primitives"][0]["attributes"]["JOINTS_0"]
        with pytest.raises(MeshError, match="has no JOINTS_0, which its node's skin needs"):
            read(tmp_path, writer.glb())

    def test_too_few_inverse_matrices(self, tmp_path):
        writer = self.skinned([1, 0, 0, 0])
        writer.document["accessors"][-1]["count"] = 1
        with pytest.raises(MeshError, match="skin 0 has 2 joints, but 1 matrices"):
            read(tmp_path, writer.glb())

    def test_instances_of_skins_are_refused(self, tmp_path):
        extension = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 0}}}
        writer = self.skinned([1, 0, 0, 0], extensions=extension)
        with pytest.raises(MeshError, match="has both a skin and EXT_mesh_gpu_instancing"):
            read(tmp_path, writer.glb())


class TestExtensions:
    @pytest.mark.parametrize(
        "name",
        [
            "EXT_some_geometry",
            "KHR_materialise",
            "KHR_draco_mesh_compression",
            "EXT_meshopt_compression",
            "KHR_meshopt_compression",
        ],
    )
    def test_what_is_required_and_not_known_is_refused_by_name(self, tmp_path, name):
        writer = one_box()
        writer.document["extensionsUsed"] = [name]
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(3)
        writer.document["extensionsRequired"] = ["KHR_mesh_quantization", name]
        with pytest.raises(MeshError, match=name):
            read(tmp_path, writer.glb())

    @pytest.mark.parametrize(
        "name",
        [
            "KHR_mesh_quantization",
            "KHR_materials_unlit",
            "KHR_texture_basisu",
            "KHR_lights_punctual",
            "KHR_xmp_json_ld",
            "KHR_animation_pointer",
            "EXT_texture_webp",
            "EXT_lights_image_based",
            "MSFT_texture_dds",
            "MSFT_lod",
        ],
    )
    def test_what_does_not_change_triangles_may_be_required(self, tmp_path, name):
        writer = one_box()
        writer.document["extensionsRequired"] = [name]
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(3)

    def test_draco_beside_plain_triangles(self, tmp_path):
        writer = one_box()
        writer.document["extensionsUsed"] = ["KHR_draco_mesh_compression"]
        part = writer.document["meshes"][0]["primitives"][0]
        part["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {}}}
        mesh = read(tmp_path, writer.glb())
        assert volume(mesh) == pytest.approx(3)
        assert mesh.notes == ("triangles packed with Draco are left out; their plain form is read",)
        del writer.document["accessors"][part["indices"]]["bufferView"]
        with pytest.raises(MeshError, match="KHR_draco_mesh_compression: its triangles are packed"):
            read(tmp_path, writer.glb())

    @pytest.mark.parametrize("name", ["EXT_meshopt_compression", "KHR_meshopt_compression"])
    @pytest.mark.parametrize("marked", [False, True])
    def test_meshopt_beside_plain_triangles(self, tmp_path, name, marked):
        writer = one_box()
        writer.document["extensionsUsed"] = [name]
        for view in writer.document["bufferViews"]:
            view["extensions"] = {name: {"buffer": 1, "byteLength": 9, "count": 8}}
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(3)
        text, _ = writer.files()
        document = json.loads(text)
        del document["buffers"][0]["uri"]
        if marked:
            document["buffers"][0]["extensions"] = {name: {"fallback": True}}
        with pytest.raises(MeshError, match=f"{name}: its triangles are packed with meshopt"):
            read(tmp_path, json.dumps(document).encode(), "a.gltf")


class TestFiles:
    @pytest.mark.parametrize(
        ("uri", "file"),
        [
            ("a.bin", "a.bin"),
            ("./a.bin", "a.bin"),
            ("my%20mesh%20%C3%BC.bin", "my mesh ü.bin"),
            ("my mesh ü.bin", "my mesh ü.bin"),
            ("50%25.bin", "50%.bin"),
            ("50%.bin", "50%.bin"),
            ("a%20b.bin", "a%20b.bin"),
            ("buffers/a.bin", "buffers/a.bin"),
            ("../a.bin", "../a.bin"),
        ],
    )
    def test_a_buffer_in_a_file(self, tmp_path, uri, file):
        folder = tmp_path / "model"
        (folder / "buffers").mkdir(parents=True)
        text, blob = one_box().files()
        (folder / file).write_bytes(blob + b"behind")
        document = json.loads(text)
        document["buffers"][0]["uri"] = uri
        mesh = read(folder, json.dumps(document).encode(), "a.gltf")
        assert volume(mesh) == pytest.approx(3)

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("gone.bin", "buffer 0 is in the file 'gone.bin', which is missing"),
            ("g%C3%BC.bin", "buffer 0 is in the file 'gü.bin', which is missing"),
            ("", "buffer 0 is in the file '', which is missing"),
            ("short.bin", "buffer 0 has 5 bytes, but 168 are announced"),
            (
                "/dev/zero",
                "buffer 0 is at '/dev/zero'; nothing is fetched, and only paths relative",
            ),
            ("%2Fdev%2Fzero", "only paths relative to the glTF file are followed"),
            (
                "http://localhost/a.bin",
                "buffer 0 is at 'http://localhost/a.bin'; nothing is fetched",
            ),
            ("https://localhost/a.bin", "nothing is fetched"),
            ("file:///dev/zero", "nothing is fetched"),
            ("pipe", "buffer 0 is in the file 'pipe', which is missing"),
            ("data:application/octet-stream;base64", "a data URI without a comma"),
            ("data:application/octet-stream;base64,AAA", "a data URI that cannot be read"),
            ("data:application/octet-stream;base64,AAAA", "buffer 0 has 3 bytes, but 168"),
            (7, "buffer 0 has a uri that is no text"),
            (None, "buffer 0 has no uri, and no binary chunk holds it"),
        ],
        ids=str,
    )
    def test_a_buffer_that_is_not_there(self, tmp_path, uri, message):
        document = json.loads(one_box().files()[0])
        document["buffers"][0]["uri"] = uri
        (tmp_path / "short.bin").write_bytes(b"short")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(MeshError, match=re.escape(message)):
            read(tmp_path, json.dumps(document).encode(), "a.gltf")

    @pytest.mark.parametrize("way", ["base64", "percent"])
    @pytest.mark.parametrize("name", ["a.gltf", "a.glb"])
    def test_data_uris(self, tmp_path, way, name):
        text, blob = one_box().files()
        document = json.loads(text)
        body = f"DATA:;base64,{base64.b64encode(blob).decode()}"
        if way == "percent":
            body = "data:application/gltf-buffer," + "".join(f"%{byte:02X}" for byte in blob)
        document["buffers"][0]["uri"] = body
        assert volume(read(tmp_path, json.dumps(document).encode(), name)) == pytest.approx(3)

    def test_buffers_that_no_triangle_needs_may_be_missing(self, tmp_path):
        writer = one_box()
        document = json.loads(writer.files()[0])
        document["buffers"].append({"byteLength": 9, "uri": "texture.bin"})
        (tmp_path / "a.bin").write_bytes(writer.blob)
        assert volume(read(tmp_path, json.dumps(document).encode(), "a.gltf")) == pytest.approx(3)

    def test_buffers_are_bounded_together(self, tmp_path):
        writer = one_box()
        document = json.loads(writer.files()[0])
        document["buffers"] = [{"byteLength": 300 << 20, "uri": "a.bin"} for _ in range(2)]
        document["bufferViews"][1]["buffer"] = 1
        with (tmp_path / "a.bin").open("wb") as file:
            file.truncate(300 << 20)
        with pytest.raises(MeshError, match="its buffers have more than 536870912 bytes"):
            read(tmp_path, json.dumps(document).encode(), "a.gltf")

    def test_chunks_of_other_kinds_are_passed_over(self, tmp_path):
        writer = one_box()
        text = json.dumps({**writer.document, "buffers": [{"byteLength": len(writer.blob)}]})
        other = struct.pack("<I4s", 4, b"XTRA") + b"more"
        data = pack_glb(text.encode() + b"\0\0\0", bytes(writer.blob), other)
        assert volume(read(tmp_path, data)) == pytest.approx(3)
        assert volume(read(tmp_path, data + b"behind")) == pytest.approx(3)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"glTF\x02\0\0\0", "its header has 12 bytes, but there are 8"),
            (
                struct.pack("<4s4I", b"glTF", 1, 20, 0, 0),
                "it is GLB version 1; export it as glTF 2.0",
            ),
            (struct.pack("<4s2I", b"glTF", 2, 12), "it has no chunk of JSON"),
            (struct.pack("<4s2I", b"glTF", 2, 99), "99 bytes are announced, but there are 12"),
            (
                struct.pack("<4s3I4s", b"glTF", 2, 20, 5, b"JSON"),
                "a chunk of 5 bytes is announced, but only 0",
            ),
            (struct.pack("<4s3I4s", b"glTF", 2, 20, 0, b"BIN\0"), "its first chunk is not JSON"),
            (
                b'{"asset": {"version": "1.0"}}',
                "its asset is of glTF version 1.0; export it as glTF 2.0",
            ),
            (b'{"asset": {"version": "3.0"}}', "its asset is of glTF version 3.0"),
            (b'{"asset": {"version": "2.1", "minVersion": "2.1"}}', "of glTF version 2.1"),
            (b'{"asset": {}}', "its asset is of glTF version None"),
            (b'{"asset": {"version": "2.0"}}', "its scene shows no triangles"),
            (b"[1]", "its JSON is not an object"),
            (b"{", "its JSON cannot be read: "),
            (b"\xff\xfe\xfd", "its JSON cannot be read: "),
            (b"[" * 100_000, "its JSON is nested too deeply"),
            (b'{"a":' * 100_000, "its JSON is nested too deeply"),
        ],
    )
    def test_bad_file(self, tmp_path, data, message):
        with pytest.raises(MeshError, match=re.escape(message)):
            read(tmp_path, data)

    @pytest.mark.parametrize(
        "asset", [{"version": "2.1"}, {"version": "2.1", "minVersion": "2.0"}, {"version": 2.0}]
    )
    def test_later_versions_of_2_are_read(self, tmp_path, asset):
        writer = one_box()
        writer.document["asset"] = asset
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(3)

    def test_arrays_that_are_objects_as_in_version_1(self, tmp_path):
        writer = one_box()
        writer.document["nodes"] = {"node": {"meshes": ["mesh"]}}
        with pytest.raises(MeshError, match="nodes must be an array, as in glTF"):
            read(tmp_path, writer.glb())


class TestDamage:
    def test_the_whole_file_reads(self, tmp_path):
        mesh = read(tmp_path, rich().glb())
        assert len(mesh.faces) == 5 * 12
        assert volume(mesh) == pytest.approx(7)

    def test_every_truncation(self, tmp_path):
        whole, large = one_box(sparse="base").glb(), rich().glb()
        cuts = [whole[:k] for k in range(1, len(whole))]
        for data in [*cuts, *(large[:k] for k in range(1, len(large), 17))]:
            with pytest.raises(MeshError):
                read(tmp_path, data)

    def test_every_shorter_buffer(self, tmp_path):
        text, blob = rich().files()
        for length in range(0, len(blob), 7):
            (tmp_path / "a.bin").write_bytes(blob[:length])
            with pytest.raises(
                MeshError, match=f"buffer 0 has {length} bytes, but {len(blob)} are"
            ):
                read(tmp_path, text, "a.gltf")

    @pytest.mark.parametrize(
        "value", ["missing", None, -1, 10**30, 0.5, "x", [], {}, [[]], True], ids=str
    )
    def test_every_piece_that_is_missing_or_something_else(self, tmp_path, value):
        writer = rich()
        document = {**writer.document, "buffers": [{"byteLength": len(writer.blob)}]}

        def places(owner):
            for key in range(len(owner)) if isinstance(owner, list) else list(owner):
                yield owner, key
                if isinstance(owner[key], dict | list):
                    yield from places(owner[key])

        refused = 0
        for owner, key in list(places(document)):
            kept = owner[key]
            if value == "missing":
                del owner[key]
            else:
                owner[key] = value
            try:
                mesh = read(tmp_path, pack_glb(json.dumps(document).encode(), bytes(writer.blob)))
                assert len(mesh.faces) > 0
            except MeshError:
                refused += 1
            if value == "missing" and isinstance(owner, list):
                owner.insert(key, kept)
            else:
                owner[key] = kept
        assert refused > 100


class TestLimits:
    def test_targets_and_nodes_and_parts(self, tmp_path, monkeypatch):
        writer = Writer()
        target = {"POSITION": writer.accessor(CORNERS)}
        mesh = writer.mesh(writer.box(), targets=[target] * 100, weights=[1] * 100)
        writer.node(mesh=mesh)
        many_targets = writer.glb()
        writer = one_box()
        for _ in range(150):
            writer.node()
        many_nodes = writer.glb()
        writer = one_box()
        lines = {"attributes": {}, "mode": 1}
        writer.document["meshes"][0]["primitives"] += [lines] * 150
        many_parts = writer.glb()
        monkeypatch.setattr(gltf_file, "MOST_VECTORS", 2000)
        read(tmp_path, one_box().glb())
        for data in (many_targets, many_nodes, many_parts):
            with pytest.raises(MeshError, match="accessors hold more than 2000 numbers or vectors"):
                read(tmp_path, data)

    def test_sparse_vectors(self, tmp_path, monkeypatch):
        writer = Writer()
        many = np.vstack([CORNERS, np.zeros((2000, 3))])
        writer.node(mesh=writer.mesh(writer.accessor(many, sparse="base")))
        monkeypatch.setattr(gltf_file, "MOST_VECTORS", 2000)
        assert volume(read(tmp_path, writer.glb())) == pytest.approx(1)
        monkeypatch.setattr(gltf_file, "MOST_VECTORS", 500)
        with pytest.raises(MeshError, match="accessors hold more than 500"):
            read(tmp_path, writer.glb())

    def test_values_of_the_json(self, tmp_path, monkeypatch):
        monkeypatch.setattr(gltf_json, "_MOST_VALUES", 50)
        with pytest.raises(MeshError, match="its JSON has more than 50 values"):
            read(tmp_path, rich().glb())

    def test_positions_of_nothing_take_no_memory(self, tmp_path):
        writer = one_box()
        del writer.document["accessors"][0]["bufferView"]
        writer.document["accessors"][0]["count"] = 10**12
        tracemalloc.start()
        mesh = read(tmp_path, writer.glb())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert not mesh.vertices.any()
        assert peak < 1 << 20


# Boxes of whole numbers; times a step they fill what every component type holds.
STEP = 15
whole_boxes = st.tuples(st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(1, 5)] * 3))
forms = st.fixed_dictionaries(
    {
        "component": st.sampled_from(["i1", "u1", "i2", "u2", "f4"]),
        "normalized": st.booleans(),
        "padding": st.sampled_from([0, 1, 4, 9]),
        "offset": st.sampled_from([0, 1, 12]),
        "sparse": st.sampled_from([None, "base", "only"]),
    }
)
indices = st.fixed_dictionaries(
    {"component": st.sampled_from(["u1", "u2", "u4"]), "mode": st.sampled_from([4, 5, 6])}
)
scales = st.tuples(*[st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0])] * 3)
rotations = st.tuples(*[st.integers(-3, 3)] * 4).filter(any)
shifts = st.tuples(*[st.integers(-9, 9)] * 3)
parts = st.fixed_dictionaries({"translation": shifts, "rotation": rotations, "scale": scales})


def matrix_of(place):
    """Return the (4, 4) transform that a draw of `parts` stands for."""
    matrix = np.eye(4)
    turn = Rotation.from_quat(place["rotation"]).as_matrix()
    matrix[:3, :3] = turn * place["scale"]
    matrix[:3, 3] = place["translation"]
    return matrix


@st.composite
def places(draw):
    """Return fields of a node for a transform, and the transform."""
    place = draw(parts)
    matrix = matrix_of(place)
    if draw(st.booleans()):
        return {"matrix": matrix.T.ravel().tolist()}, matrix
    length = np.linalg.norm(place["rotation"])
    return {**place, "rotation": [x / length for x in place["rotation"]]}, matrix


def add_plain(draw, writer, low, size, form, unit):
    """Add a mesh of one box; return it, fields for its node, and a factor of its volume.

    The node brings steps, of which one is `unit` as a coordinate, back to whole numbers.
    """
    mesh = writer.mesh(writer.box(low, size, **form), **draw(indices))
    return mesh, {"scale": [1 / unit] * 3}, 1


def add_morph(draw, writer, low, size, form, unit):
    """Add a box of half the height; a target adds the rest, and the mesh's own weights do not."""
    base = writer.box(low * [1, 1, 0], size, **form)
    # Integers may stand for other numbers in each accessor, which this test leaves aside.
    kind = {key: form[key] for key in ("component", "normalized")}
    targets = [
        {"POSITION": writer.accessor(CORNERS[::-1], **form)},
        {"POSITION": writer.accessor(CORNERS * [0, 0, size[2]], **{**draw(forms), **kind})},
    ]
    mesh = writer.mesh(base, targets=targets, weights=[1, 0], **draw(indices))
    return mesh, {"weights": [0, 1], "scale": [1 / unit] * 3}, 2


def add_instances(draw, writer, low, size, form, unit):
    """Add a box at up to three places."""
    mesh, _, _ = add_plain(draw, writer, low, size, form, unit)
    copies = draw(st.lists(parts, min_size=1, max_size=3))
    turns = np.array([copy["rotation"] for copy in copies], dtype=float)
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    component = draw(st.sampled_from(["f4", "i1", "i2"]))
    if component != "f4":
        turns *= np.iinfo(component).max
    attributes = {
        "TRANSLATION": writer.accessor([copy["translation"] for copy in copies]),
        "ROTATION": writer.accessor(turns, component, normalized=component != "f4"),
        "SCALE": writer.accessor([np.array(copy["scale"]) / unit for copy in copies]),
    }
    node = {"extensions": {"EXT_mesh_gpu_instancing": {"attributes": attributes}}}
    return mesh, node, sum(abs(np.prod(copy["scale"])) for copy in copies)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_volumes_are_kept(tmp_path, data):
    writer = Writer()
    expected = 0.0
    for _ in range(data.draw(st.integers(1, 3))):
        add = data.draw(st.sampled_from([add_plain, add_morph, add_instances]))
        (low, size), form = data.draw(whole_boxes), data.draw(forms)
        scaled = form["normalized"] and form["component"] != "f4"
        unit = STEP / np.iinfo(form["component"]).max if scaled else STEP
        low, steps = np.array(low) * STEP, np.array(size) * STEP
        mesh, node, factor = add(data.draw, writer, low, steps, form, unit)
        key = writer.node(root=False, mesh=mesh, **node)
        factor *= np.prod(size)
        for place, matrix in data.draw(st.lists(places(), max_size=3)):
            key = writer.node(root=False, children=[key], **place)
            factor *= abs(np.linalg.det(matrix))
        writer.document["scenes"][0]["nodes"].append(key)
        expected += factor
    mesh = read(tmp_path, writer.glb())
    assert volume(mesh) == pytest.approx(expected, rel=1e-4)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    joints=st.lists(places(), min_size=1, max_size=4),
    target=parts,
    weights=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=32, max_size=32),
    component=st.sampled_from(["f4", "u1", "u2"]),
    root=places(),
    own=places(),
)
def test_skins_stand_where_their_joints_bring_them(
    tmp_path, joints, target, weights, component, root, own
):
    """Joints anywhere, bound so that each of them brings the box to the same place."""
    writer = Writer()
    goal = matrix_of(target)
    keys = [writer.node(root=False, **fields) for fields, _ in joints]
    writer.node(children=keys, **root[0])
    bound = [np.linalg.inv(root[1] @ matrix) @ goal for _, matrix in joints]
    inverse = writer.accessor(np.array(bound).transpose(0, 2, 1).reshape(-1, 16))
    shares = np.reshape(weights, (8, 4))
    shares[~shares.any(axis=1), 0] = 1
    attributes = {
        "JOINTS_0": writer.accessor(np.tile(np.arange(4) % len(joints), (8, 1)), "u1"),
        "WEIGHTS_0": writer.accessor(shares, component, normalized=component != "f4"),
    }
    skin = writer.add("skins", {"joints": keys, "inverseBindMatrices": inverse})
    mesh = writer.mesh(writer.box(), attributes=attributes)
    child = writer.node(root=False, mesh=mesh, skin=skin, **own[0])
    writer.node(children=[child], **own[0])
    found = read(tmp_path, writer.glb())
    assert volume(found) == pytest.approx(abs(np.linalg.det(goal)), rel=1e-3)
    expected = CORNERS @ goal[:3, :3].T + goal[:3, 3]
    np.testing.assert_allclose(found.vertices[:8], expected, atol=1e-3)
