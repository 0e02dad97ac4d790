"""Files of glTF: extensions, buffers, every kind of damage, and limits."""

import base64
import json
import os
import re
import struct
import tracemalloc

import numpy as np
import pytest

from doh3d.errors import MeshError
from doh3d.geometry import gltf_file, gltf_json
from gltf_writer import CORNERS, Writer, one_box, pack_glb, read, rich, volume


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
