"""Where a glTF document puts its meshes: nodes, instances, morphs and skins."""

import re

import numpy as np
import pytest

from doh3d.errors import MeshError
from gltf_writer import CORNERS, Writer, one_box, read, volume


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
