"""Numbers in glTF in every form that the format has for them."""

import re

import numpy as np
import pytest

from doh3d.errors import MeshError
from gltf_writer import CORNERS, QUADS, TRIANGLES, Writer, one_box, read, volume


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
